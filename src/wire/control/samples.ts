/**
 * One full message of every kind, for the tests of codecs and for fuzzers: every field set, every kind of next hop
 * there.
 */

import { Random } from '../../base/random.ts'
import { RouteColumnsBuilder } from './columns.ts'
import { connectionState } from './connection.ts'
import { fibDigests } from './digest.ts'
import { event } from './event.ts'
import { type FibBatch, type FibPolicy, fibBatch, type NextHop } from './fib.ts'
import { brokenPaths, livenessNews } from './liveness.ts'
import { siteOffer } from './offer.ts'
import { ack, feedStart, neighbourNews, nodeState, pathNews } from './report.ts'
import { type RouteBatch, routeBatch, routeNews } from './route.ts'
import { hostBatch, type SwitchBatch, switchBatch } from './switch.ts'

const vip = Uint8Array.of(10, 255, 0, 1)
const remote = Uint8Array.of(10, 0, 0, 1)
const remote6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9)
const mac = Uint8Array.of(2, 0x67, 0x68, 0, 0, 1)
const customer = Uint8Array.of(192, 168, 1, 2)
const gateway = { address: Uint8Array.of(192, 168, 1, 1), length: 24, mac }

function sampleRoutes(count: number, random: Random) {
  const v4 = new RouteColumnsBuilder(1)
  const v6 = new RouteColumnsBuilder(4)
  for (let i = 0; i < count; i++) {
    v4.add4(1 + (i >> 8), (random.u32() & 0xffffff00) >>> 0, 24, random.below(9))
    if (i % 8 === 0) v6.add6(1 + (i >> 8), [0x20010db8, random.u32(), 0, 0], 64, random.below(9))
  }
  return { routes4: v4.build(), routes6: v6.build() }
}

const whose = { tenant: 7, segment: 3 }
const nextHops: NextHop[] = [
  { kind: 'peer', id: 1, ...whose, vni: 1001, remote, address: customer, mac, mtu: 1500 },
  { kind: 'peer', id: 2, ...whose, vni: 1001, remote: remote6, address: customer, mac: undefined, mtu: 0 },
  {
    kind: 'host',
    id: 3,
    ...whose,
    tunnel: 'gre',
    payload: 'ip',
    key: 2 ** 32 - 1,
    remote,
    address: undefined,
    mac: undefined,
    mtu: 0,
  },
  {
    kind: 'host',
    id: 4,
    ...whose,
    tunnel: 'vxlan',
    payload: 'ethernet',
    key: 9,
    remote,
    address: customer,
    mac,
    mtu: 9000,
  },
  { kind: 'connected', id: 5, ...whose, vni: 1001, remote, mtu: 0 },
  { kind: 'local', id: 6, ...whose },
  { kind: 'discard', id: 7, tenant: 7 },
  {
    kind: 'group',
    id: 8,
    tenant: 7,
    members: [
      { nextHop: 1, weight: 1 },
      { nextHop: 2, weight: 65_535 },
    ],
  },
  { kind: 'failover', id: 9, tenant: 7, members: Uint32Array.of(8, 5), choice: 'peer 3 192.168.1.2*1' },
  {
    kind: 'policy',
    id: 10,
    tenant: 7,
    ordinary: 9,
    ways: [{ way: 11, nextHop: 2 }],
    choice: '9 | peer 3 192.168.1.2*1',
  },
  { kind: 'vrf', id: 11, tenant: 7, into: 8 },
  {
    ...{ kind: 'public', id: 12, tenant: 7, segment: 5, owner: 8, tunnel: 'vxlan', payload: 'ethernet', key: 9 },
    ...{ remote, address: customer, mac, mtu: 9000 },
  },
]

const anything = {
  ...{ source: undefined, destination: undefined, protocol: undefined },
  ...{ sourcePorts: undefined, destinationPorts: undefined, dscp: undefined },
}
const policies: FibPolicy[] = [
  {
    ...{ name: 'voice', way: 11, segments: Uint32Array.of(3), balanced: true, only: true },
    rules: [
      {
        source: { address: customer, length: 32 },
        destination: { address: Uint8Array.of(10, 0, 0, 0), length: 8 },
        ...{ protocol: 17, sourcePorts: { from: 0, to: 65_535 }, destinationPorts: { from: 5060, to: 5061 }, dscp: 46 },
      },
      { ...anything, source: { address: remote6, length: 128 } },
    ],
  },
  { name: 'rest', way: 0, segments: new Uint32Array(), balanced: false, only: false, rules: [anything] },
]

export function sampleFib(routes: number, random: Random): FibBatch {
  return {
    cluster: 'blue',
    epoch: 2 ** 53 - 1,
    generation: 2 ** 40,
    base: 2 ** 40 - 1,
    snapshot: true,
    tenants: [
      {
        id: 7,
        name: 'acme',
        vip,
        segments: [
          {
            kind: 'connection',
            id: 3,
            name: 'acme-dc',
            vni: 1001,
            remote,
            mtu: 1500,
            interfaces: [gateway],
            peers: [{ address: customer, mac: undefined }],
            speakers: [remote, remote6],
            sessions: [
              { peer: customer, speaker: remote },
              { peer: undefined, speaker: remote6 },
            ],
            probes: [{ peer: customer, speaker: remote6 }],
          },
          {
            kind: 'vpc',
            id: 4,
            name: 'prod',
            key: 1001,
            hosts: [{ address: remote, tunnel: 'gre', payload: 'ip' }],
            interfaces: [],
          },
        ],
        policies,
      },
    ],
    removedTenants: Uint32Array.of(8, 9),
    nextHops,
    removedNextHops: Uint32Array.of(10),
    ...sampleRoutes(routes, random),
  }
}

function atTwoSites(batch: FibBatch): FibBatch {
  const site = { kind: 'site', id: 5, name: 'site-b', vni: 1001, remotes: [remote, remote6], mtu: 1500, mac } as const
  return { ...batch, tenants: batch.tenants.map((tenant) => ({ ...tenant, segments: [...tenant.segments, site] })) }
}

const routes: RouteBatch = {
  origin: 'bgp-1',
  preference: 100,
  replaces: true,
  tenants: ['acme', 'globex'],
  gateways: [
    [],
    [
      { address: customer, weight: 1, backup: false },
      { address: remote6, weight: 2, backup: true },
    ],
  ],
  ...sampleRoutes(20, new Random(1)),
}

const wires: SwitchBatch = {
  switch: 'edge-1',
  epoch: 4,
  generation: 9,
  address: remote,
  vips: [vip, remote6],
  attachments: [{ port: 'acme', vlan: 0, vni: 1001, vip }],
  balances: [{ vip, selection: 'resilient', nodes: [{ name: 'fn-1', address: remote, weight: 1 }] }],
}

/** Each message's codec with a value of it, and the same encoded. */
export const samples = [
  sample(fibBatch, atTwoSites(sampleFib(20, new Random(1)))),
  sample(routeBatch, routes),
  sample(routeNews, { origin: 'bgp-1', refused: 'more than 10000000 routes' }),
  sample(switchBatch, wires),
  sample(hostBatch, { host: 'host-1', epoch: 4, exits: [{ key: 1001, vip, accepts: [vip, remote6] }] }),
  sample(ack, { module: 'fn-1', incarnation: 'a1b2', epoch: 4, generation: 9, error: 'no room' }),
  sample(neighbourNews, { node: 'fn-1', neighbours: [{ tenant: 7, segment: 3, address: customer, mac }] }),
  sample(feedStart, { incarnation: 'a1b2', sequence: 77 }),
  sample(pathNews, { node: 'fn-1', remote: remote6, mtu: 1400, lifetime_s: 600 }),
  sample(livenessNews, {
    node: 'routing-1',
    said_us: 2 ** 51,
    things: [
      {
        ...{ name: 'to-dc', kind: 'probe', isUp: false, reason: 'loss 30%', since_ms: 1_790_000_000_000 },
        quality: {
          ...{ probes: 60, loss_ppm: 300_000, delayMin_us: 900, delayAverage_us: 1100, delayP99_us: 5000 },
          ...{ jitter_us: 200, bandwidth_kbps: 100_000, ended: 2 ** 40, answered: 2 ** 39, delaySum_us: 2 ** 50 },
        },
      },
      { name: 'acme-dc', kind: 'bfd', isUp: true, reason: '', since_ms: 5, quality: undefined },
    ],
  }),
  sample(brokenPaths, {
    source: 'edge-1',
    broken: [
      { vni: 1001, remote, peer: undefined },
      { vni: 1002, remote: undefined, peer: customer },
    ],
  }),
  sample(connectionState, {
    ...{ tenant: 'acme', connection: 'acme-dc', keys: [1001, 2 ** 32 - 1] },
    ...{ isUp: false, since_ms: 1_800_000_000_000, reason: 'carrier' },
  }),
  sample(fibDigests, {
    ...{ node: 'fn-1', cluster: 'blue', format: 1, incarnation: 'a1b2', epoch: 4, generation: 9 },
    tenants: [{ tenant: 7, routes: 20, low: 2 ** 32 - 1, high: 1 }],
  }),
  sample(siteOffer, {
    ...{ site: 'west', epoch: 4, generation: 9, base: 8, snapshot: false, mac, vips: [vip, remote6] },
    tenants: [
      {
        ...{ name: 'acme', vni: 1001, vip },
        paths: [
          {
            ...{ name: 'acme-dc', isUp: true, preference: 100, cost: 10, isProbed: true, probes: 60 },
            ...{ latency_us: 1100, loss_ppm: 300, bandwidth_kbps: 2 ** 40 },
          },
          {
            ...{ name: 'acme-lte', isUp: false, preference: 200, cost: 0, isProbed: false, probes: 0 },
            ...{ latency_us: undefined, loss_ppm: undefined, bandwidth_kbps: undefined },
          },
        ],
      },
    ],
    ...{ removedTenants: ['globex'], tables: ['acme', 'initech'], ...sampleRoutes(20, new Random(1)) },
  }),
  sample(event, {
    at_ms: 1_800_000_000_000,
    module: 'control',
    epoch: 7,
    what: 'origin-stale',
    about: 'rn-1',
    detail: '',
  }),
  sample(nodeState, {
    node: 'fn-1',
    ready: true,
    epoch: 4,
    generation: 9,
    tenants: 2,
    counters: [{ name: 'received', value: 12 }],
  }),
]

function sample<T>(
  message: { name: string; kind: number; encode(value: T): Uint8Array; decode(bytes: Uint8Array): unknown },
  value: T,
) {
  return {
    name: message.name,
    kind: message.kind,
    value: value as unknown,
    bytes: message.encode(value),
    decode: (bytes: Uint8Array) => message.decode(bytes) as ReturnType<typeof fibBatch.decode>,
    encodeAgain: (decoded: unknown) => message.encode(decoded as T),
  }
}
