/**
 * What has brought down others' speakers, as far as it was published: each is answered as its RFC says. Names are those
 * of the reports.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Reader } from '../cursor.ts'
import { drawn, EVERYTHING, judge, updateBody } from './drawn.ts'
import { attributeContext } from './facts.ts'
import { isNotification, OPEN_ERROR } from './notification.ts'
import { decodeOpen } from './open.ts'
import { endOfRib } from './update.ts'
import { decodeUpdate, formatUpdate } from './update-message.ts'

const ORIGIN = '40 01 01 00'
const AS_PATH = '40 02 06 02 01 0000fde9'
const NEXT_HOP = '40 03 04 c0000201'
const GOOD = `${ORIGIN} ${AS_PATH} ${NEXT_HOP}`
const NLRI = '18 0a0102'

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
  for (const [name, what, parts, outcome, context = {}] of [
    ['CVE-2023-46752', 'MP_REACH_NLRI of one byte', { attributes: `80 0e 01 00 ${GOOD}`, nlri: NLRI }, 'reset'],
    ['CVE-2023-46752', 'MP_REACH_NLRI without its next hop', { attributes: '80 0e 05 0002 01 20 00' }, 'reset'],
    [
      'CVE-2023-46753',
      'an unknown transitive attribute alone',
      { attributes: `c0 1f 10 ${'00'.repeat(16)}`, nlri: NLRI },
      'withdraw',
    ],
    [
      'CVE-2023-47234',
      'MP_UNREACH_NLRI and a route without attributes',
      { attributes: '80 0f 06 0001 01 10 0a01', nlri: NLRI },
      'withdraw',
    ],
    ['CVE-2023-47235', 'an End-of-RIB with a route', { attributes: '80 0f 03 0002 01', nlri: NLRI }, 'withdraw'],
    [
      'CVE-2023-47235',
      'an End-of-RIB with a malformed attribute',
      { attributes: '80 0f 03 0002 01 40 01 00' },
      'reset',
    ],
    ['CVE-2023-41358', 'a route and no attributes', { nlri: NLRI }, 'withdraw'],
    [
      'CVE-2023-41358',
      'a route and an attribute of no bytes',
      { attributes: `${GOOD} c0 08 00`, nlri: NLRI },
      'withdraw',
    ],
    [
      'CVE-2023-38406',
      'a flow specification of no bytes',
      { attributes: `80 0e 06 0001 85 00 00 00 ${ORIGIN} ${AS_PATH}` },
      'fine',
    ],
    [
      'CVE-2023-38406',
      'a flow specification that lies',
      { attributes: `80 0e 07 0001 85 00 00 ffff ${ORIGIN} ${AS_PATH}` },
      'fine',
    ],
    [
      'CVE-2023-38802',
      'a tunnel encapsulation that lies',
      { attributes: `${GOOD} c0 17 07 0008 00ff 01 ff 00`, nlri: NLRI },
      'fine',
    ],
    [
      'CVE-2024-44070',
      'a tunnel encapsulation cut before a value',
      { attributes: `${GOOD} c0 17 04 0008 0004`, nlri: NLRI },
      'fine',
    ],
    ['CVE-2024-44070', 'a tunnel encapsulation of a byte', { attributes: `${GOOD} c0 17 01 00`, nlri: NLRI }, 'fine'],
    [
      'CVE-2023-38283',
      'an attribute longer than the rest',
      { attributes: `${GOOD} c0 1c 09 00`, nlri: NLRI },
      'withdraw',
    ],
    [
      'CVE-2023-38283',
      'an extended length longer than the rest',
      { attributes: `${GOOD} d0 1c 0100 00`, nlri: NLRI },
      'withdraw',
    ],
    [
      'CVE-2023-38283',
      'communities of a wrong length',
      { attributes: `${GOOD} c0 20 0b ${'00'.repeat(11)}`, nlri: NLRI },
      'withdraw',
    ],
    [
      'attribute 40',
      'a prefix SID of zeros',
      { attributes: `${GOOD} c0 28 0a ${'00'.repeat(10)}`, nlri: NLRI },
      'fine',
    ],
    ['attribute 40', 'a prefix SID of no bytes', { attributes: `${GOOD} c0 28 00`, nlri: NLRI }, 'fine'],
    ['attribute 28', 'an entropy label capability', { attributes: `${GOOD} c0 1c 00`, nlri: NLRI }, 'fine'],
    [
      'attribute 28',
      'an entropy label capability with bytes',
      { attributes: `${GOOD} c0 1c 04 00000000`, nlri: NLRI },
      'fine',
    ],
    [
      'CVE-2026-41642',
      'a well-known attribute that nobody knows',
      { attributes: `${GOOD} 40 63 00`, nlri: NLRI },
      'reset',
    ],
    [
      'CVE-2026-41643',
      'AS4_PATH of a byte before AS_PATH',
      { attributes: 'c0 11 01 02 40 02 04 ffffdead', nlri: NLRI },
      'withdraw',
      { as4: false },
    ],
    [
      'CVE-2026-41643',
      'the same with wrong flags and no routes',
      { attributes: '40 11 01 02 40 02 04 ffffdead' },
      'reset',
      { as4: false },
    ],
    [
      'GHSA-frrj-87jh-2772',
      'an empty AS_PATH of a confederation',
      { attributes: `${ORIGIN} 40 02 00 ${NEXT_HOP}`, nlri: NLRI },
      'fine',
      { external: false },
    ],
    [
      'gobgp 3392',
      'ORIGIN that is not transitive',
      { attributes: `00 01 01 00 ${AS_PATH} ${NEXT_HOP}`, nlri: NLRI },
      'withdraw',
    ],
    [
      'CVE-2026-42285',
      'lengths that do not agree',
      { attributes: `${ORIGIN} ${AS_PATH} 40 03 06 c0000201`, nlri: NLRI },
      'withdraw',
    ],
    [
      'CVE-2026-37461',
      'an IPv6 extended community that is cut',
      { attributes: `${GOOD} c0 19 08 0002200100000000`, nlri: NLRI },
      'withdraw',
    ],
    [
      'CVE-2026-37461',
      'an IPv6 extended community of its type alone',
      { attributes: `${GOOD} c0 19 02 0002`, nlri: NLRI },
      'withdraw',
    ],
  ] as const)
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
      const attributes = `${ORIGIN} ${AS_PATH} 40 03 0${bytes} ${'c0'.repeat(bytes)}`
      equal(judge(updateBody({ attributes, nlri: NLRI })).outcome, 'withdraw')
    })

  for (const body of ['0000', '0001 0000', '0000 0001', 'ffff 0000', '0000 ffff', '0003 0000 00', '0002 0000'])
    test(`CVE-2026-37462: lengths that leave less than nothing: ${body}`, () => {
      equal(judge(drawn(body)).outcome, 'reset')
      equal(decodeUpdate(new Reader(drawn(body)), attributeContext()), undefined)
    })
})
