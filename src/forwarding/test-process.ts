/**
 * A node's process, as `gatehouse run forwarding` is one, for tests: `test-process.ts NAMESPACE SITE DIRECTORY`. The site
 * is JSON. Tells its parent when it is ready; a number from the parent is for how many milliseconds its agent is to hang.
 */

import { assert } from '../base/assert.ts'
import type { Logger } from '../base/log.ts'
import { nodesOf, site } from '../config/site.ts'
import { enterNamespace } from '../linux/namespace.ts'
import { runForwarding } from './main.ts'

async function main(namespace: string, text: string, directory: string): Promise<void> {
  enterNamespace(namespace)
  const write = (details: object, message: string): void => console.error(message, details)
  const log: Logger = { info: () => {}, warn: write, error: write }
  const parsed = site.parse(JSON.parse(text))
  const name = nodesOf(parsed)[0]!.node.name
  const module = await runForwarding({ site: parsed, name, directory, stateDirectory: directory, log })
  process.once('SIGTERM', () => void module.close().then(() => process.disconnect!()))
  process.on('message', (hang_ms: number) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, hang_ms)
  })
  process.send!('ready')
}

if (import.meta.main) {
  const [namespace, text, directory] = process.argv.slice(2)
  assert(namespace !== undefined && text !== undefined && directory !== undefined, 'a namespace, a site, a directory')
  await main(namespace, text, directory)
}
