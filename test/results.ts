/**
 * What comes of several runs of node:test: tests as they pass or fail, one of each sum, and at the end what was not tested
 * and why.
 */

import { relative } from 'node:path'
import { spec } from 'node:test/reporters'

/** As node:test's stream has them. */
interface TestEvent {
  readonly type: string
  readonly data: unknown
}

interface SkippedTest {
  readonly name: string
  readonly file?: string
  readonly skip?: string | boolean
}

const SUM = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/

export class Results {
  readonly #root: string
  readonly #skipped = new Map<string, string[]>()
  readonly #spec = spec()
  readonly #totals = new Map<string, number>()

  constructor(root: string, output: NodeJS.WritableStream) {
    this.#root = root
    this.#spec.pipe(output)
  }

  take({ type, data }: TestEvent): void {
    if (type === 'test:pass') this.#noteSkipped(data as SkippedTest)
    if (type === 'test:diagnostic' && this.#isTotal((data as { message: string }).message)) return
    if (type !== 'test:summary') this.#spec.write({ type, data })
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

  /** What was skipped, by reason, in paragraphs. */
  skipped(): string[] {
    return Array.from(
      this.#skipped,
      ([reason, names]) => `skipped, ${reason}:\n${names.map((name) => `  ${name}\n`).join('')}`,
    )
  }

  #noteSkipped({ name, file, skip }: SkippedTest): void {
    if (skip === undefined || skip === false) return
    const reason = typeof skip === 'string' && skip !== '' ? skip : 'no reason given'
    const names = this.#skipped.get(reason) ?? []
    names.push(`${relative(this.#root, file ?? '')}: ${name}`)
    this.#skipped.set(reason, names)
  }

  // Each run ends with its own sums, `tests 12` and so on; the reader wants one of each.
  #isTotal(message: string): boolean {
    const [, name, value] = SUM.exec(message) ?? []
    if (name) this.#totals.set(name, (this.#totals.get(name) ?? 0) + Number(value))
    return name !== undefined
  }
}
