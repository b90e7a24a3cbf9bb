/**
 * A small site as a FIB batch: four tenants with the same addresses, every kind of segment and next hop. The warm-up's corpus
 * and the tests send their packets through it. Two of the tenants are reached over an IPv4 underlay and two over IPv6.
 *
 *   customer 10.1/16 -- 192.168.1.2 --VXLAN 1001-- edge 10.0.0.1 == node == hosts 10.0.2.1 fd00:2::1 (GRE, IP)
 *   customer 2001:db8:a::/48 -- 2001:db8:1::2           fd00::1                   10.0.2.2 fd00:2::2 (GRE, Ethernet)
 *                                                                                 10.0.2.3 fd00:2::3 (VXLAN)
 * Routes to 10.7/16 and 2001:db8:7::/48 leave the choice to policies.
 * A routing node, 10.0.3.1 or fd00:3::1, has the sessions of acme's customer, and those of whoever is at initech's. All tenants
 * are at another site, too, whose gateway is at 10.254.0.1 or fd00:fffe::1.
 */

import { parseAddress, parseMac, parsePrefix } from '../base/address.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { FibBatch, FibPolicy, FibRule, FibSegment, FibTenant, NextHop } from '../wire/control/fib.ts'

export const GATEWAY_MAC = '02:67:68:00:00:01'
export const PEER_MAC = '02:00:00:00:0c:01'
export const MACHINE_MAC = '02:00:00:00:0d:01'

export const VIP = '10.255.0.1'
export const EDGE = '10.0.0.1'
export const HOST = { ip: '10.0.2.1', ethernet: '10.0.2.2', vxlan: '10.0.2.3' } as const

export const SPEAKER = '10.0.3.1'

/** Of the gateway at the other site. */
export const SITE_MAC = '02:67:68:00:00:02'
export const SITE_VIP = '10.254.0.1'
const SITE_VIP6 = 'fd00:fffe::1'

export const VIP6 = 'fd00:ffff::1'
export const EDGE6 = 'fd00::1'
export const HOST6 = { ip: 'fd00:2::1', ethernet: 'fd00:2::2', vxlan: 'fd00:2::3' } as const

export const SPEAKER6 = 'fd00:3::1'

/** The ends of a tenant's tunnels: ours, the edge switch's, the routing node's, the hosts'. */
export interface SampleUnderlay {
  readonly vip: string
  readonly edge: string
  readonly speaker: string
  readonly site: string
  readonly host: { readonly ip: string; readonly ethernet: string; readonly vxlan: string }
}

const OVER_IPV4: SampleUnderlay = { vip: VIP, edge: EDGE, speaker: SPEAKER, site: SITE_VIP, host: HOST }
const OVER_IPV6: SampleUnderlay = { vip: VIP6, edge: EDGE6, speaker: SPEAKER6, site: SITE_VIP6, host: HOST6 }

const address = (text: string): Uint8Array => parseAddress(text)!
const mac = (text: string): Uint8Array => parseMac(text)!

export interface SampleTenant {
  readonly id: number
  readonly name: string
  /** VNI of its connection, key of its VPC. */
  readonly vni: number
}

export const ACME: SampleTenant = { id: 1, name: 'acme', vni: 1001 }
export const GLOBEX: SampleTenant = { id: 2, name: 'globex', vni: 1002 }
/** Over IPv6. */
export const INITECH: SampleTenant = { id: 3, name: 'initech', vni: 1003 }
export const HOOLI: SampleTenant = { id: 4, name: 'hooli', vni: 1004 }
export const TENANTS = [ACME, GLOBEX, INITECH, HOOLI] as const

/** By its VNI; whoever is not known is over IPv4. */
export function underlayOf(vni: number): SampleUnderlay {
  return vni === INITECH.vni || vni === HOOLI.vni ? OVER_IPV6 : OVER_IPV4
}

/** Next hops of tenant 1 are 101 and on, of tenant 2 201 and on, and so forth. */
const HOP = {
  peer: 1,
  hostIp: 2,
  hostEthernet: 3,
  hostVxlan: 4,
  connected: 5,
  local: 6,
  discard: 7,
  group: 8,
  peer6: 9,
  unresolved: 10,
  localVpc: 11,
  policy: 12,
  policy6: 13,
  site: 14,
  siteOrPeer: 15,
  peerOrSite: 16,
} as const

/** The first number of those that lead to another tenant. */
const CROSSING = 20

/** Ways that policies name: by the neighbour, by one that does not answer, and by what is no way to anywhere. */
const WAY = { peer: 51, unresolved: 52, none: 53 } as const

export function sampleBatch(tenants: readonly SampleTenant[] = TENANTS): FibBatch {
  const routes4 = new RouteColumnsBuilder(1)
  const routes6 = new RouteColumnsBuilder(4)
  for (const tenant of tenants) addRoutes(tenant, routes4, routes6)
  return {
    cluster: 'blue',
    epoch: 1,
    generation: 1,
    base: 0,
    snapshot: true,
    tenants: tenants.map(tenantOf),
    removedTenants: new Uint32Array(),
    nextHops: tenants.flatMap(nextHopsOf),
    removedNextHops: new Uint32Array(),
    routes4: routes4.build(),
    routes6: routes6.build(),
  }
}

/**
 * The sample site with routes from VRF to VRF, which meet every branch there: each tenant's 10.6/16 and 2001:db8:6::/48 lead into
 * globex's VRF, where some of it leads to its neighbours, by policies, to a machine of acme, to the gateway, and on.
 */
export function crossingBatch(): FibBatch {
  const sample = sampleBatch()
  const routes4 = new RouteColumnsBuilder(1)
  const routes6 = new RouteColumnsBuilder(4)
  for (const tenant of TENANTS) {
    addRoutes(tenant, routes4, routes6)
    routes4.add4(tenant.id, 0x0a060000, 16, tenant.id * 100 + CROSSING)
    routes6.add6(tenant.id, [0x20010db8, 0x00060000, 0, 0], 48, tenant.id * 100 + CROSSING)
  }
  const there = [HOP.peer, HOP.policy, CROSSING + 1, HOP.local, HOP.discard]
  for (const [i, hop] of there.entries()) {
    routes4.add4(GLOBEX.id, 0x0a060100 + i * 256, 24, GLOBEX.id * 100 + hop)
    routes6.add6(GLOBEX.id, [0x20010db8, 0x00060001 + i, 0, 0], 64, GLOBEX.id * 100 + hop)
  }
  const machine = sample.nextHops.find(({ id }) => id === ACME.id * 100 + HOP.hostIp)
  const hops: NextHop[] = TENANTS.map(({ id }) => ({
    kind: 'vrf',
    id: id * 100 + CROSSING,
    tenant: id,
    into: GLOBEX.id,
  }))
  if (machine?.kind === 'host') {
    const id = GLOBEX.id * 100 + CROSSING + 1
    hops.push({ ...machine, kind: 'public', id, tenant: GLOBEX.id, owner: ACME.id })
  }
  return { ...sample, nextHops: [...sample.nextHops, ...hops], routes4: routes4.build(), routes6: routes6.build() }
}

/**
 * The neighbours of acme that speak BGP are named, as are two that are probed; those of initech may be anybody, and the
 * others have none.
 */
function spokenOf({ id, vni }: SampleTenant) {
  const speaker = address(underlayOf(vni).speaker)
  if (id !== ACME.id && id !== INITECH.id) return { speakers: [], sessions: [], probes: [] }
  const carried = (peers: readonly string[]) => peers.map((peer) => ({ peer: address(peer), speaker }))
  if (id === INITECH.id) return { speakers: [speaker], sessions: [{ peer: undefined, speaker }], probes: [] }
  return {
    speakers: [speaker],
    sessions: carried(['192.168.1.2', '2001:db8:1::2']),
    probes: carried(['192.168.1.3', '2001:db8:1::3']),
  }
}

function tenantOf(tenant: SampleTenant): FibTenant {
  const { id, name, vni } = tenant
  const { vip, edge, host } = underlayOf(vni)
  const interfaceOf = (text: string, length: number) => ({ address: address(text), length, mac: mac(GATEWAY_MAC) })
  const connection: FibSegment = {
    kind: 'connection',
    id: id * 10 + 1,
    name: `${name}-dc`,
    vni,
    remote: address(edge),
    mtu: 0,
    interfaces: [interfaceOf('192.168.1.1', 24), interfaceOf('2001:db8:1::1', 64)],
    peers: [{ address: address('192.168.1.2'), mac: mac(PEER_MAC) }],
    ...spokenOf(tenant),
  }
  const vpc: FibSegment = {
    kind: 'vpc',
    id: id * 10 + 2,
    name: 'prod',
    key: vni,
    hosts: [
      { address: address(host.ip), tunnel: 'gre', payload: 'ip' },
      { address: address(host.ethernet), tunnel: 'gre', payload: 'ethernet' },
      { address: address(host.vxlan), tunnel: 'vxlan', payload: 'ethernet' },
    ],
    interfaces: [interfaceOf('172.16.0.1', 24), interfaceOf('2001:db8:16::1', 64)],
  }
  const site: FibSegment = {
    kind: 'site',
    ...{ id: id * 10 + 3, name: 'site-west', vni, remotes: [address(underlayOf(vni).site)], mtu: 1400 },
    mac: mac(GATEWAY_MAC),
  }
  return { id, name, vip: address(vip), segments: [connection, vpc, site], policies: policiesOf(tenant) }
}

const anything: FibRule = {
  ...{ source: undefined, destination: undefined, protocol: undefined },
  ...{ sourcePorts: undefined, destinationPorts: undefined, dscp: undefined },
}

/** None of them is about what the other samples are. */
function policiesOf({ id }: SampleTenant): FibPolicy[] {
  const by = (way: number) => ({
    way: id * 100 + way,
    segments: Uint32Array.of(id * 10 + 1),
    balanced: false,
    only: false,
  })
  const ports = { from: 5060, to: 5061 }
  const near = [parsePrefix('10.1.2.0/24')!, parsePrefix('2001:db8:a::/48')!]
  return [
    { name: 'voice', rules: [{ ...anything, dscp: 46 }], ...by(WAY.peer) },
    { name: 'signals', rules: [{ ...anything, sourcePorts: ports, protocol: 17 }], ...by(WAY.unresolved) },
    { name: 'locked', rules: [{ ...anything, destinationPorts: ports }], ...by(WAY.none), only: true },
    {
      ...{ name: 'no-telnet', way: 0, segments: new Uint32Array(), balanced: false, only: false },
      rules: near.map((source) => ({ ...anything, source, destinationPorts: { from: 23, to: 23 }, protocol: 6 })),
    },
  ]
}

function nextHopsOf({ id, vni }: SampleTenant): NextHop[] {
  const { edge, host } = underlayOf(vni)
  const whose = (hop: number) => ({ id: id * 100 + hop, tenant: id })
  const numbered = (...hops: number[]) => Uint32Array.from(hops, (hop) => id * 100 + hop)
  const site = address(underlayOf(vni).site)
  const connection = { segment: id * 10 + 1, vni, remote: address(edge), mtu: 0 }
  const vpc = { segment: id * 10 + 2, key: vni, mtu: 0 }
  const machine = { mac: mac(MACHINE_MAC), address: undefined }
  return [
    { kind: 'peer', ...whose(HOP.peer), ...connection, address: address('192.168.1.2'), mac: mac(PEER_MAC) },
    { kind: 'peer', ...whose(HOP.peer6), ...connection, address: address('2001:db8:1::2'), mac: mac(PEER_MAC) },
    { kind: 'peer', ...whose(HOP.unresolved), ...connection, address: address('192.168.1.9'), mac: undefined },
    {
      kind: 'host',
      ...whose(HOP.hostIp),
      ...vpc,
      tunnel: 'gre',
      payload: 'ip',
      remote: address(host.ip),
      address: undefined,
      mac: undefined,
    },
    {
      kind: 'host',
      ...whose(HOP.hostEthernet),
      ...vpc,
      ...machine,
      tunnel: 'gre',
      payload: 'ethernet',
      remote: address(host.ethernet),
    },
    {
      kind: 'host',
      ...whose(HOP.hostVxlan),
      ...vpc,
      ...machine,
      tunnel: 'vxlan',
      payload: 'ethernet',
      remote: address(host.vxlan),
    },
    { kind: 'connected', ...whose(HOP.connected), ...connection },
    { kind: 'local', ...whose(HOP.local), segment: connection.segment },
    { kind: 'local', ...whose(HOP.localVpc), segment: vpc.segment },
    { kind: 'discard', ...whose(HOP.discard) },
    {
      kind: 'peer',
      ...whose(HOP.site),
      ...{ segment: id * 10 + 3, vni, remote: site, address: site, mac: mac(SITE_MAC), mtu: 1400 },
    },
    { kind: 'failover', ...whose(HOP.siteOrPeer), members: numbered(HOP.site, HOP.peer), choice: '' },
    { kind: 'failover', ...whose(HOP.peerOrSite), members: numbered(HOP.peer, HOP.site), choice: '' },
    {
      kind: 'group',
      ...whose(HOP.group),
      members: [
        { nextHop: id * 100 + HOP.hostIp, weight: 1 },
        { nextHop: id * 100 + HOP.hostVxlan, weight: 1 },
      ],
    },
    ...[
      { own: HOP.policy, ordinary: HOP.peer },
      { own: HOP.policy6, ordinary: HOP.peer6 },
    ].map(({ own, ordinary }) => ({
      ...{ kind: 'policy' as const, ...whose(own), ordinary: id * 100 + ordinary, choice: '' },
      ways: [
        { way: id * 100 + WAY.peer, nextHop: id * 100 + ordinary },
        { way: id * 100 + WAY.unresolved, nextHop: id * 100 + HOP.unresolved },
      ],
    })),
  ]
}

function addRoutes({ id }: SampleTenant, routes4: RouteColumnsBuilder, routes6: RouteColumnsBuilder): void {
  const add = (text: string, hop: number): void => {
    const prefix = parsePrefix(text)!
    const view = new DataView(prefix.address.buffer, prefix.address.byteOffset)
    const words = Array.from({ length: prefix.address.length / 4 }, (_, i) => view.getUint32(i * 4))
    if (words.length === 1) routes4.add4(id, words[0]!, prefix.length, id * 100 + hop)
    else routes6.add6(id, words, prefix.length, id * 100 + hop)
  }
  add('10.1.0.0/16', HOP.peer)
  add('10.9.0.0/16', HOP.unresolved)
  add('172.16.0.5/32', HOP.hostIp)
  add('172.16.0.6/32', HOP.hostEthernet)
  add('172.16.0.7/32', HOP.hostVxlan)
  add('192.168.1.0/24', HOP.connected)
  add('192.168.1.1/32', HOP.local)
  add('172.16.0.1/32', HOP.localVpc)
  add('10.66.0.0/16', HOP.discard)
  add('10.8.0.0/16', HOP.group)
  add('10.7.0.0/16', HOP.policy)
  add('10.30.0.0/16', HOP.site)
  add('10.31.0.0/16', HOP.siteOrPeer)
  add('10.32.0.0/16', HOP.peerOrSite)
  add('2001:db8:20::/48', HOP.site)
  add('2001:db8:7::/48', HOP.policy6)
  add('2001:db8:a::/48', HOP.peer6)
  add('2001:db8:9::/48', HOP.unresolved)
  add('2001:db8:16::5/128', HOP.hostIp)
  add('2001:db8:16::6/128', HOP.hostEthernet)
  add('2001:db8:16::7/128', HOP.hostVxlan)
  add('2001:db8:1::1/128', HOP.local)
  add('2001:db8:16::1/128', HOP.localVpc)
  add('2001:db8:66::/48', HOP.discard)
}
