import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress, parsePrefix } from '../base/address.ts'
import { parseSite } from '../config/load.ts'
import type { Hop } from './hop.ts'
import { Ids } from './ids.ts'
import { indexSite, networkOf, type TenantNetwork } from './network.ts'
import { keyOf } from './prefix-key.ts'

function networkFrom(tenant: string): TenantNetwork {
  const { site, errors } = parseSite(`
    site: s
    gateway: { mac: 02:67:68:00:00:01 }
    vips: [{ name: v1, address: 10.255.0.1 }]
    clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [p] }] }]
    switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
    hosts:
      - { name: gre, address: 10.0.2.1, tunnel: gre, mtu: 1400 }
      - { name: vx, address: 10.0.2.2, tunnel: vxlan }
    tenants:
      - { name: acme, vni: 7, vip: v1, ${tenant.replaceAll('\n', ' ')} }`)
  ok(site, JSON.stringify(errors))
  return networkOf(site.tenants[0]!, indexSite(site), new Ids())
}

const at = (network: TenantNetwork, prefix: string): Hop | undefined => network.routes.get(keyOf(parsePrefix(prefix)!))

const DC =
  '{ name: dc, switch: edge, port: a, gateway: [192.168.1.1/24, "fd00::1/64"], peers: [{ address: 192.168.1.2, mac: 02:00:00:00:00:02 }], mtu: 1450 }'

test('a connection is a segment, its subnets, our addresses in them and nobody at the broadcast address', () => {
  const network = networkFrom(`connections: [${DC}]`)
  const connected = { kind: 'connected', segment: 1, vni: 7, remote: parseAddress('10.0.0.1'), mtu: 1450 }
  deepEqual(at(network, '192.168.1.0/24'), connected)
  deepEqual(at(network, 'fd00::/64'), connected)
  deepEqual(at(network, '192.168.1.1/32'), { kind: 'local', segment: 1 })
  deepEqual(at(network, 'fd00::1/128'), { kind: 'local', segment: 1 })
  deepEqual(at(network, '192.168.1.255/32'), { kind: 'discard' })
  equal(network.routes.size, 5)
})

test('a connection takes packets of 1,500 bytes unless the file says more, however wide the underlay', () => {
  const network = networkFrom(`connections: [${DC.replace(', mtu: 1450', '')}]`)
  const { segments } = network
  equal(segments[0]!.kind === 'connection' && segments[0]!.mtu, 1500)
  for (const mtu of [1500, 9000]) {
    const wide = networkFrom(`connections: [${DC.replace('1450', `${mtu}`)}]`)
    const connected = { kind: 'connected', segment: 1, vni: 7, remote: parseAddress('10.0.0.1'), mtu }
    deepEqual(at(wide, '192.168.1.0/24'), connected)
    if (mtu === 1500) deepEqual(at(network, '192.168.1.0/24'), connected)
  }
})

test('machines on bare IP share the hop of their host; on Ethernet each is a neighbour of its own', () => {
  const network = networkFrom(`vpcs: [{ name: p, machines: [
    { name: a, address: 172.16.0.5, host: gre }, { name: b, address: ["172.16.0.6", "fd01::6"], host: gre },
    { name: c, address: 172.16.0.7, host: vx, mac: 02:00:00:00:00:07 }] }]`)
  deepEqual(at(network, '172.16.0.5/32'), at(network, 'fd01::6/128'))
  deepEqual(at(network, '172.16.0.5/32'), {
    ...{ kind: 'host', segment: 1, tunnel: 'gre', payload: 'ip', key: 7, remote: parseAddress('10.0.2.1') },
    ...{ address: undefined, mac: undefined, mtu: 1400 },
  })
  deepEqual(at(network, '172.16.0.7/32'), {
    ...{ kind: 'host', segment: 1, tunnel: 'vxlan', payload: 'ethernet', key: 7, remote: parseAddress('10.0.2.2') },
    ...{ address: parseAddress('172.16.0.7'), mac: Uint8Array.of(2, 0, 0, 0, 0, 7), mtu: 0 },
  })
})

test("a VPC's subnet is behind its host, or what is not a machine in it is nowhere", () => {
  const network = networkFrom(
    'vpcs: [{ name: p, key: 9, subnets: [{ prefix: 10.8.0.0/24, gateway: 10.8.0.1, host: gre }, { prefix: 10.9.0.0/24 }] }]',
  )
  equal(at(network, '10.8.0.0/24')?.kind, 'host')
  equal(at(network, '10.8.0.1/32')?.kind, 'local')
  equal(at(network, '10.9.0.0/24')?.kind, 'discard')
})

test('a static route is its next hops with their weights, or discards', () => {
  const network =
    networkFrom(`connections: [${DC}], vpcs: [{ name: p, machines: [{ name: a, address: 172.16.0.5, host: gre }] }],
    routes: [{ prefix: 10.1.0.0/16, via: [{ to: 192.168.1.2, weight: 3 }, 172.16.0.5] }, { prefix: 10.2.0.0/16, discard: true }, { prefix: 10.3.0.0/16, via: [dc] }]`)
  const group = at(network, '10.1.0.0/16')
  ok(group?.kind === 'group')
  deepEqual(
    group.members.map(({ hop, weight }) => [hop.kind, weight]),
    [
      ['peer', 3],
      ['host', 1],
    ],
  )
  deepEqual(group.members[0]!.hop.kind === 'peer' && group.members[0]!.hop.mac, Uint8Array.of(2, 0, 0, 0, 0, 2))
  equal(at(network, '10.2.0.0/16')?.kind, 'discard')
  equal(at(network, '10.3.0.0/16')?.kind, 'connected')
})

test('a backup stands behind those that share the packets', () => {
  const network =
    networkFrom(`connections: [${DC}], vpcs: [{ name: p, machines: [{ name: a, address: 172.16.0.5, host: gre }] }],
    routes: [{ prefix: 10.1.0.0/16, via: [{ to: 172.16.0.5, backup: true }, 192.168.1.2, 192.168.1.3] },
      { prefix: 10.2.0.0/16, via: [192.168.1.2, { to: dc, backup: true }] }]`)
  const kinds = (prefix: string): string[] => {
    const hop = at(network, prefix)
    ok(hop?.kind === 'failover')
    return hop.members.map(({ kind }) => kind)
  }
  deepEqual(kinds('10.1.0.0/16'), ['group', 'host'])
  deepEqual(kinds('10.2.0.0/16'), ['peer', 'connected'])
})

test('a learnt backup that is the only one to be reached is none', () => {
  const network = networkFrom(`connections: [${DC}]`)
  const via = (text: string, backup: boolean) => ({ address: parseAddress(text)!, weight: 1, backup })
  equal(network.resolve([via('192.168.1.2', false), via('192.168.1.3', true)])?.kind, 'failover')
  equal(network.resolve([via('10.9.9.9', false), via('192.168.1.3', true)])?.kind, 'peer')
  equal(network.resolve([via('192.168.1.2', false), via('10.9.9.9', true)])?.kind, 'peer')
})

test('learnt next hops are neighbours or machines; ourselves and strangers are none', () => {
  const network = networkFrom(`connections: [${DC}]`)
  const resolve = (...addresses: string[]) =>
    network.resolve(addresses.map((text) => ({ address: parseAddress(text)!, weight: 1, backup: false })))
  equal(resolve('192.168.1.77')?.kind, 'peer')
  equal(resolve('192.168.1.1'), undefined)
  equal(resolve('192.168.1.255'), undefined)
  equal(resolve('10.9.9.9'), undefined)
  equal(resolve('10.9.9.9', '192.168.1.77')?.kind, 'peer', 'of several, those that are there')
  equal(resolve('192.168.1.2', '192.168.1.77')?.kind, 'group')
  equal(resolve()?.kind, 'discard')
})
