/**
 * `npm test`: tidiness first, then every test. Installs the programs of others that the tests talk to when it may. Unit
 * tests run two at a time, and those of modules among others (`test/routing/`, `test/control/` and so on), which mostly
 * wait, three at a time; whole systems (`test/system/`) and long runs (`*.long.ts`, with --long) one at a time, for each of
 * them fills a small machine. What was skipped is listed at the end with its reason.
 *
 *   ./gatehouse test [--long] [FILE or FOLDER ...]
 */

import { globSync, statSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { run } from 'node:test'
import { parseArgs } from 'node:util'
import { needs, PEERS } from '../lab/needs.ts'
import { ensurePackages } from '../lab/packages.ts'
import { Results } from './results.ts'
import { tidy } from './tidy.ts'

const ROOT = resolve(import.meta.dirname, '..')
const UNIT_CONCURRENCY = 2
const MODULE_CONCURRENCY = 3
/** For one file. The slowest unit test takes seconds, a whole system half a minute, a long run several minutes. */
const FILE_TIMEOUT_MS = 180_000
const LONG_TIMEOUT_MS = 3_600_000

interface Plan {
  readonly unit: string[]
  readonly modules: string[]
  readonly system: string[]
  readonly long: string[]
}

function plan(paths: readonly string[], withLong: boolean): Plan {
  const wanted = paths.map((path) => relative(ROOT, resolve(path)))
  const chosen = (pattern: string): string[] =>
    globSync(pattern, { cwd: ROOT })
      .filter((file) => !file.startsWith('node_modules'))
      .filter((file) => wanted.length === 0 || wanted.some((path) => file === path || file.startsWith(`${path}/`)))
      .sort()
  // tidy.test.ts has run as a part of tidy.
  const unit = chosen('{src,lab,bench,test}/**/*.{test,fuzz}.ts').filter((file) => file !== 'test/tidy.test.ts')
  const isSystem = (file: string): boolean => file.startsWith('test/system/')
  const isOfModules = (file: string): boolean => file.startsWith('test/') && !isSystem(file)
  return {
    unit: unit.filter((file) => !file.startsWith('test/')),
    modules: unit.filter(isOfModules),
    system: unit.filter(isSystem),
    long: withLong ? chosen('{src,lab,bench,test}/**/*.long.ts') : [],
  }
}

/** Runs the files and hands over what comes of them. */
async function runFiles(results: Results, files: string[], concurrency: number, timeout: number): Promise<void> {
  if (files.length === 0) return
  const stream = run({ cwd: ROOT, files: files.map((file) => resolve(ROOT, file)), concurrency, timeout })
  for await (const event of stream) results.take(event)
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ options: { long: { type: 'boolean' } }, allowPositionals: true })
  for (const path of positionals) statSync(path)
  const files = plan(positionals, values.long === true)
  const talksToOthers = [...files.unit, ...files.modules, ...files.system, ...files.long].some((file) =>
    /^(lab|test|bench)\//.test(file),
  )
  const absent = (talksToOthers ? ensurePackages(PEERS) : []).flatMap((state, i) =>
    typeof state === 'string' ? [] : [`${PEERS[i]!.command}: ${state.missing}`],
  )
  const isTidy = positionals.length > 0 || tidy()
  const results = new Results(ROOT, process.stdout)
  await runFiles(results, files.unit, UNIT_CONCURRENCY, FILE_TIMEOUT_MS)
  await runFiles(results, files.modules, MODULE_CONCURRENCY, FILE_TIMEOUT_MS)
  await runFiles(results, files.system, 1, FILE_TIMEOUT_MS)
  await runFiles(results, files.long, 1, LONG_TIMEOUT_MS)
  const passed = await results.finish()
  for (const reason of absent) console.log(`not installed: ${reason}`)
  for (const paragraph of results.skipped()) console.log(paragraph)
  if (needs()) console.log('Run `npm test` as root to test all of it.')
  if (!isTidy) console.log('The tests above ran, but the code is not tidy: see the top, or `npm run tidy`.')
  return passed && isTidy ? 0 : 1
}

process.exitCode = await main()
