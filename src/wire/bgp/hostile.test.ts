/**
 * What has brought down others' speakers, as far as it was published: each is answered as its RFC says. Names are those
 * of the reports.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Reader } from '../cursor.ts'
import { drawn, EVERYTHING, judge, updateBody } from './drawn.ts'
import { attributeContext } from './facts.ts'
import { HOSTILE_NLRI, HOSTILE_ORIGIN, HOSTILE_PATH, hostileUpdates } from './hostile-updates.ts'
import { isNotification, OPEN_ERROR } from './notification.ts'
import { decodeOpen } from './open.ts'
import { endOfRib } from './update.ts'
import { decodeUpdate, formatUpdate } from './update-message.ts'

suite('OPENs', () => {
  const FIXED = '04 fde9 005a 0a000001'

  for (const [name, what, body] of [
    ['CVE-2022-40302', 'extended parameters that say more than there is', `${FIXED} ff ff ffff 02 0002 02 00`],
    ['CVE-2022-40302', 'an extended parameter that says more than there is', `${FIXED} ff ff 0005 02 ffff 02 00`],
    ['CVE-2022-40318', 'an extended parameter without its second length byte', `${FIXED} ff ff 0002 02 00`],
    ['CVE-2022-40318', 'extended parameters without their length', `${FIXED} ff ff`],
    ['CVE-2022-40318', 'extended parameters with half of their length', `${FIXED} ff ff 00`],
    ['CVE-2022-43681', 'an end behind the length of the parameters', `${FIXED} 02`],
    ['CVE-2022-43681', 'an end behind a parameter type', `${FIXED} 01 02`],
    ['CVE-2022-43681', 'an end behind a parameter length', `${FIXED} 02 02 06`],
    ['CVE-2022-43681', 'an end behind an extended length', `${FIXED} ff ff 0003 02 0006`],
    ['GHSA-gjrg-jjr3-56cm', 'a last capability longer than the rest', `${FIXED} 06 02 04 02 00 41 04`],
  ] as const)
    test(`${name}: ${what}`, () => {
      const told = decodeOpen(new Reader(drawn(body)))
      deepEqual(told, { code: OPEN_ERROR.code, subcode: OPEN_ERROR.unspecific, data: new Uint8Array(0) })
    })

  test('GHSA-gjrg-jjr3-56cm: an AS capability of no bytes takes none of the next one', () => {
    const open = decodeOpen(new Reader(drawn(`${FIXED} 0a 02 08 41 00 01 04 0001 00 01`)))
    ok(!isNotification(open))
    equal(open.as, 65001)
    deepEqual(open.capabilities, [
      { kind: 'unknown', code: 65, bytes: new Uint8Array(0) },
      { kind: 'multiprotocol', afi: 1, safi: 1 },
    ])
  })
})

suite('UPDATEs', () => {
  for (const [name, what, parts, outcome, context = {}] of hostileUpdates)
    test(`${name}: ${what}: ${outcome}`, () => {
      const body = updateBody(parts)
      const agreed = { ...EVERYTHING, ...context }
      const { outcome: found, parts: split, facts } = judge(body, agreed)
      equal(found, outcome)
      // What is no End-of-RIB is not taken for one.
      equal(endOfRib(split, facts), -1)
      const update = decodeUpdate(new Reader(body), attributeContext(agreed))
      if (update) formatUpdate(update, attributeContext(agreed))
    })

  for (let bytes = 0; bytes < 4; bytes++)
    test(`CVE-2026-30405: NEXT_HOP of ${bytes} bytes`, () => {
      const attributes = `${HOSTILE_ORIGIN} ${HOSTILE_PATH} 40 03 0${bytes} ${'c0'.repeat(bytes)}`
      equal(judge(updateBody({ attributes, nlri: HOSTILE_NLRI })).outcome, 'withdraw')
    })

  for (const body of ['0000', '0001 0000', '0000 0001', 'ffff 0000', '0000 ffff', '0003 0000 00', '0002 0000'])
    test(`CVE-2026-37462: lengths that leave less than nothing: ${body}`, () => {
      equal(judge(drawn(body)).outcome, 'reset')
      equal(decodeUpdate(new Reader(drawn(body)), attributeContext()), undefined)
    })
})
