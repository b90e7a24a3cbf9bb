/**
 * A switch's process, as `gatehouse run access` is one, for tests that end it: `test-process.ts NAMESPACE SITE
 * DIRECTORY`. The site is JSON. Tells its parent when it is ready.
 */

import { assert } from '../base/assert.ts'
import type { Logger } from '../base/log.ts'
import { site } from '../config/site.ts'
import { enterNamespace } from '../linux/namespace.ts'
import { runAccess } from './main.ts'

async function main(namespace: string, text: string, directory: string): Promise<void> {
  enterNamespace(namespace)
  const write = (details: object, message: string): void => console.error(message, details)
  const log: Logger = { info: () => {}, warn: write, error: write }
  const parsed = site.parse(JSON.parse(text))
  const options = { site: parsed, name: parsed.switches[0]!.name, directory, stateDirectory: directory, log }
  const module = await runAccess(options)
  process.once('SIGTERM', () => void module.close().then(() => process.disconnect!()))
  process.send!('ready')
}

if (import.meta.main) {
  const [namespace, text, directory] = process.argv.slice(2)
  assert(namespace !== undefined && text !== undefined && directory !== undefined, 'a namespace, a site, a directory')
  await main(namespace, text, directory)
}
