import { deepEqual } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FAMILY, familyBit } from '../../wire/bgp/family.ts'
import { HOLD_TIMER_EXPIRED, notification } from '../../wire/bgp/notification.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'
import { downByHoldTime } from '../bgp/session/down.ts'
import { Diary } from './diary.ts'

const TRANSIT = ['transit', '10.0.0.2'] as const
const ACME = ['acme-dc', '10.0.0.2'] as const
const BOTH = familyBit(FAMILY.ipv4Unicast) | familyBit(FAMILY.ipv6Unicast)
const silence = downByHoldTime(90_000, notification(HOLD_TIMER_EXPIRED, 0))
const SILENCE = 'nothing came from the peer for 90 s'
const gracefulRestart = {
  ...{ restartTime_s: 120, restarting: true, notification: true },
  ...{ families: BOTH, forwarding: familyBit(FAMILY.ipv4Unicast) },
}

suite('routes that end without an update', () => {
  test('were not among those that the peer told anew', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    diary.up(...ACME)
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24', '198.51.100.0/24'] }, { announce: ['2001:db8:1::/48'] })
    diary.updates(...ACME, { announce: ['203.0.113.0/24'] })
    diary.refresh(...TRANSIT, FAMILY.ipv4Unicast, REFRESH.begin)
    diary.updates(...TRANSIT, { announce: ['198.51.100.0/24'] })
    diary.refresh(...TRANSIT, FAMILY.ipv4Unicast, REFRESH.end)
    diary.refresh(...TRANSIT, FAMILY.ipv4Unicast, REFRESH.end)
    deepEqual(diary.lines('203.0.113.0/24').slice(2), [
      '7 transit purged the peer told all of its routes anew, and not this one (RFC 7313)',
    ])
    deepEqual(diary.lines('198.51.100.0/24').length, 2)
    deepEqual(diary.lines('2001:db8:1::/48').length, 1)
  })

  test('were kept over a restart, until the peer had told all of its routes', () => {
    using diary = new Diary()
    diary.up(...TRANSIT, { gracefulRestart })
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24', '198.51.100.0/24'] }, { announce: ['2001:db8:1::/48'] })
    diary.down(...TRANSIT, silence, { keep: BOTH, keep_s: 120 })
    diary.up(...TRANSIT, { gracefulRestart })
    diary.updates(...TRANSIT, { announce: ['198.51.100.0/24'] })
    // An update that tells nothing: End-of-RIB.
    diary.updates(...TRANSIT, {})
    deepEqual(diary.lines('203.0.113.0/24'), [
      '2 transit announced 65002 via 10.0.0.2',
      `3 transit kept 65002 via 10.0.0.2 ${SILENCE}`,
      '6 transit purged the peer came back without it (RFC 4724)',
    ])
    deepEqual(diary.lines('198.51.100.0/24').slice(2), ['5 transit announced 65002 via 10.0.0.2'])
    deepEqual(diary.lines('2001:db8:1::/48').slice(2), [
      '4 transit purged the peer has not gone on forwarding (RFC 4724)',
    ])
  })

  test('were kept for as long as they may be, and no longer when the session ended again', () => {
    using diary = new Diary()
    diary.up(...TRANSIT, { gracefulRestart })
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    diary.down(...TRANSIT, silence, { keep: familyBit(FAMILY.ipv4Unicast), keep_s: 120 })
    const down_us = diary.now_us
    const kept = [`3 transit kept 65002 via 10.0.0.2 ${SILENCE}`]
    deepEqual(diary.lines('203.0.113.0/24', down_us + 119e6).slice(1), kept)
    deepEqual(diary.lines('203.0.113.0/24', down_us + 120e6).slice(1), [
      ...kept,
      '123 transit purged it was kept for as long as it may be (RFC 4724)',
    ])
    diary.up(...TRANSIT, { gracefulRestart })
    diary.down(...TRANSIT, silence, { keep: BOTH, keep_s: 120 })
    deepEqual(diary.lines('203.0.113.0/24').slice(1), [...kept, `5 transit session down ${SILENCE}`])
  })
})
