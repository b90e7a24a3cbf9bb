/**
 * A short run of a benchmark, for tests of what it hands back. Nothing is asked of how fast: a machine that runs tests is
 * busy.
 */

import { ok } from 'node:assert/strict'
import type { Bench, BenchRow } from './report.ts'

export class ShortRun {
  readonly rows: readonly BenchRow[]
  /** By file name. */
  readonly plots: ReadonlyMap<string, string>

  static async of(bench: Bench): Promise<ShortRun> {
    const plots = new Map<string, string>()
    const { rows } = await bench({ quick: true, say() {}, plot: (name, svg) => void plots.set(name, svg) })
    return new ShortRun(rows, plots)
  }

  private constructor(rows: readonly BenchRow[], plots: ReadonlyMap<string, string>) {
    this.rows = rows
    this.plots = plots
  }

  /** The rows that say this, of which there is one at least. */
  figure(what: RegExp): BenchRow[] {
    const found = this.rows.filter((row) => what.test(row.what))
    ok(found.length > 0, `no row ${what}`)
    return found
  }
}
