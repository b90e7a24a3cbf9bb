import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Capability } from '../../../wire/bgp/capability.ts'
import { FAMILY, familyBit } from '../../../wire/bgp/family.ts'
import { type Notification, OPEN_ERROR } from '../../../wire/bgp/notification.ts'
import { decodeOpen, encodeOpen, type Open } from '../../../wire/bgp/open.ts'
import { Reader } from '../../../wire/cursor.ts'
import { type Negotiated, negotiate, type Offer, openOf, ROLE } from './negotiate.ts'

const v4 = familyBit(FAMILY.ipv4Unicast)
const v6 = familyBit(FAMILY.ipv6Unicast)

const base: Offer = {
  localAs: 65_001,
  localId: 1,
  remoteAs: [{ from: 65_002, to: 65_002 }],
  holdTime_s: 90,
  holdTimeMin_s: 3,
  families: [{ family: FAMILY.ipv4Unicast }, { family: FAMILY.ipv6Unicast }],
  extendedMessages: true,
}

/** The peer's OPEN, as it arrives, when it offers this. */
function openFrom(offer: Partial<Offer> = {}): Open {
  const message = encodeOpen(openOf({ ...base, localAs: 65_002, localId: 2, ...offer }))
  const body = new Reader(message)
  body.window(19, message.length)
  return decodeOpen(body) as Open
}

const agreed = (ours: Partial<Offer>, theirs: Partial<Offer> | Open): Negotiated =>
  negotiate({ ...base, ...ours }, 'capabilities' in theirs ? theirs : openFrom(theirs)) as Negotiated

const refused = (ours: Partial<Offer>, theirs: Partial<Offer>): number[] => {
  const { code, subcode } = negotiate({ ...base, ...ours }, openFrom(theirs)) as Notification
  equal(code, OPEN_ERROR.code)
  return [subcode]
}

suite('two speakers agree', () => {
  test('on all that both offer', () => {
    deepEqual(agreed({}, {}), {
      remoteAs: 65_002,
      remoteId: 2,
      external: true,
      as4: true,
      holdTime_s: 90,
      families: v4 | v6,
      addPathReceive: 0,
      addPathSend: 0,
      extendedNextHop: 0,
      receiveBytesMax: 65_535,
      sendBytesMax: 65_535,
      refresh: true,
      enhancedRefresh: true,
    })
  })

  test('on the plain protocol with a peer that says nothing', () => {
    const plain = agreed({}, { as: 65_002, holdTime_s: 180, identifier: 2, capabilities: [] })
    deepEqual([plain.families, plain.as4, plain.refresh, plain.sendBytesMax], [v4, false, false, 4096])
    // What we said that we take, the peer may send (RFC 8654 section 4).
    equal(plain.receiveBytesMax, 65_535)
  })

  test('on the shorter hold time, and on none when one wants none', () => {
    equal(agreed({ holdTime_s: 30 }, {}).holdTime_s, 30)
    equal(agreed({}, { holdTime_s: 9 }).holdTime_s, 9)
    equal(agreed({ holdTime_s: 0 }, {}).holdTime_s, 0)
    equal(agreed({}, { holdTime_s: 0 }).holdTime_s, 0)
  })

  test('on families that both have, and no others', () => {
    equal(agreed({}, { families: [{ family: FAMILY.ipv6Unicast }, { family: FAMILY.vpnv4 }] }).families, v6)
  })

  test('on additional paths where one receives what the other sends, each way by itself (RFC 7911)', () => {
    const both = [{ family: FAMILY.ipv4Unicast, addPathReceive: true, addPathSend: true }]
    const sends = [{ family: FAMILY.ipv4Unicast, addPathSend: true }]
    const paths = (ours: Offer['families'], theirs: Offer['families']) => {
      const { addPathReceive, addPathSend } = agreed({ families: ours }, { families: theirs })
      return [addPathReceive, addPathSend]
    }
    deepEqual(paths(both, both), [v4, v4])
    deepEqual(paths(both, sends), [v4, 0])
    deepEqual(paths(sends, both), [0, v4])
    deepEqual(paths(sends, sends), [0, 0])
    deepEqual(paths(both, [{ family: FAMILY.ipv4Unicast }]), [0, 0])
  })

  test('on IPv6 next hops for IPv4 routes (RFC 8950)', () => {
    const families = [{ family: FAMILY.ipv4Unicast, extendedNextHop: true }]
    equal(agreed({ families }, { families }).extendedNextHop, v4)
    equal(agreed({ families }, {}).extendedNextHop, 0)
    equal(agreed({}, { families }).extendedNextHop, 0)
  })

  test('on long messages each way (RFC 8654)', () => {
    const { receiveBytesMax, sendBytesMax } = agreed({ extendedMessages: false }, {})
    deepEqual([receiveBytesMax, sendBytesMax], [4096, 4096])
    equal(agreed({}, { extendedMessages: false }).sendBytesMax, 4096)
  })

  test('on graceful restart, and over notifications when both want that (RFC 4724, RFC 8538)', () => {
    const restart = { restartTime_s: 120, restarting: true, notification: true, forwarding: v6 }
    const quiet = { ...restart, notification: false }
    deepEqual(agreed({ gracefulRestart: restart }, { gracefulRestart: restart }).gracefulRestart, {
      restartTime_s: 120,
      restarting: true,
      notification: true,
      families: v4 | v6,
      forwarding: v6,
    })
    equal(agreed({ gracefulRestart: quiet }, { gracefulRestart: restart }).gracefulRestart!.notification, false)
    equal(agreed({}, { gracefulRestart: restart }).gracefulRestart, undefined)
    equal(agreed({ gracefulRestart: restart }, {}).gracefulRestart, undefined)
  })

  test('with AS numbers of four octets, within one AS or between two', () => {
    const remoteAs = [{ from: 4_200_000_000, to: 4_200_000_009 }]
    equal(agreed({ remoteAs }, { localAs: 4_200_000_009 }).remoteAs, 4_200_000_009)
    equal(agreed({ remoteAs: [{ from: 65_001, to: 65_001 }] }, { localAs: 65_001 }).external, false)
    equal(agreed({ localId: 2 }, {}).remoteId, 2, 'between two ASes identifiers may be equal (RFC 6286)')
  })

  test('on names and roles', () => {
    const { hostName, remoteRole } = agreed({ role: ROLE.provider }, { role: ROLE.customer, hostName: 'branch-7' })
    deepEqual([hostName, remoteRole], ['branch-7', ROLE.customer])
    equal(agreed({ role: ROLE.peer }, {}).remoteRole, undefined)
  })
})

suite('a speaker refuses', () => {
  test('an AS that is not the one it expects', () => {
    deepEqual(refused({ remoteAs: [{ from: 1, to: 65_001 }] }, {}), [OPEN_ERROR.peerAs])
    deepEqual(refused({ remoteAs: [] }, {}), [OPEN_ERROR.peerAs])
  })

  test('its own identifier from within its AS (RFC 6286)', () => {
    const remoteAs = [{ from: 65_001, to: 65_001 }]
    deepEqual(refused({ remoteAs }, { localAs: 65_001, localId: 1 }), [OPEN_ERROR.identifier])
  })

  test('a hold time below its own limit', () => {
    deepEqual(refused({ holdTimeMin_s: 30 }, { holdTime_s: 9 }), [OPEN_ERROR.holdTime])
  })

  test('a role that does not go with its own (RFC 9234)', () => {
    deepEqual(refused({ role: ROLE.provider }, { role: ROLE.provider }), [OPEN_ERROR.roleMismatch])
  })

  test('a peer without any family in common, and says which it needs (RFC 5492)', () => {
    const open = openFrom({ families: [{ family: FAMILY.vpnv6 }] })
    const { subcode, data } = negotiate(base, open) as Notification
    equal(subcode, OPEN_ERROR.capability)
    deepEqual([...data], [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1])
    const silent: Open = { ...open, capabilities: [] as Capability[] }
    const six = { ...base, families: [{ family: FAMILY.ipv6Unicast }] }
    equal((negotiate(six, silent) as Notification).subcode, OPEN_ERROR.capability)
  })
})
