import { equal, match } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { benchRow, formatNumber, formatReport } from './report.ts'

suite('a row', () => {
  test('is held against the ratio where there is a peer', () => {
    const row = benchRow({ what: 'lookups', value: 80, unit: 'M/s', peer: 'rte_fib', peerValue: 100, bar: 0.7, aim: 1 })
    equal(row.ratio, 0.8)
    equal(row.pass, true)
    equal(benchRow({ ...row, what: 'x', peer: 'p', peerValue: 200, bar: 0.7, aim: 1 }).pass, false)
  })

  test('is held against the value where there is none, in the direction that is good', () => {
    equal(benchRow({ what: 'memory', value: 90, unit: 'MB', bar: 100, better: 'lower' }).pass, true)
    equal(benchRow({ what: 'memory', value: 110, unit: 'MB', bar: 100, better: 'lower' }).pass, false)
    equal(benchRow({ what: 'updates', value: 110, unit: '/s', bar: 100 }).pass, true)
  })

  test('says neither reached nor not where something was not measured', () => {
    const row = benchRow({ what: 'lookups', value: 80, unit: 'M/s', peer: 'rte_fib (needs root)', bar: 0.7 })
    equal(row.pass, null)
    equal(row.ratio, null)
    match(formatReport({ bench: 'b', machine: 'm', rows: [row] }), /needs root\): not measured/)
  })
})

test('numbers have three digits and commas', () => {
  equal(formatNumber(0.9812), '0.981')
  equal(formatNumber(12.34), '12.3')
  equal(formatNumber(1234567), '1,230,000')
  equal(formatNumber(0), '0')
})
