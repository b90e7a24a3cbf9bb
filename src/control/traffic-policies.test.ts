import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatAddress, parseAddress, parsePrefix } from '../base/address.ts'
import { parseSite } from '../config/load.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { type FibBatch, fibBatch } from '../wire/control/fib.ts'
import { FibComposer } from './compose.ts'
import { HeldFib } from './held-fib.ts'
import { Ids } from './ids.ts'
import { indexSite, networkOf, type TenantNetwork } from './network.ts'
import type { PathPlaces } from './path-order.ts'
import { keyOf } from './prefix-key.ts'
import { PublishedRoutes } from './published-routes.ts'
import { TenantFib } from './tenant-fib.ts'

const ROUTE = '{ prefix: 10.1.0.0/16, via: [192.168.1.2, 192.168.2.2] }'

interface Wish {
  policies: string
  routes?: string
  /** Connections whose probes are down. */
  down?: string[]
  ids?: Ids
}

function networkFrom({ policies, routes = ROUTE, down, ids = new Ids() }: Wish): TenantNetwork {
  const { site, errors } = parseSite(`
    site: s
    vips: [{ name: v1, address: 10.255.0.1 }]
    clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [p] }] }]
    switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
    hosts: [{ name: h, address: 10.0.2.1, tunnel: gre }]
    tenants:
      - name: acme
        vni: 1001
        vip: v1
        connections:
          - { name: mpls, switch: edge, port: a, vlan: 1, gateway: [192.168.1.1/24] }
          - { name: internet, switch: edge, port: a, vlan: 2, vni: 1002, gateway: [192.168.2.1/24] }
          - { name: lte, switch: edge, port: a, vlan: 3, vni: 1003, gateway: [192.168.3.1/24] }
        vpcs: [{ name: p, machines: [{ name: m, address: 172.16.0.5, host: h }] }]
        policies: [${policies}]
        routes: [${routes}]`)
  ok(site, JSON.stringify(errors))
  const order: PathPlaces = {
    stateOf: (name) => (down?.includes(name) ? 1 : 0),
    placeOf: (name) => ['mpls', 'internet', 'lte'].indexOf(name ?? ''),
  }
  const orders = new Map(down ? [['acme', order]] : [])
  return networkOf(site.tenants[0]!, indexSite(site, new Set(), new Set(), orders), ids)
}

const fibOf = (network: TenantNetwork): TenantFib => new TenantFib('acme', 1, network, new Ids())

/** `by`, with what it leads to: `192.168.1.2*2+192.168.1.3`, what shares, `or` its backups. */
function text(fib: TenantFib, id: number): string {
  const hop = fib.hops.get(id)!
  if (hop.kind === 'peer') return formatAddress(hop.address)
  if (hop.kind === 'group')
    return hop.members
      .map(({ nextHop, weight }) => text(fib, nextHop) + (weight === 1 ? '' : `*${weight}`))
      .sort()
      .join('+')
  if (hop.kind === 'failover') return Array.from(hop.members, (member) => text(fib, member)).join(' or ')
  return hop.kind
}

/** The ordinary way to the prefix, and then those of the policies in their order. */
function waysTo(fib: TenantFib, prefix = '10.1.0.0/16'): string[] {
  const id = fib.routes.get(keyOf(parsePrefix(prefix)!))!
  const hop = fib.hops.get(id)!
  if (hop.kind !== 'policy') return [text(fib, id)]
  const found = fib.policies.map(({ way }) => hop.ways.find((one) => one.way === way)?.nextHop)
  return [text(fib, hop.ordinary), ...found.map((member) => (member === undefined ? 'none' : text(fib, member)))]
}

function publish(
  fib: TenantFib,
  published: PublishedRoutes,
  origin: string,
  gateways: string[],
  preference = 100,
): void {
  const routes4 = new RouteColumnsBuilder(1)
  routes4.add4(0, 0x0a010000, 16, 1)
  const routes6 = new RouteColumnsBuilder(4).build()
  const set = gateways.map((one) => ({ address: parseAddress(one)!, weight: 1, backup: false }))
  const batch = {
    origin,
    preference,
    replaces: true,
    tenants: ['acme'],
    gateways: [set],
    routes4: routes4.build(),
    routes6,
  }
  equal(typeof published.take(batch), 'object')
  fib.setPublished(published.of('acme'), [keyOf(parsePrefix('10.1.0.0/16')!)])
}

suite('rules', () => {
  test('are what the alternatives of a policy come to, in the order of the policies', () => {
    const { policies } = networkFrom({
      policies: `{ name: web, match: { protocol: [tcp, udp], destination_port: [443, { from: 8000, to: 8099 }] }, by: [lte, mpls], only: true },
                 { name: no-lab, match: { source: 10.9.0.0/16, dscp: ef }, discard: true }`,
    })
    const [web, lab] = policies
    deepEqual(
      web!.rules.map(
        ({ protocol, destinationPorts }) => `${protocol} ${destinationPorts!.from}-${destinationPorts!.to}`,
      ),
      ['6 443-443', '6 8000-8099', '17 443-443', '17 8000-8099'],
    )
    deepEqual([web!.name, web!.only, web!.balanced, web!.segments.length], ['web', true, false, 2])
    deepEqual(lab, {
      ...{ name: 'no-lab', way: 0, segments: new Uint32Array(), balanced: false, only: false },
      rules: [
        {
          ...{ source: parsePrefix('10.9.0.0/16'), destination: undefined, protocol: undefined, dscp: 46 },
          ...{ sourcePorts: undefined, destinationPorts: undefined },
        },
      ],
    })
  })

  test('of the same connections in the same order have the same way', () => {
    const by = [
      'mpls',
      '[mpls, lte]',
      '[lte, mpls]',
      '[mpls, lte], balanced: true',
      'mpls, only: true',
      'mpls, balanced: true',
    ]
    const { policies } = networkFrom({ policies: by.map((one, i) => `{ name: p${i}, by: ${one} }`).join(', ') })
    const ways = policies.map(({ way }) => way)
    equal(new Set(ways).size, 4)
    deepEqual([ways[4], ways[5]], [ways[0], ways[0]])
  })
})

suite('ways to a destination', () => {
  const INTERNET = '{ name: a, by: internet }'

  test('are the next hops of its route on the connections that a policy names', () => {
    const routes = '{ prefix: 10.1.0.0/16, via: [192.168.1.2, 192.168.1.3, { to: 192.168.2.2, backup: true }] }'
    const policies = `${INTERNET}, { name: b, by: [internet, mpls] }, { name: c, by: [mpls, internet], balanced: true }, { name: d, by: lte }`
    deepEqual(waysTo(fibOf(networkFrom({ policies, routes }))), [
      '192.168.1.2+192.168.1.3 or 192.168.2.2',
      '192.168.2.2',
      '192.168.2.2 or 192.168.1.2+192.168.1.3',
      '192.168.1.2+192.168.1.3 or 192.168.2.2',
      'none',
    ])
  })

  test('may be of routes that have lost to the best: the most preferred on the connection counts', () => {
    const fib = fibOf(networkFrom({ policies: `${INTERNET}, { name: b, by: lte }`, routes: '' }))
    const published = new PublishedRoutes()
    publish(fib, published, 'bgp-1', ['192.168.1.2'], 10)
    deepEqual(waysTo(fib), ['192.168.1.2', 'none', 'none'])
    publish(fib, published, 'bgp-2', ['192.168.2.2'], 20)
    publish(fib, published, 'bgp-3', ['192.168.3.2', '192.168.2.3'], 30)
    deepEqual(waysTo(fib), ['192.168.1.2 or 192.168.2.2', '192.168.2.2', '192.168.3.2'])
    // The file's own route comes before all, and hides none.
    fib.setNetwork(networkFrom({ policies: INTERNET, routes: '{ prefix: 10.1.0.0/16, via: [192.168.1.9] }' }))
    deepEqual(waysTo(fib), ['192.168.1.9', '192.168.2.2'])
  })

  test('are none over a connection whose probes are down, and routes are not told again for that', () => {
    const policies = `${INTERNET}, { name: b, by: [internet, mpls] }`
    const ids = new Ids()
    const fib = fibOf(networkFrom({ policies, down: [], ids }))
    fib.takeChanges()
    deepEqual(waysTo(fib).slice(1), ['192.168.2.2', '192.168.2.2 or 192.168.1.2'])
    fib.setNetwork(networkFrom({ policies, down: ['internet'], ids }))
    deepEqual(waysTo(fib).slice(1), ['none', '192.168.1.2'])
    equal(fib.takeChanges()!.changed.length, 0)
  })

  test('are only to what is behind connections: machines, our own addresses and what is discarded have none', () => {
    const routes =
      '{ prefix: 10.1.0.0/16, via: [192.168.1.2] }, { prefix: 10.2.0.0/16, discard: true }, { prefix: 10.3.0.0/16, via: [172.16.0.5] }'
    const fib = fibOf(networkFrom({ policies: INTERNET, routes }))
    deepEqual(waysTo(fib), ['192.168.1.2', 'none'])
    deepEqual(waysTo(fib, '10.2.0.0/16'), ['discard'])
    deepEqual(waysTo(fib, '10.3.0.0/16'), ['host'])
    deepEqual(waysTo(fib, '172.16.0.5/32'), ['host'])
    deepEqual(waysTo(fib, '192.168.2.1/32'), ['local'])
  })

  test('to what is on a connection itself are over that connection alone', () => {
    const routes = '{ prefix: 10.1.0.0/16, via: [internet] }, { prefix: 10.2.0.0/16, via: [mpls, internet] }'
    const fib = fibOf(networkFrom({ policies: `${INTERNET}, { name: b, by: mpls }`, routes }))
    deepEqual(waysTo(fib), ['connected', 'connected', 'none'])
    deepEqual(waysTo(fib, '192.168.1.0/24'), ['connected', 'none', 'connected'])
    deepEqual(waysTo(fib, '10.2.0.0/16'), ['connected+connected', 'none', 'none'])
  })

  test('are nothing to a tenant without policies', () => {
    const fib = fibOf(networkFrom({ policies: '' }))
    deepEqual(waysTo(fib), ['192.168.1.2+192.168.2.2'])
    equal(
      fib.hops.all().some(({ kind }) => kind === 'policy'),
      false,
    )
  })
})

suite('told to nodes', () => {
  const batchOf = (fib: TenantFib, composer = new FibComposer()): FibBatch => {
    composer.addWhole(fib, '10.255.0.1')
    return composer.build({ cluster: 'blue', epoch: 1, generation: 1, base: 0, snapshot: true })
  }

  test('an older node refuses by name a batch of tenants with policies, and takes one of tenants without', () => {
    const bytes = (policies: string): Uint8Array => fibBatch.encode(batchOf(fibOf(networkFrom({ policies }))))
    const [version, oldestReader] = [2, 3]
    equal(bytes('{ name: a, discard: true }')[oldestReader], 4)
    equal(bytes('')[oldestReader], 1)
    ok(bytes('')[version]! >= 4)
  })

  test('the next leader knows the ways by the numbers that they have', () => {
    const policies =
      '{ name: a, by: [mpls, lte] }, { name: b, by: [mpls, lte], balanced: true }, { name: c, discard: true }'
    const before = fibOf(networkFrom({ policies }))
    const held = new HeldFib()
    held.apply(batchOf(before))
    const numbering = { tenants: new Ids(), segments: new Ids(), hops: new Ids() }
    held.teach(numbering)
    // In another order they would get other numbers.
    const reversed =
      '{ name: b, by: [mpls, lte], balanced: true }, { name: a, by: [mpls, lte] }, { name: c, discard: true }'
    const after = new TenantFib('acme', 1, networkFrom({ policies: reversed, ids: numbering.segments }), numbering.hops)
    const byName = (fib: TenantFib) => new Map(fib.policies.map(({ name, way }) => [name, way]))
    deepEqual([...byName(after)].sort(), [...byName(before)].sort())
    equal(after.routes.get(keyOf(parsePrefix('10.1.0.0/16')!)), before.routes.get(keyOf(parsePrefix('10.1.0.0/16')!)))
  })
})
