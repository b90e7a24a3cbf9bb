import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress, parseAddress } from '../../base/address.ts'
import { SEGMENT } from '../../wire/bgp/as-path.ts'
import { AttributeSets, FIXED, NO_SET } from '../bgp/rib/attribute-sets.ts'
import { CHANGED, Draft } from './draft.ts'
import { DraftWriter } from './draft-writer.ts'
import { internRoute, type RouteAttributes, routeOf } from './route-attributes.ts'

const ROUTE: RouteAttributes = {
  origin: 0,
  path: [{ type: SEGMENT.sequence, numbers: [65_002] }],
  nextHop: Uint8Array.of(192, 0, 2, 1),
  communities: [],
  extendedCommunities: [],
  largeCommunities: [],
}

function loaded(route: RouteAttributes): { sets: AttributeSets; draft: Draft; writer: DraftWriter } {
  const sets = new AttributeSets()
  const set = internRoute(sets, route)
  sets.use(set)
  const draft = new Draft(sets)
  draft.load(set)
  return { sets, draft, writer: new DraftWriter(sets) }
}

test('what no message could hold any more is no route', () => {
  const communities = Array.from({ length: 16_000 }, (_, i) => i)
  for (const [more, isHeld] of [
    [100, true],
    [2000, false],
  ] as const) {
    const { draft, writer } = loaded({ ...ROUTE, communities })
    for (let i = 0; i < more; i++) draft.largeCommunities.add([65_001, i, 0])
    draft.changed |= CHANGED.largeCommunities
    equal(writer.intern(draft, 0) !== NO_SET, isHeld)
  }
})

test('a link-local next hop goes with the one that it stood beside', () => {
  const both = Uint8Array.from([...parseAddress('2001:db8::1')!, ...parseAddress('fe80::1')!])
  const { sets, draft, writer } = loaded({ ...ROUTE, nextHop: both })
  equal(formatAddress(draft.nextHop.address), '2001:db8::1')
  equal(draft.setNextHop(parseAddress('192.0.2.9')!), false)
  equal(draft.setNextHop(parseAddress('2001:db8::9')!), true)
  equal(formatAddress(routeOf(sets, writer.intern(draft, 0)).nextHop), '2001:db8::9')
})

test('a set that policy has fixed something in is another one than its bytes alone', () => {
  const { sets, draft, writer } = loaded({ ...ROUTE, med: 5 })
  draft.changed |= CHANGED.med
  const [plain, fixed] = [writer.intern(draft, 0), writer.intern(draft, FIXED.med)]
  equal(plain, draft.set)
  deepEqual([fixed !== plain, sets.fixed[fixed], routeOf(sets, fixed).med], [true, FIXED.med, 5])
})
