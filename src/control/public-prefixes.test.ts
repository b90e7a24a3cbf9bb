import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress, parsePrefix } from '../base/address.ts'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { fibBatch } from '../wire/control/fib.ts'
import { FibComposer } from './compose.ts'
import { HeldFib } from './held-fib.ts'
import type { SingleHop } from './hop.ts'
import { indexSite } from './network.ts'
import { formatKey, keyOf } from './prefix-key.ts'
import { PublishedRoutes } from './published-routes.ts'
import { Tenants } from './tenants.ts'

function siteWith(prefixes: string, more = ''): Site {
  const { site, errors } = parseSite(`
    site: s
    vips: [{ name: v1, address: 10.255.0.1 }]
    clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [p] }] }]
    switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
    hosts:
      - { name: gre, address: 10.0.2.1, tunnel: gre }
      - { name: vxlan, address: 10.0.2.2, tunnel: vxlan, mtu: 9000 }
    tenants:
      - name: internet
        vni: 1
        vip: v1
        connections: [{ name: isp, switch: edge, port: a, gateway: [192.0.2.1/30] }]
        routes: [{ prefix: 0.0.0.0/0, via: [192.0.2.2] }]
      - name: acme
        vni: 2
        vip: v1
        vpcs:
          - name: web
            subnets:
              - { prefix: 203.0.113.0/28, host: gre }
              - { prefix: 203.0.113.16/28, host: vxlan, gateway: 203.0.113.17 }
              - { prefix: 203.0.113.32/28 }
            machines:
              - { name: m1, address: 203.0.113.33, host: gre }
              - { name: m2, address: 203.0.113.34, host: vxlan, mac: 02:00:00:00:00:01 }
          - { name: private, key: 9, subnets: [{ prefix: 10.1.0.0/16 }] }
        public: { vrf: internet, prefixes: [${prefixes}] }
        routes: [{ prefix: 0.0.0.0/0, vrf: internet }]
      ${more}`)
  ok(site, JSON.stringify(errors))
  return site
}

function tenantsOf(site: Site): Tenants {
  const tenants = new Tenants(new PublishedRoutes())
  tenants.build(site, indexSite(site))
  return tenants
}

/** Of the VRF `internet`: what leads to others. */
function publicOf(tenants: Tenants): Record<string, string> {
  const fib = tenants.fibs.get('internet')!
  const names = new Map(Array.from(tenants.fibs.values(), ({ id, name }) => [id, name]))
  const told = Array.from(fib.routes, ([key, id]) => {
    const hop = fib.hops.get(id)! as SingleHop
    if (hop.kind === 'vrf') return [formatKey(key), `vrf ${names.get(hop.into)}`]
    if (hop.kind !== 'public') return [formatKey(key), hop.kind]
    const machine = hop.address ? ` ${formatAddress(hop.address)}` : ''
    return [
      formatKey(key),
      `${hop.tunnel} ${hop.key} ${formatAddress(hop.remote)}${machine} of ${names.get(hop.owner)}`,
    ]
  })
  return Object.fromEntries(told.filter(([prefix]) => prefix!.startsWith('203.')))
}

test('a VRF leads to the machines in public prefixes of other tenants, and discards what is between them', () => {
  deepEqual(publicOf(tenantsOf(siteWith('203.0.113.0/24'))), {
    '203.0.113.0/24': 'discard',
    '203.0.113.0/28': 'gre 2 10.0.2.1 of acme',
    // Its machines have to be asked for, which their own VRF does.
    '203.0.113.16/28': 'vrf acme',
    '203.0.113.33/32': 'gre 2 10.0.2.1 of acme',
    '203.0.113.34/32': 'vxlan 2 10.0.2.2 203.0.113.34 of acme',
  })
})

test('of a subnet that is wider than the prefix, only that part of it', () => {
  deepEqual(publicOf(tenantsOf(siteWith('203.0.113.8/29, 203.0.113.34/32'))), {
    '203.0.113.8/29': 'gre 2 10.0.2.1 of acme',
    '203.0.113.34/32': 'vxlan 2 10.0.2.2 203.0.113.34 of acme',
  })
})

test('a route into a VRF names its tenant by number, which a node that is too old refuses', () => {
  const tenants = tenantsOf(siteWith('203.0.113.0/24'))
  const acme = tenants.fibs.get('acme')!
  const hop = acme.hops.get(acme.routes.get(keyOf(parsePrefix('0.0.0.0/0')!))!)!
  ok(hop.kind === 'vrf')
  equal(hop.into, tenants.fibs.get('internet')!.id)
  const composer = new FibComposer()
  composer.addWhole(acme, '10.255.0.1')
  const bytes = fibBatch.encode(composer.build({ cluster: 'blue', epoch: 1, generation: 1, base: 0, snapshot: true }))
  equal(bytes[3], 5)
})

test('the next leader knows what leads to other tenants by the numbers that it has', () => {
  const site = siteWith('203.0.113.0/24')
  const before = tenantsOf(site)
  const composer = new FibComposer()
  for (const fib of before.fibs.values()) composer.addWhole(fib, '10.255.0.1')
  const held = new HeldFib()
  held.apply(composer.build({ cluster: 'blue', epoch: 1, generation: 1, base: 0, snapshot: true }))
  const after = new Tenants(new PublishedRoutes())
  held.teach(after.numbering)
  after.build(site, indexSite(site))
  const wanted = new Map(Array.from(after.fibs.values(), (fib) => [fib, '10.255.0.1'] as const))
  equal(held.differenceTo(wanted).isEmpty, true)
})

test('prefixes that are public no more are gone from the VRF', () => {
  const tenants = tenantsOf(siteWith('203.0.113.0/24'))
  const site = siteWith('203.0.113.0/28')
  tenants.build(site, indexSite(site))
  deepEqual(publicOf(tenants), { '203.0.113.0/28': 'gre 2 10.0.2.1 of acme' })
})
