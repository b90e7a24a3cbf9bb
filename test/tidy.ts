/**
 * `npm run tidy`: what can be said about the code without running it. Format and lint (Biome), types (TypeScript), dead
 * code (knip), and the rules of the house (tidy.test.ts). All four run, so that one look shows everything.
 */

import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')

const CHECKS = [
  { title: 'format and lint', command: 'node_modules/.bin/biome', args: ['ci', '--error-on-warnings'] },
  { title: 'types', command: 'node_modules/.bin/tsc', args: [] },
  { title: 'dead code', command: 'node_modules/.bin/knip', args: ['--no-progress'] },
  { title: 'rules of the house', command: process.execPath, args: ['--test', 'test/tidy.test.ts'] },
] as const

/** Prints what is untidy; true when nothing is. */
export function tidy(): boolean {
  const untidy = CHECKS.filter(({ title, command, args }) => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8' })
    if (status !== 0) console.log(`tidy: ${title}\n${stdout}${stderr}`)
    return status !== 0
  })
  if (untidy.length === 0) console.log('tidy')
  return untidy.length === 0
}

if (import.meta.main) process.exitCode = tidy() ? 0 : 1
