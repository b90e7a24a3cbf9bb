import { equal, match, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { suite, test } from 'node:test'
import { isRoot } from '../lab/packages.ts'

const NOBODY = 65534
const skip = isRoot() ? false : 'needs root'

/**
 * A checkout with the launcher alone, and an npm that notes what it is asked for and installs a shell script as Node.
 */
class Checkout {
  readonly folder = mkdtempSync(join(tmpdir(), 'gatehouse-launcher-'))
  readonly asked = join(this.folder, 'asked')
  readonly stamp = join(this.folder, 'node_modules/.gatehouse-lock')

  constructor(node: string | undefined) {
    chmodSync(this.folder, 0o755)
    copyFileSync(resolve(import.meta.dirname, '../gatehouse'), join(this.folder, 'gatehouse'))
    writeFileSync(join(this.folder, 'package-lock.json'), '{}')
    const bin = `node_modules/node-linux-${process.arch}/bin`
    const install = node ? `printf '#!/bin/sh\\n${node}\\n' > ${bin}/node; chmod 755 ${bin}/node` : ':'
    mkdirSync(join(this.folder, 'bin'))
    writeFileSync(
      join(this.folder, 'bin/npm'),
      `#!/bin/sh\necho "$*" >> ${this.asked}\nmkdir -p ${bin}\n${install}\n`,
      { mode: 0o755 },
    )
  }

  run(command: string, uid?: number): { status: number | null; stderr: string; stdout: string } {
    const env = { ...process.env, PATH: `${this.folder}/bin:/usr/bin:/bin`, NODE_ENV: 'production' }
    return spawnSync(join(this.folder, 'gatehouse'), [command], {
      env,
      encoding: 'utf8',
      ...(uid && { uid, gid: uid }),
    })
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true })
  }
}

suite('the launcher', () => {
  test('installs everything on first use, whatever NODE_ENV says, and nothing on the second', () => {
    using checkout = new Checkout('echo "$2"')
    const first = checkout.run('check')
    equal(first.stdout, `${checkout.folder}/src/main.ts\n`)
    match(first.stderr, /^gatehouse: installing npm packages into node_modules \(first use, .*\)\n$/)
    const second = checkout.run('test')
    equal(second.stdout, `${checkout.folder}/test/run.ts\n`)
    equal(second.stderr, '')
    const asked = readFileSync(checkout.asked, 'utf8')
    match(asked, /^ci --include=dev --include=optional .*\n$/)
  })

  for (const [what, node] of [
    ['no Node', undefined],
    ['a Node that does not run here', 'exit 127'],
  ] as const)
    test(`says so where npm installs ${what}, and tries again the next time`, () => {
      using checkout = new Checkout(node)
      const { status, stderr } = checkout.run('check')
      equal(status, 1)
      match(stderr, /^gatehouse: npm installed no .*bin\/node that runs here/m)
      equal(existsSync(checkout.stamp), false)
      checkout.run('check')
      equal(readFileSync(checkout.asked, 'utf8').trim().split('\n').length, 2)
    })

  test('says in a sentence that it may not write its checkout', { skip }, () => {
    using checkout = new Checkout('exit 0')
    const { status, stderr } = checkout.run('check', NOBODY)
    equal(status, 1)
    match(stderr, /^gatehouse: npm packages are to be installed, but \w+ may not write .*\n$/)
  })

  test('says that the demo needs root before it downloads anything', { skip }, () => {
    using checkout = new Checkout('exit 0')
    chmodSync(checkout.folder, 0o777)
    const { status, stderr } = checkout.run('demo', NOBODY)
    equal(status, 1)
    match(stderr, /^gatehouse: the demo .* needs root: sudo .*\n$/)
    ok(!existsSync(checkout.asked))
  })
})
