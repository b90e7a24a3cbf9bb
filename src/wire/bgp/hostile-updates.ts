/**
 * UPDATEs that have brought down others' speakers, as far as it was published, and such as would be too much for a careless
 * one; each with what its RFC wants done. Names are those of the reports.
 */

import type { AttributeContext, OUTCOME } from './facts.ts'

export type HostileUpdate = readonly [
  name: string,
  what: string,
  /** In hexadecimal, as `updateBody` takes them. */
  parts: { readonly withdrawn?: string; readonly attributes?: string; readonly nlri?: string },
  outcome: keyof typeof OUTCOME,
  /** What the session has agreed on, where that is not everything. */
  context?: Partial<AttributeContext>,
]

export const HOSTILE_ORIGIN = '40 01 01 00'
export const HOSTILE_PATH = '40 02 06 02 01 0000fde9'
const NEXT_HOP = '40 03 04 c0000201'
const GOOD = `${HOSTILE_ORIGIN} ${HOSTILE_PATH} ${NEXT_HOP}`
/** 10.1.2.0/24 */
export const HOSTILE_NLRI = '18 0a0102'

/** Segments of 255 numbers. */
const path2 = (segments: number): string =>
  `50 02 ${hex16(512 * segments)} ${`02ff${'fde9'.repeat(255)}`.repeat(segments)}`
const as4Sets = (segments: number): string =>
  `d0 11 ${hex16(1022 * segments)} ${`01ff${'0001fde9'.repeat(255)}`.repeat(segments)}`

function hex16(value: number): string {
  return value.toString(16).padStart(4, '0')
}

export const hostileUpdates: readonly HostileUpdate[] = [
  ['CVE-2023-46752', 'MP_REACH_NLRI of one byte', { attributes: `80 0e 01 00 ${GOOD}`, nlri: HOSTILE_NLRI }, 'reset'],
  ['CVE-2023-46752', 'MP_REACH_NLRI without its next hop', { attributes: '80 0e 05 0002 01 20 00' }, 'reset'],
  [
    'CVE-2023-46753',
    'an unknown transitive attribute alone',
    { attributes: `c0 1f 10 ${'00'.repeat(16)}`, nlri: HOSTILE_NLRI },
    'withdraw',
  ],
  [
    'CVE-2023-47234',
    'MP_UNREACH_NLRI and a route without attributes',
    { attributes: '80 0f 06 0001 01 10 0a01', nlri: HOSTILE_NLRI },
    'withdraw',
  ],
  ['CVE-2023-47235', 'an End-of-RIB with a route', { attributes: '80 0f 03 0002 01', nlri: HOSTILE_NLRI }, 'withdraw'],
  ['CVE-2023-47235', 'an End-of-RIB with a malformed attribute', { attributes: '80 0f 03 0002 01 40 01 00' }, 'reset'],
  ['CVE-2023-41358', 'a route and no attributes', { nlri: HOSTILE_NLRI }, 'withdraw'],
  [
    'CVE-2023-41358',
    'a route and an attribute of no bytes',
    { attributes: `${GOOD} c0 08 00`, nlri: HOSTILE_NLRI },
    'withdraw',
  ],
  [
    'CVE-2023-38406',
    'a flow specification of no bytes',
    { attributes: `80 0e 06 0001 85 00 00 00 ${HOSTILE_ORIGIN} ${HOSTILE_PATH}` },
    'fine',
  ],
  [
    'CVE-2023-38406',
    'a flow specification that lies',
    { attributes: `80 0e 07 0001 85 00 00 ffff ${HOSTILE_ORIGIN} ${HOSTILE_PATH}` },
    'fine',
  ],
  [
    'CVE-2023-38802',
    'a tunnel encapsulation that lies',
    { attributes: `${GOOD} c0 17 07 0008 00ff 01 ff 00`, nlri: HOSTILE_NLRI },
    'fine',
  ],
  [
    'CVE-2024-44070',
    'a tunnel encapsulation cut before a value',
    { attributes: `${GOOD} c0 17 04 0008 0004`, nlri: HOSTILE_NLRI },
    'fine',
  ],
  [
    'CVE-2024-44070',
    'a tunnel encapsulation of a byte',
    { attributes: `${GOOD} c0 17 01 00`, nlri: HOSTILE_NLRI },
    'fine',
  ],
  [
    'CVE-2023-38283',
    'an attribute longer than the rest',
    { attributes: `${GOOD} c0 1c 09 00`, nlri: HOSTILE_NLRI },
    'withdraw',
  ],
  [
    'CVE-2023-38283',
    'an extended length longer than the rest',
    { attributes: `${GOOD} d0 1c 0100 00`, nlri: HOSTILE_NLRI },
    'withdraw',
  ],
  [
    'CVE-2023-38283',
    'communities of a wrong length',
    { attributes: `${GOOD} c0 20 0b ${'00'.repeat(11)}`, nlri: HOSTILE_NLRI },
    'withdraw',
  ],
  [
    'attribute 40',
    'a prefix SID of zeros',
    { attributes: `${GOOD} c0 28 0a ${'00'.repeat(10)}`, nlri: HOSTILE_NLRI },
    'fine',
  ],
  ['attribute 40', 'a prefix SID of no bytes', { attributes: `${GOOD} c0 28 00`, nlri: HOSTILE_NLRI }, 'fine'],
  ['attribute 28', 'an entropy label capability', { attributes: `${GOOD} c0 1c 00`, nlri: HOSTILE_NLRI }, 'fine'],
  [
    'attribute 28',
    'an entropy label capability with bytes',
    { attributes: `${GOOD} c0 1c 04 00000000`, nlri: HOSTILE_NLRI },
    'fine',
  ],
  [
    'CVE-2026-41642',
    'a well-known attribute that nobody knows',
    { attributes: `${GOOD} 40 63 00`, nlri: HOSTILE_NLRI },
    'reset',
  ],
  [
    'CVE-2026-41643',
    'AS4_PATH of a byte before AS_PATH',
    { attributes: 'c0 11 01 02 40 02 04 ffffdead', nlri: HOSTILE_NLRI },
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
    { attributes: `${HOSTILE_ORIGIN} 40 02 00 ${NEXT_HOP}`, nlri: HOSTILE_NLRI },
    'fine',
    { external: false },
  ],
  [
    'gobgp 3392',
    'ORIGIN that is not transitive',
    { attributes: `00 01 01 00 ${HOSTILE_PATH} ${NEXT_HOP}`, nlri: HOSTILE_NLRI },
    'withdraw',
  ],
  [
    'CVE-2026-42285',
    'lengths that do not agree',
    { attributes: `${HOSTILE_ORIGIN} ${HOSTILE_PATH} 40 03 06 c0000201`, nlri: HOSTILE_NLRI },
    'withdraw',
  ],
  [
    'CVE-2026-37461',
    'an IPv6 extended community that is cut',
    { attributes: `${GOOD} c0 19 08 0002200100000000`, nlri: HOSTILE_NLRI },
    'withdraw',
  ],
  [
    'CVE-2026-37461',
    'an IPv6 extended community of its type alone',
    { attributes: `${GOOD} c0 19 02 0002`, nlri: HOSTILE_NLRI },
    'withdraw',
  ],
  [
    'two octets',
    'AS_PATH and AS4_PATH that are longer as one than an attribute may be',
    { attributes: `${HOSTILE_ORIGIN} ${path2(62)} ${NEXT_HOP} ${as4Sets(4)}`, nlri: HOSTILE_NLRI },
    'withdraw',
    { as4: false },
  ],
  [
    'two octets',
    'AS_PATH that has no room with four octets',
    { attributes: `${HOSTILE_ORIGIN} ${path2(64)} ${NEXT_HOP}`, nlri: HOSTILE_NLRI },
    'withdraw',
    { as4: false },
  ],
  [
    'two octets',
    'AS_PATH that just has room with four octets, and beside it attributes that have not',
    {
      attributes: `${HOSTILE_ORIGIN} ${path2(62)} ${NEXT_HOP} d0 63 1000 ${'00'.repeat(0x1000)}`,
      nlri: HOSTILE_NLRI,
    },
    'withdraw',
    { as4: false },
  ],
  [
    'two octets',
    'AS_PATH that just has room with four octets',
    { attributes: `${HOSTILE_ORIGIN} ${path2(62)} ${NEXT_HOP}`, nlri: HOSTILE_NLRI },
    'fine',
    { as4: false },
  ],
  [
    'an extended message',
    'as many unknown attributes as it holds',
    {
      attributes: `${GOOD} ${Array.from({ length: 100 }, (_, i) => `d0 ${(100 + i).toString(16)} 0280 ${'00'.repeat(0x280)}`).join(' ')}`,
      nlri: HOSTILE_NLRI,
    },
    'fine',
  ],
  [
    'order',
    'attributes from the last to the first, one of them twice',
    {
      attributes: `c0 08 04 fde90001 80 04 04 00000001 c0 08 04 fde90002 ${NEXT_HOP} ${HOSTILE_PATH} ${HOSTILE_ORIGIN}`,
      nlri: HOSTILE_NLRI,
    },
    'fine',
  ],
]
