import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatAddress, parseAddress, parsePrefix } from '../base/address.ts'
import { parseSite } from '../config/load.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { Gateways } from '../wire/control/route.ts'
import type { Hop } from './hop.ts'
import { Ids } from './ids.ts'
import { indexSite, networkOf, type TenantNetwork } from './network.ts'
import type { PathPlaces } from './path-order.ts'
import { keyOf } from './prefix-key.ts'
import { PrefixMap } from './prefix-map.ts'
import { type GatewaySet, PublishedRoutes } from './published-routes.ts'
import { TenantFib } from './tenant-fib.ts'

/** `mpls: 0, internet: 1 down`: places of connections, and their states. */
function placesOf(words: string): PathPlaces {
  const parsed = new Map(
    words.split(', ').map((word) => {
      const [name, rest = ''] = word.split(': ')
      const [place, state] = rest.split(' ')
      return [name, { place: Number(place), state: ['up', 'returning', 'down'].indexOf(state ?? 'up') }]
    }),
  )
  return {
    stateOf: (name) => parsed.get(name)!.state,
    placeOf: (name) => (name === undefined ? -1 : parsed.get(name)!.place),
  }
}

function networkFrom(routes: string, order: string | undefined): TenantNetwork {
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
        routes: [${routes}]`)
  ok(site, JSON.stringify(errors))
  const orders = new Map(order === undefined ? [] : [['acme', placesOf(order)]])
  const remote = { name: 'west', cost: 0, preference: 100, mtu: 1500, stale_routes_s: 60 }
  const vip = parseAddress('10.254.0.1')!
  const west = { remote, vip, vips: [vip], mac: new Uint8Array(6), paths: [] }
  return networkOf(
    site.tenants[0]!,
    indexSite(site, new Set(), new Set(), orders, () => [west]),
    new Ids(),
  )
}

/** `192.168.1.2*3+192.168.1.3 or 192.168.2.2`, what shares and then its backups. */
function text(hop: Hop | undefined): string {
  if (!hop) return 'nothing'
  if (hop.kind === 'group')
    return hop.members.map(({ hop: member, weight }) => text(member) + (weight === 1 ? '' : `*${weight}`)).join('+')
  if (hop.kind === 'failover') return hop.members.map(text).join(' or ')
  return hop.kind === 'peer' ? formatAddress(hop.address) : hop.kind
}

const ALL = 'via: [192.168.1.2, 192.168.2.2, 192.168.3.2]'

function routed(via: string, order: string | undefined): string {
  return text(networkFrom(`{ prefix: 10.1.0.0/16, ${via} }`, order).routes.get(keyOf(parsePrefix('10.1.0.0/16')!)))
}

suite('next hops of a static route', () => {
  test('share its packets where paths have no order', () => {
    equal(routed(ALL, undefined), '192.168.1.2+192.168.2.2+192.168.3.2')
  })

  test('go by their paths: the best is the primary, and the others are its backups', () => {
    equal(routed(ALL, 'mpls: 2, internet: 0, lte: 1'), '192.168.2.2 or 192.168.3.2 or 192.168.1.2')
  })

  test('share over paths of one place, by weight', () => {
    const via = 'via: [{ to: 192.168.1.2, weight: 3 }, 192.168.1.3, 192.168.2.2, 192.168.3.2]'
    equal(routed(via, 'mpls: 0, internet: 1, lte: 0'), '192.168.1.2*3+192.168.1.3+192.168.3.2 or 192.168.2.2')
  })

  test('over a path that is down come last, and those that the file calls backups after the others that are up', () => {
    const via = 'via: [192.168.1.2, 192.168.2.2, { to: 192.168.3.2, backup: true }]'
    equal(routed(via, 'mpls: 0, internet: 1, lte: 0'), '192.168.1.2 or 192.168.2.2 or 192.168.3.2')
    equal(routed(via, 'mpls: 0 down, internet: 1 returning, lte: 0'), '192.168.3.2 or 192.168.2.2 or 192.168.1.2')
    equal(routed(via, 'mpls: 1 down, internet: 0 down, lte: 0 down'), '192.168.2.2 or 192.168.1.2 or 192.168.3.2')
  })

  test('that are connections or machines are chosen alike, and machines are nearest', () => {
    equal(routed('via: [mpls, internet]', 'mpls: 1, internet: 0, lte: 2'), 'connected or connected')
    equal(routed('via: [192.168.1.2, 172.16.0.5]', 'mpls: 0, internet: 0, lte: 0'), 'host or 192.168.1.2')
  })
})

suite('next hops that were learnt', () => {
  const set = (words: string): Gateways =>
    words.split(' ').flatMap((word) => {
      const [address = '', flag] = word.split('!')
      return address === '' ? [] : [{ address: parseAddress(address)!, weight: 1, backup: flag !== undefined }]
    })

  test('of one route go by their paths', () => {
    const network = networkFrom('', 'mpls: 1, internet: 0, lte: 2')
    equal(text(network.resolve(set('192.168.1.2 192.168.2.2'))), '192.168.2.2 or 192.168.1.2')
    equal(text(network.resolve(set('192.168.1.2 192.168.2.2!'))), '192.168.1.2 or 192.168.2.2')
    equal(text(network.resolve(set('9.9.9.9'))), 'nothing')
    equal(text(network.resolve([])), 'discard')
  })

  test('of several origins stand together, and the next origin behind those that are up', () => {
    const equals = [set('192.168.1.2'), set('192.168.2.2 192.168.1.2')]
    const chosen = (order: string, next = set('192.168.3.2')) => text(networkFrom('', order).choose(equals, next))
    equal(chosen('mpls: 1, internet: 0, lte: 0'), '192.168.2.2 or 192.168.1.2 or 192.168.3.2')
    equal(chosen('mpls: 1 down, internet: 0, lte: 0'), '192.168.2.2 or 192.168.3.2 or 192.168.1.2')
    equal(chosen('mpls: 1 down, internet: 0 down, lte: 0'), '192.168.3.2 or 192.168.2.2 or 192.168.1.2')
    equal(chosen('mpls: 1 down, internet: 0 down, lte: 0', []), '192.168.2.2 or 192.168.1.2')
    const twice = networkFrom('', 'mpls: 0, internet: 1, lte: 1')
    equal(
      text(twice.choose([set('192.168.1.2 192.168.1.3'), set('192.168.1.2')], undefined)),
      '192.168.1.2+192.168.1.3',
    )
  })

  test('at another site are one more path, which shares packets with none that is here', () => {
    const west = set('0.0.0.0').map((one) => ({ ...one, site: 'west' }))
    const chosen = (order: string | undefined) =>
      text(networkFrom('', order).choose([set('192.168.1.2'), west], undefined))
    equal(chosen('mpls: 0, site-west: 0'), '192.168.1.2 or 10.254.0.1')
    equal(chosen('mpls: 1, site-west: 0'), '10.254.0.1 or 192.168.1.2')
    equal(chosen('mpls: 0 down, site-west: 1'), '10.254.0.1 or 192.168.1.2')
    equal(text(networkFrom('', undefined).resolve(west)), '10.254.0.1')
    equal(text(networkFrom('', undefined).resolve(west.map((one) => ({ ...one, site: 'north' })))), 'nothing')
  })

  test('at another site take part in the choice among paths whatever their preference, and else come last', () => {
    const published = new PublishedRoutes()
    const routes4 = new RouteColumnsBuilder(1)
    routes4.add4(0, 0x0a010000, 16, 1)
    const rows = { routes4: routes4.build(), routes6: new RouteColumnsBuilder(4).build() }
    for (const [origin, preference, gateway] of [
      ['a', 100, '192.168.1.2'],
      ['b', 200, '192.168.3.2'],
    ] as const) {
      const batch = { origin, preference, replaces: true, tenants: ['acme'], gateways: [set(gateway)] }
      equal(typeof published.take({ ...batch, ...rows }), 'object')
    }
    const key = keyOf(parsePrefix('10.1.0.0/16')!)
    const bySite = { gateways: set('0.0.0.0').map((one) => ({ ...one, site: 'west' })) }
    const routes = new PrefixMap<GatewaySet>()
    routes.set(key, bySite)
    const west = { origin: 'site-west', preference: 65_535, isRemote: true, routes }
    const chosen = (order: string | undefined): string => {
      const fib = new TenantFib('acme', 1, networkFrom('', order), new Ids())
      fib.setPublished([...published.of('acme'), west], [key])
      const hop = fib.hops.get(fib.routes.get(key)!)!
      ok(hop.kind === 'failover')
      return Array.from(hop.members, (id) => {
        const member = fib.hops.get(id)!
        return member.kind === 'peer' ? formatAddress(member.address) : member.kind
      }).join(' or ')
    }
    equal(chosen(undefined), '192.168.1.2 or 192.168.3.2')
    equal(chosen('mpls: 1, lte: 0, site-west: 0'), '10.254.0.1 or 192.168.1.2 or 192.168.3.2')
    equal(chosen('mpls: 0, lte: 0, site-west: 1'), '192.168.1.2 or 10.254.0.1 or 192.168.3.2')
  })

  test('are the same whichever origin is asked first', () => {
    const network = networkFrom('', 'mpls: 0, internet: 0, lte: 1')
    const [light, heavy] = [1, 2].map((weight) => [{ address: parseAddress('192.168.1.2')!, weight, backup: false }])
    const others = [set('192.168.2.2'), set('192.168.1.3'), light!, heavy!]
    deepEqual(network.choose(others, undefined), network.choose(others.toReversed(), undefined))
  })

  test('change their order with the network, and routes of less preferred origins stay behind', () => {
    const published = new PublishedRoutes()
    const publish = (origin: string, preference: number, gateways: Gateways): void => {
      const routes4 = new RouteColumnsBuilder(1)
      routes4.add4(0, 0x0a010000, 16, 1)
      const routes6 = new RouteColumnsBuilder(4).build()
      const batch = { origin, preference, replaces: true, tenants: ['acme'], gateways: [gateways] }
      equal(typeof published.take({ ...batch, routes4: routes4.build(), routes6 }), 'object')
    }
    publish('a', 100, set('192.168.1.2'))
    publish('b', 100, set('192.168.2.2'))
    publish('c', 200, set('192.168.3.2'))
    const chosen = (order: string | undefined): string[] => {
      const network = networkFrom('', order)
      fib.setNetwork(network)
      const hop = fib.hops.get(fib.routes.get(key)!)!
      const members = hop.kind === 'failover' ? [...hop.members] : [hop.id]
      return members.map((id) => {
        const member = fib.hops.get(id)!
        return member.kind === 'peer' ? formatAddress(member.address) : member.kind
      })
    }
    const key = keyOf(parsePrefix('10.1.0.0/16')!)
    const fib = new TenantFib('acme', 1, networkFrom('', undefined), new Ids())
    fib.setPublished(published.of('acme'), [key])
    fib.takeChanges()
    const [one, two, three] = ['192.168.1.2', '192.168.2.2', '192.168.3.2']
    deepEqual(chosen(undefined), [one, two])
    deepEqual(chosen('mpls: 1, internet: 0, lte: 0'), [two, one, three])
    fib.takeChanges()
    // From then on what is told is one next hop, and no route.
    for (const [order, wanted] of [
      ['mpls: 0, internet: 1, lte: 0', [one, two, three]],
      ['mpls: 0 down, internet: 1, lte: 0', [two, three, one]],
    ] as const) {
      deepEqual(chosen(order), wanted)
      const changes = fib.takeChanges()!
      deepEqual([changes.put.length, changes.removed.length, changes.changed.length], [1, 0, 0])
    }
  })
})
