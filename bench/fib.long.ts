import { deepEqual, equal, ok } from 'node:assert/strict'
import { before, suite, test } from 'node:test'
import { benchFib } from './fib.ts'
import type { BenchDocument } from './report.ts'

// Nothing here says how fast: a machine that runs tests is busy.
suite('a short run of the benchmark of the FIB', () => {
  const plots = new Map<string, string>()
  let document: BenchDocument

  before(async () => {
    document = await benchFib({ quick: true, say() {}, plot: (name, svg) => void plots.set(name, svg) })
  })

  const figure = (what: RegExp) => {
    const found = document.rows.filter((row) => what.test(row.what))
    ok(found.length > 0, `no row ${what}`)
    return found
  }

  test('the promises of the design are among the rows, with their bars', () => {
    const bars = (what: RegExp) => figure(what).map(({ bar, aim }) => [bar, aim])
    deepEqual(bars(/^FIB lookup, .*half of the addresses random$/), [[0.7, 1]])
    deepEqual(bars(/^FIB updates while a thread looks up/), [[0.5, 1]])
    deepEqual(bars(/^that thread's lookups$/), [[0.98, 0.99]])
    deepEqual(bars(/^FIB memory, 10 K tenants of 100 scattered routes/), [[100, 20]])
    deepEqual(bars(/^one FIB of .* prefixes: (load|memory)$/), [
      [10, 5],
      [1500, 800],
    ])
  })

  test('what is measured has a value, and what is compared a peer in the same run', () => {
    for (const { what, value, ratio, peer } of document.rows) {
      ok(value! > 0 && Number.isFinite(value), what)
      ok(ratio === null || peer !== null, what)
    }
  })

  test('a tenant that shrinks gives back what it grew by', () => {
    const [most] = figure(/^FIB memory, at most, as 50 of 10 K tenants in turn fill/)
    const [after] = figure(/^and after they have shrunk back$/)
    equal(after!.ratio, 1)
    ok(most!.value! > after!.value!)
  })

  test('a plot a figure', () => {
    deepEqual([...plots.keys()].sort(), ['fib-lookups.svg', 'fib-memory.svg'])
    for (const svg of plots.values()) ok(svg.includes('</svg>') && !svg.includes('NaN'))
  })
})
