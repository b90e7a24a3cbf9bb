import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { before, suite, test } from 'node:test'
import { needs } from '../lab/needs.ts'
import { benchControl } from './control.ts'
import { ShortRun } from './short-run.ts'

suite('a short run of the benchmark of the control module', { skip: needs('ip', 'bird', 'nats-server') }, () => {
  let run: ShortRun
  before(async () => {
    run = await ShortRun.of(benchControl)
  })

  test('what is measured has a value', () => {
    for (const { what, value } of run.rows) ok(value !== null && Number.isFinite(value) && value >= 0, what)
  })

  test('figure 14: routes of one VRF and of several reach every FIB and leave it', () => {
    for (const kind of ['announce', 'withdraw']) {
      const rowsOf = (vrfs: string, bus: string) =>
        run
          .figure(new RegExp(`routes of ${vrfs}, BGP message to every FIB, ${bus}, ${kind}$`))
          .map(({ unit, bar }) => [unit, bar])
      const both = [
        ['s', null],
        ['s', 0.05],
      ]
      for (const vrfs of ['1 VRF', '10 VRFs']) deepEqual(rowsOf(vrfs, 'embedded bus'), both)
      deepEqual(rowsOf('10 VRFs', 'three nats-servers'), both.slice(1))
    }
  })

  test('failovers are told with their detection apart, and held against ten milliseconds', () => {
    const judged = run.figure(/to the first packet on the backup: p99$/)
    deepEqual(
      judged.map(({ bar, unit }) => [bar, unit]),
      [
        [10, 'ms'],
        [10, 'ms'],
      ],
    )
    equal(run.figure(/until the switch has seen and said it: p99$|detection by BFD of .*: p99$/).length, 2)
  })

  test('a plot a figure', () => {
    deepEqual([...run.plots.keys()].sort(), ['control-announce.svg', 'control-failover.svg', 'control-withdraw.svg'])
    for (const svg of run.plots.values()) ok(svg.includes('</svg>') && !svg.includes('NaN'))
  })

  test('nothing is left behind', () => {
    deepEqual(
      readdirSync('/run/netns').filter((name) => name.startsWith(`gh-${process.pid}-`)),
      [],
    )
  })
})
