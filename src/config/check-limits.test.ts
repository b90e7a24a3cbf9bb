import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { checkLimits } from './check-limits.ts'
import { parseSite } from './load.ts'
import type { Loose } from './loose.ts'
import { formatPath } from './position.ts'
import type { Site } from './site.ts'

function errorsOf(site: Loose<Site>): string[] {
  const errors: string[] = []
  checkLimits(site, (path, message) => errors.push(`${formatPath(path)}: ${message}`))
  return errors
}

const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
const tenantsOf = (vip: string, count: number): Loose<Site>['tenants'] => many(count, () => ({ vip }))

test('a cluster holds the tenants of all of its VIPs', () => {
  const clusters = [{ vips: ['v1', 'v2'] }, { vips: ['v2'] }]
  const of = (first: number, second: number): string[] =>
    errorsOf({ clusters, tenants: [...tenantsOf('v1', first)!, ...tenantsOf('v2', second)!] })
  deepEqual(of(5120, 5120), [])
  deepEqual(of(5120, 5121), ['clusters[0].vips: these VIPs have 10241 tenants; a cluster holds at most 10240'])
})

test('a switch takes so many connections, counted over all tenants', () => {
  const connections = many(3, () => ({ switch: 'edge' }))
  const tenants = many(4096, () => ({ connections }))
  deepEqual(errorsOf({ switches: [{ name: 'edge' }, { name: 'other' }], tenants }), [])
  deepEqual(errorsOf({ switches: [{ name: 'other' }, { name: 'edge' }], tenants: [...tenants, { connections }] }), [
    'switches[1]: 12291 connections are attached here; a switch takes at most 12288',
  ])
})

const balancesOf = (count: number, selection: 'modulo' | 'resilient') =>
  many(count, (i) => ({ vip: `v${i}`, selection }))
const clusterOf = (vips: number, nodes: number, weight: number): Loose<Site>['clusters'] => [
  { vips: many(vips, (i) => `v${i}`), nodes: many(nodes, () => ({ weight })) },
]

test('a switch balances as many VIPs as there is room for their groups', () => {
  const resilient = (count: number): string[] =>
    errorsOf({ clusters: clusterOf(count, 3, 1), switches: [{ balances: balancesOf(count, 'resilient') }] })
  deepEqual(resilient(96), [])
  deepEqual(resilient(97), [
    "switches[0].balances: they take 794624 places of the 786432 that a switch has for them: a resilient VIP takes 8192, a modulo one four for each unit of its nodes' weight",
  ])
  const modulo = (count: number, nodes: number, weight: number): string[] =>
    errorsOf({ clusters: clusterOf(count, nodes, weight), switches: [{ balances: balancesOf(count, 'modulo') }] })
  deepEqual(modulo(2048, 3, 1), [])
  deepEqual(modulo(4, 256, 256).length, 1)
  deepEqual(modulo(70, 256, 1), [
    'switches[0].balances: with the nodes behind them they take 107800 slots of the 98304 that a switch has',
  ])
})

test('uplinks and ports together are numbered in a byte, and the error has its place', () => {
  const names = (prefix: string, count: number): string => many(count, (i) => `${prefix}${i}`).join(', ')
  const site = (uplinks: number, ports: number): string =>
    `site: s\ngateway: { mac: 02:67:68:00:00:01 }\nswitches:\n  - name: edge\n    address: 10.0.0.1\n    uplinks: [${names('up', uplinks)}]\n    ports: [${names('p', ports)}]\n`
  deepEqual(parseSite(site(56, 200)).errors, undefined)
  deepEqual(parseSite(site(56, 201)).errors, [
    {
      ...{ line: 7, column: 12, path: 'switches[0].ports' },
      message: 'with its uplinks the switch has 257 ports; it may have 256',
    },
  ])
})

test('each worker of a module may have a queue of each port, as long as there are frames for all', () => {
  const ports = (count: number): string[] => many(count, (i) => `p${i}`)
  const node = (count: number, workers: number): string[] =>
    errorsOf({ clusters: [{ nodes: [{ ports: ports(count), workers }] }] })
  deepEqual([...node(256, 2), ...node(8, 64), ...node(256, 1)], [])
  deepEqual(node(256, 3), [
    'clusters[0].nodes[0].workers: 256 ports of 3 workers have 768 queues; there are frames for 512',
  ])
  const edge = (uplinks: number, count: number, workers: number): string[] =>
    errorsOf({ switches: [{ uplinks: ports(uplinks), ports: ports(count), workers }] })
  deepEqual(edge(56, 200, 2), [])
  deepEqual(edge(2, 7, 64), ['switches[0].workers: 9 ports of 64 workers have 576 queues; there are frames for 512'])
})
