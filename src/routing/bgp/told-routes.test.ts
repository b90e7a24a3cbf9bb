import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Words } from '../../wire/bgp/distinguisher.ts'
import { updateBody } from '../../wire/bgp/drawn.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'
import { EngineBed } from './engine-bed.ts'
import type { VrfTargets } from './rib/route-targets.ts'

const ROUTE = { path: [65_101, 7], nextHop: '192.0.2.2' }

const vrf = (number: number, imports: Words[], exports: Words[]): VrfTargets => ({
  ...{ vrf: number, distinguisher: { high: 65_001, low: number }, imports, exports, label: number },
})

const toldTo2 = (bed: EngineBed): string[] => [...bed.told.get(2)!.keys()].sort()

suite('routes of our own making', () => {
  const aggregate = (summaryOnly: boolean) => ({
    aggregates: [{ vrf: 0, prefix: { address: Uint8Array.of(10, 0, 0, 0), length: 8 }, summaryOnly }],
  })

  test('a summary is there while something is in it, and says who made it', () => {
    const bed = new EngineBed(aggregate(false))
    bed.up(1)
    bed.up(2)
    bed.announce(1, '11.1.0.0/16', ROUTE)
    bed.announce(1, '10.0.0.0/8', ROUTE)
    match(bed.told.get(2)!.get('10.0.0.0/8')!, /65101 7/)
    bed.withdraw(1, '10.0.0.0/8')
    deepEqual(toldTo2(bed), ['11.1.0.0/16'])
    bed.announce(1, '10.1.0.0/16', ROUTE)
    bed.announce(1, '10.2.0.0/16', ROUTE)
    deepEqual(toldTo2(bed), ['10.0.0.0/8', '10.1.0.0/16', '10.2.0.0/16', '11.1.0.0/16'])
    match(bed.told.get(2)!.get('10.0.0.0/8')!, /AS_PATH 65001; .*ATOMIC_AGGREGATE.*AGGREGATOR.*65001/)
    bed.withdraw(1, '10.1.0.0/16')
    ok(bed.told.get(2)!.has('10.0.0.0/8'))
    bed.down(1)
    equal(bed.told.get(2)!.size, 0)
  })

  test('peers may be told the summary alone', () => {
    const bed = new EngineBed(aggregate(true))
    bed.up(1)
    bed.announce(1, '10.1.0.0/16', ROUTE)
    bed.announce(1, '11.1.0.0/16', ROUTE)
    bed.up(2)
    deepEqual(toldTo2(bed), ['10.0.0.0/8', '11.1.0.0/16'])
  })

  test('a default route is told to who is to have one, whatever there is, and again when it asks', () => {
    const bed = new EngineBed()
    bed.up(1)
    bed.up(2, { defaultOriginate: true })
    bed.up(3)
    match(bed.told.get(2)!.get('0.0.0.0/0')!, /AS_PATH 65001; NEXT_HOP 192\.0\.2\.1/)
    equal(bed.told.get(3)!.size, 0)
    bed.announce(1, '0.0.0.0/0', ROUTE)
    match(bed.told.get(2)!.get('0.0.0.0/0')!, /AS_PATH 65001;/)
    match(bed.told.get(3)!.get('0.0.0.0/0')!, /AS_PATH 65001 65101 7/)
    bed.refresh(2, REFRESH.request)
    deepEqual(toldTo2(bed), ['0.0.0.0/0'])
    bed.down(2)
    bed.down(1)
    equal(bed.engine.counts().prefixes, 0)
  })
})

test("a peer's own AS in a path is told as ours where that is wanted, and nobody else's", () => {
  const bed = new EngineBed()
  bed.up(1)
  bed.up(2, { asOverride: true })
  bed.up(3)
  bed.announce(1, '10.0.0.0/8', { ...ROUTE, path: [65_101, 65_102, 7, 65_102] })
  match(bed.told.get(2)!.get('10.0.0.0/8')!, /AS_PATH 65001 65101 65001 7 65001;/)
  match(bed.told.get(3)!.get('10.0.0.0/8')!, /AS_PATH 65001 65101 65102 7 65102;/)
})

suite("a path with our AS in it, in a VRF whose traffic goes by a customer's hub", () => {
  const BACK = { ...ROUTE, path: [65_120, 65_001, 65_110] }

  test('is taken as often as allow_as_in says, and no more', () => {
    const bed = new EngineBed()
    bed.up(1, { allowAsIn: 1 })
    bed.up(2)
    bed.announce(1, '10.0.0.0/8', BACK)
    bed.announce(1, '11.0.0.0/8', { ...ROUTE, path: [65_120, 65_001, 65_110, 65_001] })
    deepEqual(toldTo2(bed), ['10.0.0.0/8'])
    bed.up(3)
    bed.announce(3, '12.0.0.0/8', BACK)
    deepEqual(toldTo2(bed), ['10.0.0.0/8'])
  })

  test('leads from one spoke to another of the same AS', () => {
    const [SPOKES, HUB] = [{ high: 0x0002_fde9, low: 1 } as const, { high: 0x0002_fde9, low: 2 } as const]
    const [one, two, toHub, fromHub] = [11, 12, 13, 14] as const
    const bed = new EngineBed({
      tenants: [one, two, toHub, fromHub].map((number) => [number, `vrf-${number}`]),
      targets: [
        vrf(one, [HUB], [SPOKES]),
        vrf(two, [HUB], [SPOKES]),
        vrf(toHub, [SPOKES], []),
        vrf(fromHub, [], [HUB]),
      ],
    })
    const spoke = { asOverride: true, agreed: { remoteAs: 65_110 } }
    bed.up(1, { vrf: one, ...spoke })
    bed.up(2, { vrf: two, ...spoke })
    bed.up(3, { vrf: toHub })
    bed.up(4, { vrf: fromHub, allowAsIn: 1 })
    bed.announce(1, '10.1.0.0/16', { ...ROUTE, path: [65_110] })
    match(bed.told.get(3)!.get('10.1.0.0/16')!, /AS_PATH 65001 65110;/)
    deepEqual(toldTo2(bed), [], 'not from spoke to spoke')
    bed.announce(4, '10.1.0.0/16', BACK)
    match(bed.told.get(2)!.get('10.1.0.0/16')!, /AS_PATH 65001 65120 65001 65001;/)
    bed.withdraw(4, '10.1.0.0/16')
    deepEqual(toldTo2(bed), [])
  })
})

test('a route that no message can hold with its route targets does not get out of its VRF', () => {
  const target = { high: 0x0002_fde9, low: 1 }
  const bed = new EngineBed({ targets: [vrf(7, [], [target]), vrf(8, [target], [])] })
  bed.up(1, { vrf: 7 })
  bed.up(2, { vrf: 8 })
  const route = (bytes: number): Uint8Array => {
    const unknown = `d0 63 ${bytes.toString(16).padStart(4, '0')} ${'00'.repeat(bytes)}`
    return updateBody({ attributes: `40 01 01 00 40 02 00 40 03 04 c0000202 ${unknown}`, nlri: '08 0a' })
  }
  bed.update(1, route(100))
  deepEqual(toldTo2(bed), ['10.0.0.0/8'])
  bed.update(1, route(65_490))
  deepEqual(toldTo2(bed), [])
  equal(bed.engine.counts().paths, 1)
  bed.update(1, route(100))
  deepEqual(toldTo2(bed), ['10.0.0.0/8'])
  bed.update(1, route(65_490))
  bed.down(1)
  deepEqual([bed.engine.counts().prefixes, bed.engine.counts().attributeSets], [0, 0])
})

suite('several paths of a prefix (RFC 7911)', () => {
  const paths = (bed: EngineBed): string[] =>
    Array.from(
      bed.told.get(9)!,
      ([prefix, text]) => `${prefix.replace(/ path \d+$/, '')} ${/AS_PATH ([\d ]+)/.exec(text)![1]}`,
    ).sort()

  test('are told with an identifier each, the best ones, and not to whose they are', () => {
    const bed = new EngineBed()
    for (const session of [1, 2, 3]) bed.up(session)
    bed.up(9, { addPathSend: 2 })
    bed.announce(1, '10.0.0.0/8', { ...ROUTE, path: [65_101] })
    bed.announce(2, '10.0.0.0/8', { ...ROUTE, path: [65_102, 7] })
    deepEqual(paths(bed), ['10.0.0.0/8 65001 65101', '10.0.0.0/8 65001 65102 7'])
    bed.announce(3, '10.0.0.0/8', { ...ROUTE, path: [65_103] })
    deepEqual(paths(bed), ['10.0.0.0/8 65001 65101', '10.0.0.0/8 65001 65103'])
    const before = bed.updates.get(9)
    bed.announce(2, '10.0.0.0/8', { ...ROUTE, path: [65_102, 8] })
    equal(bed.updates.get(9), before, 'what it is not told changes nothing')
    bed.withdraw(1, '10.0.0.0/8')
    deepEqual(paths(bed), ['10.0.0.0/8 65001 65102 8', '10.0.0.0/8 65001 65103'])
    deepEqual([...bed.told.get(2)!.keys()], ['10.0.0.0/8'], 'others have the best one alone')
    for (const session of [2, 3]) bed.down(session)
    deepEqual(paths(bed), [])
    bed.down(9)
    deepEqual([bed.engine.counts().prefixes, bed.engine.counts().attributeSets], [0, 0])
  })

  test('come again, all of them, when they are asked for', () => {
    const bed = new EngineBed()
    for (const session of [1, 2]) bed.up(session)
    bed.announce(1, '10.0.0.0/8', { ...ROUTE, path: [65_101] })
    bed.announce(2, '10.0.0.0/8', { ...ROUTE, path: [65_102] })
    bed.up(9, { addPathSend: 8, defaultOriginate: true })
    deepEqual(paths(bed), ['0.0.0.0/0 65001', '10.0.0.0/8 65001 65101', '10.0.0.0/8 65001 65102'])
    bed.told.get(9)!.clear()
    bed.refresh(9, REFRESH.request)
    equal(paths(bed).length, 3)
  })
})

suite('IPv4 routes over IPv6 (RFC 8950)', () => {
  test('have our IPv6 address as their next hop for peers that take it, and are told to nobody else', () => {
    const bed = new EngineBed()
    bed.up(1)
    bed.up(2, { local: '2001:db8::1', extendedNextHop: true })
    bed.announce(1, '10.0.0.0/8', ROUTE)
    match(bed.told.get(2)!.get('10.0.0.0/8')!, /ipv4-unicast via 2001:db8::1/)
    bed.up(3, { local: '2001:db8::1' })
    equal(bed.told.get(3)!.size, 0)
  })
})

suite('next hops', () => {
  const A = Uint8Array.of(192, 0, 2, 2)
  const B = Uint8Array.of(192, 0, 2, 3)
  const two = (): EngineBed => {
    const bed = new EngineBed()
    for (const session of [1, 2, 3]) bed.up(session)
    bed.announce(1, '10.0.0.0/8', { path: [65_101], nextHop: '192.0.2.2' })
    bed.announce(2, '10.0.0.0/8', { path: [65_102], nextHop: '192.0.2.3' })
    bed.announce(1, '11.0.0.0/8', { path: [65_101], nextHop: '192.0.2.2' })
    return bed
  }
  const told = (bed: EngineBed): string[] =>
    Array.from(bed.told.get(3)!, ([prefix, text]) => `${prefix} by ${/AS_PATH 65001 (\d+)/.exec(text)![1]}`).sort()

  test('are asked about once, and their routes are of no use while they cannot be reached', () => {
    const bed = two()
    deepEqual(bed.asked, ['192.0.2.2', '192.0.2.3'])
    deepEqual(told(bed), ['10.0.0.0/8 by 65101', '11.0.0.0/8 by 65101'])
    bed.engine.nextHopChanged(A, undefined)
    bed.run()
    deepEqual(told(bed), ['10.0.0.0/8 by 65102'])
    bed.announce(1, '12.0.0.0/8', { path: [65_101], nextHop: '192.0.2.2' })
    deepEqual(told(bed), ['10.0.0.0/8 by 65102'])
    bed.engine.nextHopChanged(A, { metric: 0 })
    bed.run()
    deepEqual(told(bed), ['10.0.0.0/8 by 65101', '11.0.0.0/8 by 65101', '12.0.0.0/8 by 65101'])
  })

  test('that are nearer win, where all else is equal', () => {
    const bed = two()
    bed.engine.nextHopChanged(A, { metric: 20 })
    bed.engine.nextHopChanged(B, { metric: 10 })
    bed.run()
    deepEqual(told(bed), ['10.0.0.0/8 by 65102', '11.0.0.0/8 by 65101'])
  })

  test("of a route server's clients and of tenants do not matter", () => {
    const bed = new EngineBed()
    bed.up(1, { routeServerClient: true })
    bed.up(2, { vrf: 7 })
    bed.announce(1, '10.0.0.0/8', ROUTE)
    bed.announce(2, '10.0.0.0/8', ROUTE)
    deepEqual(bed.asked, [])
  })
})

test('extended communities that are of one AS stay in it (RFC 4360), but for those that a route server has, or policy', () => {
  const COMMUNITIES = [0x0002_fde9, 7, 0x4004_fde9, 0x4cbe_bc20, 0x0003_000b, 9]
  const more = [
    0xc0,
    16,
    4 * COMMUNITIES.length,
    ...COMMUNITIES.flatMap((word) => [24, 16, 8, 0].map((by) => (word >>> by) & 255)),
  ]
  const bed = new EngineBed()
  bed.up(1)
  bed.up(2)
  bed.up(3, { internal: true })
  bed.up(4, { routeServerClient: true })
  bed.announce(1, '10.0.0.0/8', { ...ROUTE, more })
  const told = (session: number): string | undefined =>
    /EXTENDED_COMMUNITIES ([^;]*)/.exec(bed.told.get(session)!.get('10.0.0.0/8')!)?.[1]
  const all = 'rt:65001:7 link-bandwidth:65001:100000000 ro:11:9'
  deepEqual([told(2), told(3), told(4)], ['rt:65001:7 ro:11:9', all, all])
  bed.announce(1, '10.0.0.0/8', { ...ROUTE, more: [0xc0, 16, 8, ...more.slice(11, 19)] })
  deepEqual([told(2), told(3)], [undefined, 'link-bandwidth:65001:100000000'])
})

test('what no message to a peer can hold is not told, and what it was told before is taken back', () => {
  const bed = new EngineBed()
  bed.up(1)
  bed.up(2)
  bed.announce(1, '10.0.0.0/8', ROUTE)
  // As much as a message can bring, to which our AS is added.
  const large = new Uint8Array(4 * 1010).map((_, i) => (i % 4 === 0 ? 0xfd : i >> 4))
  const more = [0xd0, 8, large.length >> 8, large.length & 255, ...large]
  bed.announce(1, '10.0.0.0/8', { ...ROUTE, more })
  equal(bed.engine.counts().paths, 1)
  deepEqual(toldTo2(bed), [])
  bed.announce(1, '10.0.0.0/8', ROUTE)
  deepEqual(toldTo2(bed), ['10.0.0.0/8'])
})
