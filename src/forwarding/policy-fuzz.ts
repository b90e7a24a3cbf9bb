/**
 * Random policies against a model of them: what a node does with a packet is what the first policy says that matches by the
 * words of the site file, written down here a second time in the plainest way. `policy.fuzz.ts` runs it.
 */

import { deepEqual, equal } from 'node:assert/strict'
import { formatAddress, type Prefix, prefixContains } from '../base/address.ts'
import type { Random } from '../base/random.ts'
import { destinationOptions, fragment6, icmpEcho, icmpv6Echo, ipv4, ipv6, type Layer, tcp, udp } from '../wire/build.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { FibBatch, FibPolicy, FibRule, NextHop } from '../wire/control/fib.ts'
import { MemoryNode } from './memory-node.ts'
import { fromHost } from './sample-packets.ts'
import { ACME, EDGE, sampleBatch } from './sample-site.ts'

/** Next hops of the sample site: by its edge switch, and to a machine, which stand for two connections here. */
const [FIRST, SECOND, UNRESOLVED] = [101, 102, 110]
const SECOND_HOST = '10.0.2.1'
const POLICY_HOP = 190
const WAYS = { first: 51, second: 52, dead: 53, absent: 54 } as const

/** What the model knows of a packet. */
interface Sample {
  readonly bytes: Layer
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly protocol: number | undefined
  readonly ports: readonly [number, number] | undefined
  readonly dscp: number
  readonly length: number
}

/** Runs `rounds` sets of policies with some packets each. */
export function fuzzPolicies(rounds: number, random: Random): void {
  const node = new MemoryNode()
  for (let round = 0; round < rounds; round++) {
    const policies = Array.from({ length: random.below(6) }, (_, i) => randomPolicy(`p${i}`, random))
    equal(node.apply(batchWith(policies)), undefined)
    node.send()
    const before = countsOf(node)
    const wanted = { ...before }
    for (let i = 0; i < 20; i++) {
      const sample = randomSample(random)
      const decided = policies.find(({ rules }) => rules.some((rule) => matches(rule, sample)))
      equal(send(node, sample), expected(decided), `round ${round}, packet ${i}`)
      if (decided) wanted[decided.name] = added(wanted[decided.name]!, sample.length)
    }
    deepEqual(countsOf(node), wanted)
  }
}

function countsOf(node: MemoryNode): Record<string, string> {
  return node.policies('acme')
}

function added(count: string, bytes: number): string {
  const [packets, sum] = count.split(' ').map(Number)
  return `${packets! + 1} ${sum! + bytes}`
}

function expected(policy: FibPolicy | undefined): string {
  if (!policy || policy.way === WAYS.first) return 'first'
  if (policy.way === 0) return 'policy-discard'
  if (policy.way === WAYS.second) return 'second'
  return policy.only ? 'policy-no-way' : 'first'
}

function matches(rule: FibRule, { source, destination, protocol, ports, dscp }: Sample): boolean {
  const isIn = (prefix: Prefix | undefined, address: Uint8Array): boolean =>
    !prefix || (prefix.address.length === address.length && prefixContains(prefix, address))
  const isPort = (range: FibRule['sourcePorts'], place: 0 | 1): boolean =>
    !range || (ports !== undefined && ports[place] >= range.from && ports[place] <= range.to)
  return (
    isIn(rule.source, source) &&
    isIn(rule.destination, destination) &&
    (rule.protocol === undefined || rule.protocol === protocol) &&
    (rule.dscp === undefined || rule.dscp === dscp) &&
    isPort(rule.sourcePorts, 0) &&
    isPort(rule.destinationPorts, 1)
  )
}

function send(node: MemoryNode, { bytes }: Sample): string {
  const before: Record<string, number> = { ...node.totals('acme')!.drops }
  const out = node.send(fromHost(bytes, ACME.vni))
  const drops = Object.entries(node.totals('acme')!.drops)
  const reason = drops.find(([name, count]) => name.startsWith('policy') && count !== (before[name] ?? 0))
  if (reason) return reason[0]
  const end = out[0]?.subarray(30, 34).join('.')
  return end === EDGE ? 'first' : end === SECOND_HOST ? 'second' : `${drops}`
}

function batchWith(policies: readonly FibPolicy[]): FibBatch {
  const sample = sampleBatch([ACME])
  const ways = [
    { way: WAYS.dead, nextHop: UNRESOLVED },
    { way: WAYS.second, nextHop: SECOND },
    { way: WAYS.first, nextHop: FIRST },
  ]
  const hop: NextHop = { kind: 'policy', id: POLICY_HOP, tenant: ACME.id, ordinary: FIRST, ways, choice: '' }
  const routes4 = new RouteColumnsBuilder(1)
  const routes6 = new RouteColumnsBuilder(4)
  routes4.add4(ACME.id, 0, 0, POLICY_HOP)
  routes6.add6(ACME.id, [0, 0, 0, 0], 0, POLICY_HOP)
  return {
    ...sample,
    tenants: sample.tenants.map((tenant) => ({ ...tenant, policies })),
    nextHops: [...sample.nextHops, hop],
    routes4: routes4.build(),
    routes6: routes6.build(),
  }
}

/** Few values of each, so that they meet. */
const PORTS = [1, 53, 80, 443, 5060, 65_535]
const PROTOCOLS = [1, 6, 17, 47, 58]
const DSCPS = [0, 8, 46]

function maybe<T>(random: Random, make: () => T): T | undefined {
  return random.chance(0.35) ? make() : undefined
}

function randomPolicy(name: string, random: Random): FibPolicy {
  const way = random.pick([0, ...Object.values(WAYS)])
  const rules = Array.from({ length: 1 + random.below(4) }, () => randomRule(random))
  return { name, rules, way, segments: new Uint32Array(), balanced: false, only: way !== 0 && random.chance(0.5) }
}

function randomRule(random: Random): FibRule {
  const isIpv4 = random.chance(0.5)
  const ports = () => {
    const [from, to] = [random.pick(PORTS), random.pick(PORTS)].sort((a, b) => a - b)
    return { from: from!, to: to! }
  }
  return {
    source: maybe(random, () => randomPrefix(random, isIpv4)),
    destination: maybe(random, () => randomPrefix(random, isIpv4)),
    protocol: maybe(random, () => random.pick(PROTOCOLS)),
    sourcePorts: maybe(random, ports),
    destinationPorts: maybe(random, ports),
    dscp: maybe(random, () => random.pick(DSCPS)),
  }
}

function randomAddress(random: Random, isIpv4: boolean): Uint8Array {
  if (isIpv4) return Uint8Array.of(10, random.below(2) * 255, random.below(2), 1 + random.below(2))
  const address = new Uint8Array(16)
  address.set([0x20, 1, 0xd, 0xb8])
  for (const at of [5, 8, 13]) address[at] = random.below(2) * 255
  address[15] = 1 + random.below(2)
  return address
}

function randomPrefix(random: Random, isIpv4: boolean): Prefix {
  const address = randomAddress(random, isIpv4)
  const length = random.below(address.length * 8 + 1)
  const masked = address.map((byte, i) => byte & (0xff00 >> Math.min(Math.max(length - i * 8, 0), 8)))
  return { address: masked, length }
}

function randomSample(random: Random): Sample {
  const isIpv4 = random.chance(0.5)
  const [source, destination] = [randomAddress(random, isIpv4), randomAddress(random, isIpv4)]
  const [sourcePort, destinationPort] = [random.pick(PORTS), random.pick(PORTS)]
  const kinds: { payload: Layer; protocol: number; hasPorts: boolean }[] = [
    { payload: tcp({ sourcePort, destinationPort }), protocol: 6, hasPorts: true },
    { payload: udp({ sourcePort, destinationPort }), protocol: 17, hasPorts: true },
    isIpv4
      ? { payload: icmpEcho(), protocol: 1, hasPorts: false }
      : { payload: icmpv6Echo(), protocol: 58, hasPorts: false },
  ]
  const { payload, protocol, hasPorts } = random.pick(kinds)
  const dscp = random.pick(DSCPS)
  const fragment = random.pick(['no', 'no', 'first', 'later'])
  const ends = { source: formatAddress(source), destination: formatAddress(destination) }
  const ports = hasPorts && fragment === 'no' ? ([sourcePort, destinationPort] as const) : undefined
  if (isIpv4) {
    const part = { moreFragments: fragment === 'first', fragmentOffset: fragment === 'later' ? 64 : 0 }
    const bytes = ipv4({ ...ends, ...part, tos: dscp << 2 }, payload)
    return { bytes, source, destination, protocol, ports, dscp, length: bytes.bytes.length }
  }
  const isBroken = random.chance(0.1)
  const extensions = [
    ...new Array(isBroken ? 9 : random.below(3)).fill(destinationOptions()),
    ...(fragment === 'no' ? [] : [fragment6({ offset: fragment === 'later' ? 64 : 0, more: fragment === 'first' })]),
  ] as Layer[]
  const bytes = ipv6({ ...ends, trafficClass: dscp << 2, extensions }, payload)
  const known = isBroken ? { protocol: undefined, ports: undefined } : { protocol, ports }
  return { bytes, source, destination, ...known, dscp, length: bytes.bytes.length }
}
