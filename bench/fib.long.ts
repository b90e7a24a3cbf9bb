import { deepEqual, equal, ok } from 'node:assert/strict'
import { before, suite, test } from 'node:test'
import { benchFib } from './fib.ts'
import { ShortRun } from './short-run.ts'

suite('a short run of the benchmark of the FIB', () => {
  let run: ShortRun
  before(async () => {
    run = await ShortRun.of(benchFib)
  })
  const figure = (what: RegExp) => run.figure(what)

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
    for (const { what, value, ratio, peer } of run.rows) {
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
    deepEqual([...run.plots.keys()].sort(), ['fib-lookups.svg', 'fib-memory.svg'])
    for (const svg of run.plots.values()) ok(svg.includes('</svg>') && !svg.includes('NaN'))
  })
})
