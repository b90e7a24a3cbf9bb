import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { SwitchBatch } from '../wire/control/switch.ts'
import { hostBatchesOf, switchBatchOf } from './edge.ts'
import { HeldFib } from './held-fib.ts'
import { Placement } from './placement.ts'
import { recoverPlaces } from './recover.ts'

function siteOf(vip: string): Site {
  const { site, errors } = parseSite(`
    site: s
    gateway: { mac: 02:67:68:00:00:01 }
    vips: [{ name: v1, address: 10.255.0.1 }, { name: v2, address: 10.255.0.2 }]
    clusters:
      - { name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [p] }] }
      - { name: green, vips: [v2], nodes: [{ name: g1, address: 10.0.1.2, ports: [q], weight: 2 }] }
    switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a], balances: [{ vip: v1 }, { vip: v2 }] }]
    hosts: [{ name: h1, address: 10.0.2.1, tunnel: gre }]
    tenants:
      - name: acme
        vni: 7
        vip: ${vip}
        connections: [{ name: dc, switch: edge, port: a, vlan: 5, gateway: [192.168.1.1/24] }]
        vpcs: [{ name: prod, key: 9, machines: [{ name: web, address: 172.16.0.5, host: h1 }] }]`)
  ok(site, JSON.stringify(errors))
  return site
}

/** A cluster's nodes hold the tenant and send for it from this address. */
function holding(vip: string): HeldFib {
  const held = new HeldFib()
  held.apply({
    ...{ cluster: '', epoch: 1, generation: 1, base: 1, snapshot: true },
    tenants: [{ id: 1, name: 'acme', vip: parseAddress(vip)!, segments: [], policies: [] }],
    removedTenants: new Uint32Array(0),
    nextHops: [],
    removedNextHops: new Uint32Array(0),
    routes4: new RouteColumnsBuilder(1).build(),
    routes6: new RouteColumnsBuilder(4).build(),
  })
  return held
}

const VIP1 = parseAddress('10.255.0.1')!
const VIP2 = parseAddress('10.255.0.2')!

test('a switch is told where tenants are, and the nodes of the VIPs that it spreads', () => {
  const site = siteOf('v1')
  const placement = new Placement()
  placement.setSite(site)
  deepEqual(switchBatchOf(site, site.switches[0]!, placement).attachments, [], 'nobody holds the tenant yet')
  placement.recoverTenant('acme', 'v1')
  deepEqual(switchBatchOf(site, site.switches[0]!, placement), {
    switch: 'edge',
    address: parseAddress('10.0.0.1'),
    vips: [VIP1, VIP2],
    attachments: [{ port: 'a', vlan: 5, vni: 7, vip: VIP1 }],
    balances: [
      { vip: VIP1, selection: 'resilient', nodes: [{ name: 'b1', address: parseAddress('10.0.1.1'), weight: 1 }] },
      { vip: VIP2, selection: 'resilient', nodes: [{ name: 'g1', address: parseAddress('10.0.1.2'), weight: 2 }] },
    ],
  })
})

test('a control module that takes over in the middle of a move has switches and hosts send where they sent', () => {
  const before = siteOf('v1')
  const then = new Placement()
  then.setSite(before)
  then.recoverTenant('acme', 'v1')
  const last: SwitchBatch = { ...switchBatchOf(before, before.switches[0]!, then), epoch: 1, generation: 3 }

  const site = siteOf('v2')
  const placement = new Placement()
  placement.setSite(site)
  const held = new Map([
    ['blue', holding('10.255.0.1')],
    ['green', holding('10.255.0.2')],
  ])
  recoverPlaces(site, [last], held, placement)
  equal(placement.vipOf('acme'), 'v1')
  deepEqual(Object.fromEntries(placement.holdersOf('acme')), { blue: 'v1', green: 'v2' })
  deepEqual(hostBatchesOf(site, placement).get('h1'), {
    host: 'h1',
    exits: [{ key: 9, vip: VIP1, accepts: [VIP1, VIP2] }],
  })
})

test('a control module that takes over while the old place drains lets it drain', () => {
  const site = siteOf('v2')
  const told = new Placement()
  told.setSite(site)
  told.recoverTenant('acme', 'v2')
  const last: SwitchBatch = { ...switchBatchOf(site, site.switches[0]!, told), epoch: 1, generation: 3 }
  const placement = new Placement()
  placement.setSite(site)
  const held = new Map([
    ['blue', holding('10.255.0.1')],
    ['green', holding('10.255.0.2')],
  ])
  recoverPlaces(site, [last], held, placement)
  deepEqual(placement.vipsOf('acme'), ['v2', 'v1'])
  deepEqual(Object.fromEntries(placement.holdersOf('acme')), { green: 'v2', blue: 'v1' })
})
