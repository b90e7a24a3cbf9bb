import { deepEqual, equal, match } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FAMILY, familyBit } from '../../wire/bgp/family.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'
import { EngineBed } from './engine-bed.ts'
import { policiesOf, term } from './policy-bed.ts'

const IPV4 = familyBit(FAMILY.ipv4Unicast)
const KEPT = { keep: IPV4, keep_s: 120 }
const ROUTE = { path: [65_101, 7], nextHop: '192.0.2.2' }

/** A peer's session broke, and it told others of two prefixes before. */
function broken(): EngineBed {
  const bed = new EngineBed()
  bed.up(1)
  bed.up(2)
  bed.announce(1, '10.0.0.0/8', ROUTE)
  bed.announce(1, '11.0.0.0/8', ROUTE)
  bed.down(1, KEPT)
  return bed
}

const toldTo2 = (bed: EngineBed): string[] => [...bed.told.get(2)!.keys()].sort()

suite('routes of a session that broke (RFC 4724)', () => {
  test('stay as they are for others, and go when the peer does not come back in time', () => {
    const bed = broken()
    deepEqual(toldTo2(bed), ['10.0.0.0/8', '11.0.0.0/8'])
    bed.clock.advance(119_000)
    bed.run()
    equal(toldTo2(bed).length, 2)
    bed.clock.advance(2_000)
    bed.run()
    equal(toldTo2(bed).length, 0)
    deepEqual(bed.engine.counts(), { sessions: 1, tables: 1, prefixes: 0, paths: 0, attributeSets: 0 })
  })

  test('are taken over by the next session without a word to others, and what does not come again goes', () => {
    const bed = broken()
    const before = bed.updates.get(2)!
    bed.up(3, { of: 1, restart: { forwarding: IPV4 } })
    bed.announce(3, '10.0.0.0/8', ROUTE)
    equal(bed.updates.get(2), before)
    equal(bed.told.get(3)!.size, 0, 'the peer is not told of its own routes')
    bed.endOfRib(3)
    deepEqual(toldTo2(bed), ['10.0.0.0/8'])
    bed.clock.advance(1_000_000)
    bed.run()
    deepEqual(toldTo2(bed), ['10.0.0.0/8'])
    equal(bed.engine.counts().paths, 1)
  })

  test('are replaced at once by what the next session says of them', () => {
    const bed = broken()
    bed.up(3, { of: 1, restart: { forwarding: IPV4 } })
    bed.announce(3, '10.0.0.0/8', { ...ROUTE, path: [65_101, 8, 9, 10] })
    match(bed.told.get(2)!.get('10.0.0.0/8')!, /65101 8 9 10/)
    bed.withdraw(3, '11.0.0.0/8')
    deepEqual(toldTo2(bed), ['10.0.0.0/8'])
  })

  test('go at once when the peer did not go on forwarding, or the session ended for good', () => {
    const bed = broken()
    bed.up(3, { of: 1, restart: { forwarding: 0 } })
    equal(toldTo2(bed).length, 0)
    bed.announce(3, '10.0.0.0/8', ROUTE)
    bed.down(3)
    equal(toldTo2(bed).length, 0)
  })

  test('go in the end when their End-of-RIB never comes, and the next session harms nobody who comes after them', () => {
    const bed = broken()
    bed.up(3, { of: 1, restart: { forwarding: IPV4 } })
    bed.announce(3, '10.0.0.0/8', ROUTE)
    bed.clock.advance(360_000)
    bed.run()
    deepEqual(toldTo2(bed), ['10.0.0.0/8'])
    // It has the number in the RIB that the broken session had.
    bed.up(4)
    bed.announce(4, '12.0.0.0/8', { ...ROUTE, path: [65_104] })
    bed.announce(3, '12.0.0.0/8', ROUTE)
    bed.withdraw(3, '12.0.0.0/8')
    deepEqual(toldTo2(bed), ['10.0.0.0/8', '12.0.0.0/8'])
    bed.down(4)
    bed.down(3)
    deepEqual([toldTo2(bed), bed.engine.counts().paths], [[], 0])
  })

  test('meet policies that change meanwhile', () => {
    const bed = broken()
    const policies = [{ name: 'none', terms: [term('reject')] }]
    const { imports } = bed.engine.reloadPolicies(
      policiesOf([{ number: 1, import: ['none'] }, { number: 2 }], { policies }),
    )
    bed.run()
    deepEqual([imports, toldTo2(bed)], [1, []])
    bed.engine.reloadPolicies(policiesOf([{ number: 1 }, { number: 2 }], { policies }))
    bed.run()
    equal(toldTo2(bed).length, 2)
    // One that is under way when the session breaks goes on.
    bed.up(3, { of: 1, restart: { forwarding: IPV4 } })
    bed.engine.reloadPolicies(policiesOf([{ number: 1, import: ['none'] }, { number: 2 }], { policies }))
    bed.down(3, KEPT)
    deepEqual(toldTo2(bed), [])
    bed.clock.advance(600_000)
    bed.run()
    equal(bed.engine.counts().paths, 0)
  })

  test('of a family that the next session does not have go with it: their end would never come', () => {
    const bed = new EngineBed()
    const families = [FAMILY.ipv4Unicast, FAMILY.ipv6Unicast]
    bed.up(1, { families })
    bed.up(2, { families })
    bed.announce(1, '10.0.0.0/8', ROUTE)
    bed.down(1, { keep: familyBit(FAMILY.ipv4Unicast) | familyBit(FAMILY.ipv6Unicast), keep_s: 120 })
    bed.up(3, { of: 1, families: [FAMILY.ipv6Unicast], restart: { forwarding: 0b11 } })
    deepEqual(toldTo2(bed), [])
  })

  test('of two that broke one after another only the last stay', () => {
    const bed = broken()
    bed.up(3, { of: 1, restart: { forwarding: IPV4 } })
    bed.announce(3, '10.0.0.0/8', ROUTE)
    bed.down(3, KEPT)
    deepEqual(toldTo2(bed), ['10.0.0.0/8'])
  })
})

suite('all routes again (RFC 7313)', () => {
  test('are told between two marks to whoever knows them', () => {
    const bed = new EngineBed()
    bed.up(1)
    bed.up(2)
    bed.up(3)
    bed.announce(1, '10.0.0.0/8', ROUTE)
    const before = bed.updates.get(3)
    bed.refresh(2, REFRESH.request)
    deepEqual(bed.marks.get(2), ['end of RIB', 'begins', 'ends'])
    deepEqual([bed.updates.get(2), bed.updates.get(3)], [2, before])
    bed.announce(1, '11.0.0.0/8', ROUTE)
    deepEqual(toldTo2(bed), ['10.0.0.0/8', '11.0.0.0/8'])
  })

  test('leave nothing behind of a peer that has not come again between its marks', () => {
    const bed = new EngineBed()
    bed.up(1)
    bed.up(2)
    for (const prefix of ['10.0.0.0/8', '11.0.0.0/8', '12.0.0.0/8']) bed.announce(1, prefix, ROUTE)
    const before = bed.updates.get(2)!
    bed.refresh(1, REFRESH.begin)
    bed.announce(1, '10.0.0.0/8', ROUTE)
    bed.announce(1, '12.0.0.0/8', { ...ROUTE, path: [65_101, 9] })
    equal(toldTo2(bed).length, 3)
    bed.refresh(1, REFRESH.end)
    deepEqual(toldTo2(bed), ['10.0.0.0/8', '12.0.0.0/8'])
    equal(bed.updates.get(2), before + 2, 'one of them has changed, and one is gone')
    bed.refresh(1, REFRESH.end)
    equal(toldTo2(bed).length, 2)
  })
})

test('marks of the peer that come at once are taken one after the other, and an end without a beginning is none', () => {
  const bed = new EngineBed()
  bed.up(1)
  bed.up(2)
  for (const prefix of ['10.0.0.0/8', '11.0.0.0/8']) bed.announce(1, prefix, ROUTE)
  bed.refresh(1, REFRESH.end)
  equal(toldTo2(bed).length, 2)
  for (const subtype of [REFRESH.begin, REFRESH.end, REFRESH.begin])
    bed.engine.take({ kind: 'refresh', session: 1, family: FAMILY.ipv4Unicast, subtype })
  bed.run()
  deepEqual(toldTo2(bed), [])
  bed.announce(1, '10.0.0.0/8', ROUTE)
  bed.refresh(1, REFRESH.end)
  deepEqual(toldTo2(bed), ['10.0.0.0/8'])
})

test('who asks for all routes again is told of those too that are gone before its turn comes', () => {
  const bed = new EngineBed()
  for (const session of [1, 2, 3]) bed.up(session)
  bed.announce(1, '10.0.0.0/8', ROUTE)
  bed.announce(1, '11.0.0.0/8', ROUTE)
  bed.hold(2)
  bed.refresh(2, REFRESH.request)
  bed.withdraw(1, '10.0.0.0/8')
  bed.hold(0)
  bed.clock.advance(1000)
  bed.run()
  deepEqual(toldTo2(bed), ['11.0.0.0/8'])
})

test('routes that have not come again count for the maximum no more', () => {
  const bed = new EngineBed()
  bed.up(1, { maximumPrefixes: 6 })
  for (let round = 0; round < 3; round++) {
    bed.refresh(1, REFRESH.begin)
    for (let i = 0; i < 3; i++) bed.announce(1, `10.${round}.${i}.0/24`, ROUTE)
    bed.refresh(1, REFRESH.end)
  }
  deepEqual(bed.said, [])
})

test('a peer that comes near to its maximum is told of once', () => {
  const bed = new EngineBed()
  bed.up(1, { maximumPrefixes: 4, warningPrefixes: 2 })
  for (let i = 0; i < 4; i++) bed.announce(1, `10.${i}.0.0/16`, ROUTE)
  deepEqual(bed.said, [{ kind: 'near-maximum', session: 1, routes: 3 }])
  bed.announce(1, '10.9.0.0/16', ROUTE)
  equal(bed.said.length, 2)
})
