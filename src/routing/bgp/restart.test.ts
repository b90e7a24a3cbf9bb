import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FAMILY, familyBit } from '../../wire/bgp/family.ts'
import { EngineBed, type SessionText } from './engine-bed.ts'
import { policiesOf, term } from './policy-bed.ts'

const ACME = 7
const IPV4 = familyBit(FAMILY.ipv4Unicast)
const ROUTE = { path: [65_101, 7], nextHop: '192.0.2.2' }

/** A peer that kept our routes, and says so. */
const keeping = (restarting = false): SessionText => ({
  agreed: {
    gracefulRestart: { restartTime_s: 120, restarting, notification: true, families: IPV4, forwarding: IPV4 },
  },
})

/** Sessions 1 and 2 of no tenant are expected, and 3 of one. */
function started(settings: ConstructorParameters<typeof EngineBed>[0] = {}): EngineBed {
  const bed = new EngineBed(settings)
  bed.engine.take({
    kind: 'expected',
    peers: [
      { peer: 'peer-1', vrf: 0 },
      { peer: 'peer-2', vrf: 0 },
      { peer: 'peer-3', vrf: ACME },
    ],
  })
  return bed
}

const ends = (bed: EngineBed): number[] => [1, 2, 3, 4].map((session) => bed.marks.get(session)?.length ?? 0)

suite('a speaker that starts says End-of-RIB (RFC 4724 section 4.1)', () => {
  test('when all peers that it waits for have said it, of the same tenant, and tells routes as they come', () => {
    const bed = started()
    bed.up(1, keeping())
    bed.up(2, keeping())
    bed.up(3, { vrf: ACME, ...keeping() })
    bed.announce(1, '10.0.0.0/8', ROUTE)
    deepEqual([...bed.told.get(2)!.keys()], ['10.0.0.0/8'])
    bed.endOfRib(1)
    deepEqual(ends(bed), [0, 0, 0, 0])
    bed.endOfRib(3)
    deepEqual(ends(bed), [0, 0, 1, 0])
    bed.up(4)
    bed.endOfRib(2)
    deepEqual(ends(bed), [1, 1, 1, 1])
    bed.announce(2, '11.0.0.0/8', ROUTE)
    bed.down(1)
    bed.up(5, { of: 1, ...keeping() })
    deepEqual(bed.marks.get(5), ['end of RIB'], 'who comes later waits for nobody')
  })

  test('not for peers that say nothing of restarts, or have restarted themselves', () => {
    const bed = started()
    bed.up(1)
    deepEqual(ends(bed), [0, 0, 0, 0])
    bed.up(2, keeping(true))
    deepEqual(ends(bed), [1, 1, 0, 0])
  })

  test("not for peers that are another node's now, and for those that never come no longer than two minutes", () => {
    const bed = started()
    bed.up(1, keeping())
    bed.endOfRib(1)
    bed.engine.take({ kind: 'expected', peers: [{ peer: 'peer-3', vrf: ACME }] })
    bed.run()
    deepEqual(ends(bed), [1, 0, 0, 0])
    bed.up(4, { vrf: ACME })
    bed.clock.advance(119_000)
    bed.run()
    equal(ends(bed)[3], 0)
    bed.clock.advance(1_000)
    bed.run()
    equal(ends(bed)[3], 1)
  })

  test('with those of the VRFs that its own exchanges routes with', () => {
    const target = { high: 0x0002_fde9, low: 1 }
    const vrf = { vrf: ACME, distinguisher: { high: 65_001, low: 7 }, imports: [target], exports: [target], label: 3 }
    const bed = started({ targets: [vrf] })
    bed.up(3, { vrf: ACME, ...keeping() })
    bed.endOfRib(3)
    equal(ends(bed)[2], 0)
    for (const session of [1, 2]) {
      bed.up(session, keeping())
      bed.endOfRib(session)
    }
    deepEqual(ends(bed), [1, 1, 1, 0])
  })

  test('to peers whose policies change meanwhile, too', () => {
    const bed = started()
    bed.up(1, keeping())
    bed.up(2, keeping())
    bed.endOfRib(1)
    const neighbours = [{ number: 1 }, { number: 2, export: ['none'] }]
    const policies = [{ name: 'none', terms: [term('reject')] }]
    equal(bed.engine.reloadPolicies(policiesOf(neighbours, { policies })).exports, 1)
    bed.run()
    bed.endOfRib(2)
    deepEqual(ends(bed), [1, 1, 0, 0])
  })
})
