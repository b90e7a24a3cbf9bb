/**
 * What policies cost: a full table from one peer to another through the RIB, without policies and with them in both
 * directions. Prints the processor's time a million routes, the least of several runs: what others do on the machine only
 * adds. ROUTES and RUNS to have other ones.
 *
 *   node --expose-gc bench/bgp/policy.bench.ts
 */

import { deepEqual } from 'node:assert/strict'
import { formatPrefix, ipv4Bytes } from '../../src/base/address.ts'
import { Random } from '../../src/base/random.ts'
import { parseSite } from '../../src/config/load.ts'
import { AttributeRewriter } from '../../src/routing/bgp/rib/attribute-rewriter.ts'
import { AttributeSets } from '../../src/routing/bgp/rib/attribute-sets.ts'
import { Decision } from '../../src/routing/bgp/rib/decision.ts'
import { Inbound } from '../../src/routing/bgp/rib/inbound.ts'
import { Packer } from '../../src/routing/bgp/rib/packer.ts'
import { PrefixTable4 } from '../../src/routing/bgp/rib/prefix-table.ts'
import { RibPeers } from '../../src/routing/bgp/rib/rib-peers.ts'
import { RoutingTable } from '../../src/routing/bgp/rib/routing-table.ts'
import { SetAssembler } from '../../src/routing/bgp/rib/set-assembler.ts'
import { UpdateGroup } from '../../src/routing/bgp/rib/update-group.ts'
import { PolicyBook, type PolicySource, policySourceOf } from '../../src/routing/policy/policy-book.ts'
import { Workbench } from '../../src/routing/policy/workbench.ts'
import { attributeContext } from '../../src/wire/bgp/facts.ts'
import { FAMILY } from '../../src/wire/bgp/family.ts'
import { UpdateBuilder } from '../../src/wire/bgp/update-builder.ts'
import { Reader } from '../../src/wire/cursor.ts'
import { internetRoutes4 } from '../fib/internet.ts'

const ROUTES = Number(process.env['ROUTES'] ?? 1_000_000)
const RUNS = Number(process.env['RUNS'] ?? 5)
const ROUTES_PER_UPDATE = 5
const TERMS = 20
const LIST_ENTRIES = 10_000

const routes = internetRoutes4(new Random(7), ROUTES)

function attributesOf(i: number): number[] {
  const word = (n: number): number[] => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]
  const path = [
    65_002,
    ...Array.from({ length: 3 + (i % 3) }, (_, hop) => 1000 + ((i * 7919 + hop * 104_729) % 60_000)),
  ]
  return [
    ...[0x40, 1, 1, 0],
    ...[0x40, 2, 2 + 4 * path.length, 2, path.length, ...path.flatMap(word)],
    ...[0x40, 3, 4, 10, 0, 0, 2],
    ...[0xc0, 8, 8, ...word((65_002 << 16) | (i & 0xff)), ...word((65_002 << 16) | ((i >>> 8) & 0xffff))],
  ]
}

/** All updates, one behind the other. */
function table(): { bytes: Uint8Array; end: number } {
  const bytes = new Uint8Array(new SharedArrayBuffer(ROUTES * 25 + 1024))
  const builder = new UpdateBuilder()
  builder.target(bytes)
  let end = 0
  for (let i = 0; i < ROUTES; i += ROUTES_PER_UPDATE) {
    builder.begin(end, FAMILY.ipv4Unicast, Uint8Array.from(attributesOf(i / ROUTES_PER_UPDATE)))
    for (let j = i; j < Math.min(i + ROUTES_PER_UPDATE, ROUTES); j++)
      builder.addPrefix4(routes.addresses[j]!, routes.lengths[j]!)
    end = builder.finish()
  }
  return { bytes, end }
}

/** Each term asks a list of its own, of prefixes that are in the table, and then for something of the attributes. */
function sourceOf(terms: (i: number) => unknown): PolicySource {
  const random = new Random(11)
  const entry = (): unknown => {
    const i = random.below(ROUTES)
    const prefix = formatPrefix({ address: ipv4Bytes(routes.addresses[i]!), length: routes.lengths[i]! })
    return random.chance(0.5) ? prefix : { prefix, le: 32 }
  }
  const lists = Array.from({ length: TERMS }, (_, i) => ({
    name: `list${i}`,
    prefixes: Array.from({ length: LIST_ENTRIES }, entry),
  }))
  const policies = [{ name: 'all', terms: Array.from({ length: TERMS }, (_, i) => terms(i)) }]
  const neighbour = { address: '127.0.0.2', as: 65_002, import: ['all'], export: ['all'] }
  const { site, errors } = parseSite(
    JSON.stringify({
      site: 'bench',
      routing: {
        as: 65_001,
        router_id: '10.0.0.1',
        prefix_lists: lists,
        as_path_lists: [{ name: 'paths', paths: ['65002 . 1234 .*', '.* 64512-65534 .*'] }],
        community_lists: [{ name: 'communities', communities: ['65002:7', '65009:*'] }],
        policies,
        neighbours: [{ ...neighbour, name: 'left' }],
      },
    }),
  )
  deepEqual(errors, undefined)
  return policySourceOf(site!.routing!)
}

/** Takes the table in and tells the other peer; returns the processor's time in ms. */
function load({ bytes, end }: { bytes: Uint8Array; end: number }, source: PolicySource | undefined): number {
  const sets = new AttributeSets()
  const peers = new RibPeers()
  const rib = new RoutingTable(new PrefixTable4(), sets, new Decision(sets, peers, { alwaysCompareMed: false }))
  const [left, right] = [65_002, 65_003].map((as, i) =>
    peers.add({
      name: i === 0 ? 'left' : 'right',
      address: Uint8Array.of(127, 0, 0, 2 + i),
      as,
      routerId: i,
      external: true,
      client: false,
    }),
  )
  const book = source && new PolicyBook(new Workbench(sets, peers), source)
  const form = {
    external: true,
    transparent: true,
    localAs: 65_001,
    overriddenAs: 0,
    nextHopSelf: undefined,
    as4: true,
    clusterId: 1,
    ours: undefined,
    extendedNextHop: false,
    family: FAMILY.ipv4Unicast,
    messageBytesMax: 4096,
    addPath: 0,
  }
  const out = book?.chainFor('out', 'left', true).evaluator(FAMILY.ipv4Unicast)
  const group = new UpdateGroup(rib, peers, { form, clients: false }, () => {}, out)
  group.join(right!)
  group.join(left!)
  const packer = new Packer({ send: () => {}, room: () => 1 << 30 })
  const rewriter = new AttributeRewriter(sets)
  const inbound = new Inbound(
    {
      peer: left!,
      context: attributeContext(),
      tables: [rib],
      localAs: 65_001,
      routerId: 1,
      clusterId: 1,
      allowAsIn: 0,
      firstAs: 65_002,
      policies: book ? [book.chainFor('in', 'left', true).evaluator(FAMILY.ipv4Unicast)] : [],
      nextHops: undefined,
      onEndOfRib: () => {},
    },
    sets,
    new SetAssembler(sets),
  )
  const flush = (): void => {
    for (const track of group.busy()) group.flush(track, packer, rewriter, 1 << 30)
    group.rest()
    packer.flush()
  }
  flush()
  const reader = new Reader(bytes)
  const view = new DataView(bytes.buffer)
  // What was made before is not this one's to collect.
  globalThis.gc?.()
  const before = process.cpuUsage()
  for (let at = 0; at < end; ) {
    for (const stop = Math.min(at + 131_072, end); at < stop; at += view.getUint16(at + 16))
      inbound.update(reader, view, at, view.getUint16(at + 16))
    flush()
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

const cases: readonly (readonly [what: string, source: PolicySource | undefined])[] = [
  ['no policies', undefined],
  [
    '20 terms that look at attributes',
    sourceOf((i) => ({
      match: { ...(i % 2 ? { as_path_list: 'paths' } : { community_list: 'communities' }), path_length: { to: 5 } },
      set: { local_preference: 50 + i },
    })),
  ],
  ['20 terms with prefix lists of 10 K entries', sourceOf((i) => ({ match: { prefix_list: `list${i}` } }))],
  [
    'the same, changing what is in them',
    sourceOf((i) => ({ match: { prefix_list: `list${i}` }, set: { local_preference: 50 + i } })),
  ],
  [
    '20 terms with prefix lists and attributes',
    sourceOf((i) => ({
      match: {
        prefix_list: `list${i}`,
        path_length: { to: 5 },
        ...(i % 4 === 0 ? { community_list: 'communities' } : {}),
      },
      set: i % 4 === 1 ? { communities: { add: [`65001:${i}`] } } : {},
    })),
  ],
]

const updates = table()
const times = cases.map((): number[] => [])
for (let run = 0; run < RUNS; run++)
  for (const [i, [, source]] of cases.entries()) times[i]!.push(load(updates, source))
const bare = Math.min(...times[0]!)
for (const [i, [what]] of cases.entries()) {
  const time = Math.min(...times[i]!)
  console.log(`${Math.round((time * 1e6) / ROUTES)} ms a million routes, ${(time / bare).toFixed(2)}x  ${what}`)
}
