import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Reader } from '../cursor.ts'
import { drawn } from './drawn.ts'
import { BGP_HEADER_BYTES } from './message.ts'
import {
  CEASE,
  ceaseWithText,
  decodeNotification,
  encodeNotification,
  FSM_ERROR,
  formatNotification,
  HOLD_TIMER_EXPIRED,
  hardReset,
  insideHardReset,
  isVersionError,
  maximumPrefixes,
  notification,
  OPEN_ERROR,
  SEND_HOLD_TIMER_EXPIRED,
  shutdownText,
} from './notification.ts'

const SAMPLE = drawn(`
  ffffffff ffffffff ffffffff ffffffff  # marker
  001a                                 # length
  03                                   # NOTIFICATION
  06 02                                # cease, administrative shutdown
  04 6279 6521                         # bye!
`)

test('a NOTIFICATION is read and written as drawn', () => {
  const told = decodeNotification(new Reader(SAMPLE.subarray(BGP_HEADER_BYTES)))
  deepEqual(told, { code: 6, subcode: 2, data: drawn('04 62796521') })
  deepEqual(encodeNotification(told), SAMPLE)
  deepEqual(ceaseWithText(CEASE.shutdown, 'bye!'), told)
  equal(shutdownText(told), 'bye!')
})

test('one that is cut has no codes and says so', () => {
  for (const bytes of [drawn(''), drawn('06')])
    deepEqual(decodeNotification(new Reader(bytes)), { code: 0, subcode: 0, data: new Uint8Array(0) })
})

test("a shutdown's text is cut at a character, and one that lies about its length is none", () => {
  const told = ceaseWithText(CEASE.reset, 'ö'.repeat(200))
  equal(told.data.length, 1 + 254)
  equal(shutdownText(told), 'ö'.repeat(127))
  for (const data of ['', '00', '05 62796521', 'ff 62'])
    equal(shutdownText({ code: 6, subcode: 2, data: drawn(data) }), undefined)
  equal(shutdownText(notification(6, CEASE.deconfigured, drawn('04 62796521'))), undefined)
})

test("nothing in a stranger's words moves the reader's terminal", () => {
  const data = drawn('0b 61 1b5b324a 0a ff e280ae 62')
  equal(shutdownText({ code: 6, subcode: 2, data }), 'a\ufffd[2J\ufffd\ufffd\ufffdb')
})

test('a hard reset carries what it is for', () => {
  const told = hardReset(ceaseWithText(CEASE.shutdown, 'bye!'))
  deepEqual(told, { code: 6, subcode: 9, data: drawn('06 02 04 62796521') })
  deepEqual(insideHardReset(told), ceaseWithText(CEASE.shutdown, 'bye!'))
  equal(insideHardReset({ code: 6, subcode: 9, data: drawn('06') }), undefined)
  equal(insideHardReset(notification(6, 2, drawn('0600'))), undefined)
})

test('data that is too long for a message is cut', () => {
  equal(encodeNotification(notification(3, 1, new Uint8Array(70_000))).length, 4096)
})

test('one line for people', () => {
  for (const [told, line] of [
    [notification(HOLD_TIMER_EXPIRED, 0), 'hold timer expired'],
    [notification(SEND_HOLD_TIMER_EXPIRED, 0), 'send hold timer expired'],
    [notification(OPEN_ERROR.code, OPEN_ERROR.peerAs), 'OPEN message error, bad peer AS'],
    [
      notification(FSM_ERROR.code, FSM_ERROR.established),
      'finite state machine error, unexpected message in Established',
    ],
    [notification(3, 9, drawn('800e05')), 'UPDATE message error, optional attribute error (800e05)'],
    [ceaseWithText(CEASE.shutdown, 'bye!'), 'cease, administrative shutdown: "bye!"'],
    [ceaseWithText(CEASE.shutdown, ''), 'cease, administrative shutdown'],
    [hardReset(notification(6, CEASE.bfdDown)), 'cease, hard reset: cease, BFD down'],
    [maximumPrefixes(2, 1, 1000), 'cease, maximum number of prefixes reached: ipv6-unicast, 1000'],
    [notification(6, CEASE.hardReset, drawn('09')), 'cease, hard reset (09)'],
    [notification(99, 7), 'code 99, subcode 7'],
    [
      notification(1, 1, new Uint8Array(40)),
      `message header error, connection not synchronised (${'00'.repeat(32)}...)`,
    ],
  ] as const)
    equal(formatNotification(told), line)
})

test('a hard reset within a hard reset, and so on, is looked into once', () => {
  const told = { code: 6, subcode: CEASE.hardReset, data: drawn('0609'.repeat(32_000)) }
  equal(formatNotification(told), `cease, hard reset: cease, hard reset (${'0609'.repeat(16)}...)`)
})

test('a refused version is told apart', () => {
  equal(isVersionError(notification(OPEN_ERROR.code, OPEN_ERROR.version)), true)
  equal(isVersionError(notification(OPEN_ERROR.code, OPEN_ERROR.peerAs)), false)
})
