import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { before, suite, test } from 'node:test'
import { needs } from '../lab/needs.ts'
import { benchForward } from './forward.ts'
import { ShortRun } from './short-run.ts'

suite('a short run of the forwarding benchmark', { skip: needs('ip') }, () => {
  let run: ShortRun
  before(async () => {
    run = await ShortRun.of(benchForward)
  })
  const figure = (what: RegExp) => run.figure(what)

  test('every packet is accounted for between sender, node and receiver', () => {
    deepEqual(
      figure(/^unaccounted for/).map(({ value, pass }) => [value, pass]),
      [[0, true]],
    )
  })

  test('the promises of the design are among the rows, with their bars', () => {
    const bars = (what: RegExp) => [...new Set(figure(what).map(({ bar, aim }) => `${bar} ${aim}`))]
    deepEqual(bars(/^VXLAN to (VXLAN|GRE), 64 B, .*, per CPU-second$/), ['1.5 2.5'])
    deepEqual(bars(/^VXLAN to (VXLAN|GRE), 64 B, [\w ,]*tenants?$/), ['0.9 1'])
    deepEqual(bars(/^figure 11: p(50|99) latency at half load/), ['1.5 1'])
    deepEqual(bars(/^longest stall while (?!nothing)/), ['5 1'])
    deepEqual(bars(/^pipeline on memory ports/), ['10000000 20000000'])
    equal(figure(/^longest stall/).length, 6)
  })

  test('what is measured has a value, and what is compared a peer in the same run', () => {
    for (const row of run.rows) {
      ok(row.value === null || Number.isFinite(row.value), row.what)
      ok(row.ratio === null || row.peer !== null, row.what)
    }
    for (const { what, value, peer_value } of figure(/^figure 1[01]/)) ok(value! > 0 && peer_value! > 0, what)
    for (const { value } of figure(/^FIB updates while forwarding/)) ok(value! > 0)
    const loads = figure(/^figure 10: .* at (half|full) load/)
    const lost = figure(/^packets lost at (half|full) load/)
    equal(loads.length, lost.length)
    for (const { value, unit } of lost) ok(unit === '%' && value! >= 0 && value! <= 100)
  })

  test('a plot a figure', () => {
    const names = ['latency-full-load', 'latency-half-load', 'loss', 'throughput-by-load', 'throughput']
    deepEqual([...run.plots.keys()].sort(), names.map((name) => `forward-${name}.svg`).sort())
    for (const svg of run.plots.values()) ok(svg.includes('</svg>') && !svg.includes('NaN'))
  })

  test('nothing is left behind', () => {
    deepEqual(
      readdirSync('/run/netns').filter((name) => name.startsWith(`gh-${process.pid}-`)),
      [],
    )
  })
})
