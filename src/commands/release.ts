/**
 * Which release this checkout is: its version and a digest of what its modules are made of. `up` tells it to the modules
 * that it starts, and so the next `up` knows those that still run the code of before. The version alone would not do:
 * whoever works with a checkout gets other code under the same one.
 */

import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const NO_PART = /\.(test|test-worker|fuzz|bench|long)\.ts$/

/** `root` is where package.json is. */
export function releaseOf(root: string): string {
  const digest = createHash('sha256')
  const sources = globSync('src/**/*.ts', { cwd: root }).filter((path) => !NO_PART.test(path))
  for (const path of [...sources.sort(), 'package-lock.json']) {
    const bytes = readFileSync(join(root, path))
    digest.update(`${path} ${bytes.length}\n`).update(bytes)
  }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  return `${version}-${digest.digest('hex').slice(0, 12)}`
}
