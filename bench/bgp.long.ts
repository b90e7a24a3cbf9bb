import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { before, suite, test } from 'node:test'
import { needs } from '../lab/needs.ts'
import { benchBgp } from './bgp.ts'
import { ShortRun } from './short-run.ts'

suite('a short run of the BGP benchmark', { skip: needs('ip', 'vtysh', 'bird') }, () => {
  let run: ShortRun
  before(async () => {
    run = await ShortRun.of(benchBgp)
  })
  const figure = (what: RegExp) => run.figure(what)
  const peersOf = (what: RegExp) => figure(what).map(({ peer }) => peer)

  test('what is measured has a value, and what is compared a peer in the same run', () => {
    for (const { what, value, peer, peer_value } of run.rows) {
      ok(value !== null && Number.isFinite(value), what)
      ok(peer === null || peer_value! > 0, what)
    }
  })

  test('a table passes through Gatehouse, FRR and BIRD', () => {
    for (const kind of ['announce', 'withdraw'])
      deepEqual(peersOf(new RegExp(`^BGP, 10,000 routes, ${kind}$`)), ['FRR', 'BIRD'])
  })

  test('VPN routes go into VRFs by 300 route targets, and the same ones through FRR', () => {
    for (const kind of ['announce', 'withdraw']) {
      const [row] = figure(
        new RegExp(`VPN routes from a peer into the tables of .* VRFs by 300 route targets, ${kind}$`),
      )
      deepEqual([row!.peer, row!.unit], ['FRR', 'routes/s'])
      ok(row!.value! > 0 && row!.ratio! > 0)
    }
    deepEqual(
      figure(/^routes into VRFs, 300 route targets, .* VRFs$/).map(({ bar }) => bar),
      [500_000],
    )
  })

  test('figure 13: routes of many neighbours of many VRFs are announced, withdrawn and reported', () => {
    for (const kind of ['announce', 'withdraw'])
      deepEqual(peersOf(new RegExp(`VRFs with 8 neighbours each.*, .* routes, ${kind}$`)), ['FRR', 'BIRD'])
    for (const kind of ['announce', 'withdraw', 'report to the control module'])
      ok(figure(new RegExp(`VRFs with 8 neighbours each.*, .* routes, ${kind}: time$`))[0]!.value! > 0)
  })

  test('what the history costs a load is told', () => {
    deepEqual(new Set(peersOf(/each update recorded$/)), new Set(['without history']))
  })

  test('no session flaps', () => {
    for (const { what, value } of figure(/sessions flapped$/)) equal(value, 0, what)
  })

  test('a plot a figure', () => {
    deepEqual([...run.plots.keys()].sort(), [
      'bgp-announce.svg',
      'bgp-vrfs-peers.svg',
      'bgp-vrfs.svg',
      'bgp-withdraw.svg',
    ])
    for (const svg of run.plots.values()) ok(svg.includes('</svg>') && !svg.includes('NaN'))
  })

  test('nothing is left behind', () => {
    deepEqual(
      readdirSync('/run/netns').filter((name) => name.startsWith(`gh-${process.pid}-`)),
      [],
    )
  })
})
