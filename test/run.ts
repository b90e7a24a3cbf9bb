/**
 * `npm test`: tidiness first, then every test. Installs the programs of others that the tests talk to when it may. Unit
 * tests run two at a time; whole systems (`test/system/`) and long runs (`*.long.ts`, with --long) one at a time, for
 * each of them fills a small machine. What was skipped is listed at the end with its reason.
 *
 *   ./gatehouse test [--long] [FILE or FOLDER ...]
 */

import { globSync, statSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { parseArgs } from 'node:util'
import { needs, PEERS } from '../lab/needs.ts'
import { ensurePackages } from '../lab/packages.ts'
import { tidy } from './tidy.ts'

const ROOT = resolve(import.meta.dirname, '..')
const UNIT_CONCURRENCY = 2
/** For one file. The slowest unit test takes seconds, a whole system half a minute, a long run several minutes. */
const FILE_TIMEOUT_MS = 180_000
const LONG_TIMEOUT_MS = 3_600_000

interface Plan {
  readonly unit: string[]
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
  return {
    unit: unit.filter((file) => !isSystem(file)),
    system: unit.filter(isSystem),
    long: withLong ? chosen('{src,lab,bench,test}/**/*.long.ts') : [],
  }
}

class Results {
  readonly skipped = new Map<string, string[]>()
  readonly #spec = spec()
  readonly #totals = new Map<string, number>()

  constructor() {
    this.#spec.pipe(process.stdout)
  }

  async add(files: string[], concurrency: number, timeout: number): Promise<void> {
    if (files.length === 0) return
    const stream = run({ cwd: ROOT, files: files.map((file) => resolve(ROOT, file)), concurrency, timeout })
    for await (const event of stream) {
      if (event.type === 'test:pass' && event.data.skip) this.#skip(event.data)
      if (event.type === 'test:diagnostic' && this.#isTotal(event.data.message)) continue
      if (event.type !== 'test:summary') this.#spec.write(event)
    }
  }

  /** Prints the failures and the sums of all runs; true when nothing failed. */
  async finish(): Promise<boolean> {
    for (const [name, value] of this.#totals)
      this.#spec.write({ type: 'test:diagnostic', data: { nesting: 0, message: `${name} ${value}`, level: 'info' } })
    const drained = new Promise((done) => this.#spec.once('end', done))
    this.#spec.end()
    await drained
    return (this.#totals.get('fail') ?? 0) + (this.#totals.get('cancelled') ?? 0) === 0
  }

  #skip(data: { name: string; file?: string; skip?: string | boolean }): void {
    const reason = typeof data.skip === 'string' && data.skip !== '' ? data.skip : 'no reason given'
    const names = this.skipped.get(reason) ?? []
    names.push(`${relative(ROOT, data.file ?? '')}: ${data.name}`)
    this.skipped.set(reason, names)
  }

  // Each run ends with its own sums, `tests 12` and so on; the reader wants one of each.
  #isTotal(message: string): boolean {
    const [, name, value] = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/.exec(message) ?? []
    if (name) this.#totals.set(name, (this.#totals.get(name) ?? 0) + Number(value))
    return name !== undefined
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ options: { long: { type: 'boolean' } }, allowPositionals: true })
  for (const path of positionals) statSync(path)
  const files = plan(positionals, values.long === true)
  const talksToOthers = [...files.unit, ...files.system, ...files.long].some((file) => /^(lab|test|bench)\//.test(file))
  const absent = (talksToOthers ? ensurePackages(PEERS) : []).flatMap((state, i) =>
    typeof state === 'string' ? [] : [`${PEERS[i]!.command}: ${state.missing}`],
  )
  const isTidy = positionals.length > 0 || tidy()
  const results = new Results()
  await results.add(files.unit, UNIT_CONCURRENCY, FILE_TIMEOUT_MS)
  await results.add(files.system, 1, FILE_TIMEOUT_MS)
  await results.add(files.long, 1, LONG_TIMEOUT_MS)
  const passed = await results.finish()
  for (const reason of absent) console.log(`not installed: ${reason}`)
  for (const [reason, names] of results.skipped)
    console.log(`skipped, ${reason}:\n${names.map((name) => `  ${name}\n`).join('')}`)
  if (needs()) console.log('Run `npm test` as root to test all of it.')
  if (!isTidy) console.log('The tests above ran, but the code is not tidy: see the top, or `npm run tidy`.')
  return passed && isTidy ? 0 : 1
}

process.exitCode = await main()
