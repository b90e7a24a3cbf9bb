/** RFC 7606, a case a line, with what it wants done from an external and from an internal peer. */

import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Reader } from '../cursor.ts'
import { checkAttributes, errorNotification } from './check-attributes.ts'
import { drawn, EVERYTHING, judge, updateBody } from './drawn.ts'
import { AttributeFacts, attributeContext, OUTCOME } from './facts.ts'
import { FAMILY, familyBit, NO_FAMILY } from './family.ts'
import { endOfRib, splitUpdate, UpdateParts } from './update.ts'

const ORIGIN = '40 01 01 00'
const AS_PATH = '40 02 06 02 01 0000fde9'
const NEXT_HOP = '40 03 04 c0000201'
const GOOD = `${ORIGIN} ${AS_PATH} ${NEXT_HOP}`
const NLRI = '18 0a0102'
const NEXT_HOP_6 = '10 20010db8 00000000 00000000 00000001'
const MP_REACH = `80 0e 1c 0002 01 ${NEXT_HOP_6} 00 30 20010db8ffff`
const MP_UNREACH = '80 0f 0a 0002 01 30 20010db8ffff'

type Outcome = keyof typeof OUTCOME
type Case = readonly [section: string, what: string, attributes: string, external: Outcome, internal?: Outcome]

/** All with an IPv4 route. Where internal peers are not named the outcome is the same. */
const cases: readonly Case[] = [
  ['4271', 'nothing wrong', GOOD, 'fine'],
  ['3c', 'ORIGIN that is optional', `c0 01 01 00 ${AS_PATH} ${NEXT_HOP}`, 'withdraw'],
  ['3c', 'ORIGIN that is not transitive', `00 01 01 00 ${AS_PATH} ${NEXT_HOP}`, 'withdraw'],
  ['3c', 'ORIGIN with the partial bit, which is not asked about', `60 01 01 00 ${AS_PATH} ${NEXT_HOP}`, 'fine'],
  ['3c', 'lower bits of the flags, which are ignored', `4f 01 01 00 ${AS_PATH} ${NEXT_HOP}`, 'fine'],
  ['3c', 'AS_PATH that is optional', `${ORIGIN} c0 02 06 02 01 0000fde9 ${NEXT_HOP}`, 'withdraw'],
  ['3c', 'MED that is transitive', `${GOOD} c0 04 04 00000001`, 'withdraw'],
  ['3c', 'COMMUNITIES that are well-known', `${GOOD} 40 08 04 fde90001`, 'withdraw'],
  ['3c', 'ATOMIC_AGGREGATE that is optional', `${GOOD} c0 06 00`, 'withdraw'],
  ['3c', 'MP_REACH_NLRI that is transitive', `${GOOD} c0${MP_REACH.slice(2)}`, 'withdraw'],
  ['3c', 'an attribute with a name alone that is well-known', `${GOOD} 40 28 01 00`, 'withdraw'],
  ['3d', 'no ORIGIN', `${AS_PATH} ${NEXT_HOP}`, 'withdraw'],
  ['3d', 'no AS_PATH', `${ORIGIN} ${NEXT_HOP}`, 'withdraw'],
  ['3d', 'no NEXT_HOP', `${ORIGIN} ${AS_PATH}`, 'withdraw'],
  ['3d', 'no NEXT_HOP, and MP_REACH_NLRI for other routes', `${MP_REACH} ${ORIGIN} ${AS_PATH}`, 'withdraw'],
  ['3d', 'no attributes at all', '', 'withdraw'],
  ['3d', 'no LOCAL_PREF, which has a default', GOOD, 'fine'],
  ['3g', 'MP_REACH_NLRI twice', `${MP_REACH} ${GOOD} ${MP_REACH}`, 'reset'],
  ['3g', 'MP_UNREACH_NLRI twice', `${MP_UNREACH} ${GOOD} ${MP_UNREACH}`, 'reset'],
  ['3g', 'ORIGIN twice, of which the first counts', `${GOOD} 40 01 01 02`, 'fine'],
  ['3g', 'ORIGIN twice, the second malformed', `${GOOD} 40 01 00`, 'fine'],
  ['3g', 'ORIGIN twice, the first malformed', `40 01 00 ${GOOD}`, 'withdraw'],
  ['3g', 'AS_PATH twice', `${GOOD} 40 02 00`, 'fine'],
  ['3g', 'an unknown attribute twice', `${GOOD} c0 63 01 00 c0 63 01 01`, 'fine'],
  ['3g', 'an unknown attribute of a large code twice', `${GOOD} c0 fe 01 00 c0 fe 01 01`, 'fine'],
  ['3h', 'a discard and a withdrawal', `${GOOD} 40 06 01 00 80 04 01 00`, 'withdraw'],
  ['3h', 'a withdrawal and a reset', `80 04 01 00 ${GOOD} ${MP_REACH} ${MP_REACH}`, 'reset'],
  ['4', 'an attribute longer than all of them', `${GOOD} 80 04 05 00000001`, 'withdraw'],
  ['4', 'two bytes left', `${GOOD} 80 04`, 'withdraw'],
  ['4', 'one byte left', `${GOOD} 80`, 'withdraw'],
  ['4', 'three bytes left of an extended length', `${GOOD} 90 04 00`, 'withdraw'],
  ['4', 'an extended length that is too large', `${GOOD} 90 04 ffff 00000001`, 'withdraw'],
  ['4', 'an extended length that is short', `50 01 0001 00 ${AS_PATH} ${NEXT_HOP}`, 'fine'],
  ['7.1', 'ORIGIN of no bytes', `40 01 00 ${AS_PATH} ${NEXT_HOP}`, 'withdraw'],
  ['7.1', 'ORIGIN of two bytes', `40 01 02 0000 ${AS_PATH} ${NEXT_HOP}`, 'withdraw'],
  ['7.1', 'ORIGIN 2', `40 01 01 02 ${AS_PATH} ${NEXT_HOP}`, 'fine'],
  ['7.1', 'ORIGIN 3', `40 01 01 03 ${AS_PATH} ${NEXT_HOP}`, 'withdraw'],
  ['7.2', 'an empty AS_PATH', `${ORIGIN} 40 02 00 ${NEXT_HOP}`, 'fine'],
  ['7.2', 'AS_PATH of an unknown segment', `${ORIGIN} 40 02 06 05 01 0000fde9 ${NEXT_HOP}`, 'withdraw'],
  ['7.2', 'AS_PATH of segment type 0', `${ORIGIN} 40 02 06 00 01 0000fde9 ${NEXT_HOP}`, 'withdraw'],
  ['7.2', 'a segment of no ASes', `${ORIGIN} 40 02 02 02 00 ${NEXT_HOP}`, 'withdraw'],
  ['7.2', 'a segment of no ASes before what could be one', `${ORIGIN} 40 02 06 02 00 0000fde9 ${NEXT_HOP}`, 'withdraw'],
  ['7.2', 'a segment of no ASes behind a good one', `${ORIGIN} 40 02 08 02 01 0000fde9 01 00 ${NEXT_HOP}`, 'withdraw'],
  ['7.2', 'a segment that is longer than the path', `${ORIGIN} 40 02 06 02 02 0000fde9 ${NEXT_HOP}`, 'withdraw'],
  ['7.2', 'a segment that is shorter than the path', `${ORIGIN} 40 02 07 02 01 0000fde9 02 ${NEXT_HOP}`, 'withdraw'],
  ['7.2', 'AS numbers of two octets', `${ORIGIN} 40 02 04 02 01 fde9 ${NEXT_HOP}`, 'withdraw'],
  ['7607', 'AS 0 in the path', `${ORIGIN} 40 02 0a 02 02 0000fde9 00000000 ${NEXT_HOP}`, 'withdraw'],
  ['7607', 'AS 0 in a set', `${ORIGIN} 40 02 06 01 01 00000000 ${NEXT_HOP}`, 'withdraw'],
  ['5065', "a confederation's sequence", `${ORIGIN} 40 02 06 03 01 0000fde9 ${NEXT_HOP}`, 'withdraw', 'fine'],
  ['5065', "a confederation's set", `${ORIGIN} 40 02 06 04 01 0000fde9 ${NEXT_HOP}`, 'withdraw', 'fine'],
  ['7.3', 'NEXT_HOP of three bytes', `${ORIGIN} ${AS_PATH} 40 03 03 c00002`, 'withdraw'],
  ['7.3', 'NEXT_HOP of sixteen bytes', `${ORIGIN} ${AS_PATH} 40 03 ${NEXT_HOP_6}`, 'withdraw'],
  ['3e', 'NEXT_HOP 0.0.0.0', `${ORIGIN} ${AS_PATH} 40 03 04 00000000`, 'withdraw'],
  ['3e', 'NEXT_HOP 224.0.0.1', `${ORIGIN} ${AS_PATH} 40 03 04 e0000001`, 'withdraw'],
  ['3e', 'NEXT_HOP 255.255.255.255', `${ORIGIN} ${AS_PATH} 40 03 04 ffffffff`, 'withdraw'],
  ['3e', 'NEXT_HOP 223.255.255.255', `${ORIGIN} ${AS_PATH} 40 03 04 dfffffff`, 'fine'],
  ['7.4', 'MED of four bytes', `${GOOD} 80 04 04 ffffffff`, 'fine'],
  ['7.4', 'MED of three bytes', `${GOOD} 80 04 03 000001`, 'withdraw'],
  ['7.4', 'MED of no bytes', `${GOOD} 80 04 00`, 'withdraw'],
  ['7.5', 'LOCAL_PREF', `${GOOD} 40 05 04 00000064`, 'discarded', 'fine'],
  ['7.5', 'LOCAL_PREF of five bytes', `${GOOD} 40 05 05 0000006400`, 'discarded', 'withdraw'],
  ['7.6', 'ATOMIC_AGGREGATE', `${GOOD} 40 06 00`, 'fine'],
  ['7.6', 'ATOMIC_AGGREGATE of a byte', `${GOOD} 40 06 01 00`, 'discarded'],
  ['7.7', 'AGGREGATOR', `${GOOD} c0 07 08 0000fde9 0a000001`, 'fine'],
  ['7.7', 'AGGREGATOR of two octets from who speaks four', `${GOOD} c0 07 06 fde9 0a000001`, 'discarded'],
  ['7.7', 'AGGREGATOR of no bytes', `${GOOD} c0 07 00`, 'discarded'],
  ['7607', 'AGGREGATOR AS 0', `${GOOD} c0 07 08 00000000 0a000001`, 'discarded'],
  ['7.8', 'COMMUNITIES', `${GOOD} c0 08 04 fde90001`, 'fine'],
  ['7.8', 'COMMUNITIES of no bytes', `${GOOD} c0 08 00`, 'withdraw'],
  ['7.8', 'COMMUNITIES of six bytes', `${GOOD} c0 08 06 fde900010002`, 'withdraw'],
  ['7.9', 'ORIGINATOR_ID', `${GOOD} 80 09 04 0a000001`, 'discarded', 'fine'],
  ['7.9', 'ORIGINATOR_ID of eight bytes', `${GOOD} 80 09 08 0a0000010a000001`, 'discarded', 'withdraw'],
  ['7.10', 'CLUSTER_LIST', `${GOOD} 80 0a 04 0a000001`, 'discarded', 'fine'],
  ['7.10', 'CLUSTER_LIST of no bytes', `${GOOD} 80 0a 00`, 'discarded', 'withdraw'],
  ['7.10', 'CLUSTER_LIST of six bytes', `${GOOD} 80 0a 06 0a0000010000`, 'discarded', 'withdraw'],
  ['7.14', 'EXTENDED_COMMUNITIES', `${GOOD} c0 10 08 0002fde900000001`, 'fine'],
  ['7.14', 'EXTENDED_COMMUNITIES of no bytes', `${GOOD} c0 10 00`, 'withdraw'],
  ['7.14', 'EXTENDED_COMMUNITIES of seven bytes', `${GOOD} c0 10 07 0002fde9000000`, 'withdraw'],
  ['7.14', 'EXTENDED_COMMUNITIES of a type that nobody knows', `${GOOD} c0 10 08 ffffffffffffffff`, 'fine'],
  ['7.15', 'IPV6_EXTENDED_COMMUNITIES', `${GOOD} c0 19 14 ${'00'.repeat(20)}`, 'fine'],
  ['7.15', 'IPV6_EXTENDED_COMMUNITIES of no bytes', `${GOOD} c0 19 00`, 'withdraw'],
  ['7.15', 'IPV6_EXTENDED_COMMUNITIES of 21 bytes', `${GOOD} c0 19 15 ${'00'.repeat(21)}`, 'withdraw'],
  ['8092', 'LARGE_COMMUNITY', `${GOOD} c0 20 0c ${'00'.repeat(12)}`, 'fine'],
  ['8092', 'LARGE_COMMUNITY of no bytes', `${GOOD} c0 20 00`, 'withdraw'],
  ['8092', 'LARGE_COMMUNITY of eight bytes', `${GOOD} c0 20 08 ${'00'.repeat(8)}`, 'withdraw'],
  ['9234', 'ONLY_TO_CUSTOMER', `${GOOD} c0 23 04 0000fde9`, 'fine'],
  ['9234', 'ONLY_TO_CUSTOMER of two bytes', `${GOOD} c0 23 02 fde9`, 'withdraw'],
  ['6793', 'AS4_PATH from who speaks four octets', `${GOOD} c0 11 06 02 01 0000fde9`, 'discarded'],
  ['6793', 'AS4_AGGREGATOR from who speaks four octets', `${GOOD} c0 12 08 0000fde9 0a000001`, 'discarded'],
  ['7311', 'AIGP where it is not enabled, as if nobody knew it', `${GOOD} 80 1a 0b 01 000b ${'00'.repeat(8)}`, 'fine'],
  ['4271', 'an unknown well-known attribute', `${GOOD} 40 63 01 00`, 'reset'],
  ['4271', 'an unknown attribute that is neither optional nor transitive', `${GOOD} 00 63 01 00`, 'reset'],
  ['4271', 'an unknown transitive attribute', `${GOOD} c0 63 01 00`, 'fine'],
  ['4271', 'an unknown attribute that is not transitive', `${GOOD} 80 63 01 00`, 'fine'],
]

suite('with an IPv4 route', () => {
  for (const [section, what, attributes, external, internal = external] of cases)
    test(`RFC ${section.length < 4 || section.includes('.') ? '7606 ' : ''}${section}: ${what}: ${external}, ${internal}`, () => {
      const body = updateBody({ attributes, nlri: NLRI })
      equal(judge(body, EVERYTHING).outcome, external)
      equal(judge(body, { ...EVERYTHING, external: false }).outcome, internal)
    })
})

const TWO_OCTETS = `${ORIGIN} 40 02 04 02 01 fde9 ${NEXT_HOP}`

suite('with an IPv4 route from a peer of two octets', () => {
  for (const [what, attributes, outcome] of [
    ['AGGREGATOR of two octets', `${TWO_OCTETS} c0 07 06 fde9 0a000001`, 'fine'],
    ['AGGREGATOR of four octets', `${TWO_OCTETS} c0 07 08 0000fde9 0a000001`, 'discarded'],
    ['AS4_PATH', `${TWO_OCTETS} c0 11 06 02 01 0000fde9`, 'fine'],
    ['AS4_PATH of no bytes', `${TWO_OCTETS} c0 11 00`, 'discarded'],
    ['AS4_PATH of a byte', `${TWO_OCTETS} c0 11 01 02`, 'discarded'],
    ['AS4_PATH of a segment that is too long', `${TWO_OCTETS} c0 11 06 02 02 0000fde9`, 'discarded'],
    ['AS4_PATH of a segment of no ASes', `${TWO_OCTETS} c0 11 02 02 00`, 'discarded'],
    ['AS4_PATH of an unknown segment', `${TWO_OCTETS} c0 11 06 05 01 0000fde9`, 'discarded'],
    ['AS4_PATH with AS 0', `${TWO_OCTETS} c0 11 06 02 01 00000000`, 'discarded'],
    ['AS4_PATH that is well-known', `${TWO_OCTETS} 40 11 06 02 01 0000fde9`, 'withdraw'],
    ['AS4_AGGREGATOR', `${TWO_OCTETS} c0 12 08 0000fde9 0a000001`, 'fine'],
    ['AS4_AGGREGATOR of six bytes', `${TWO_OCTETS} c0 12 06 fde9 0a000001`, 'discarded'],
    ['AS4_AGGREGATOR AS 0', `${TWO_OCTETS} c0 12 08 00000000 0a000001`, 'discarded'],
  ] as const)
    test(`${what}: ${outcome}`, () =>
      equal(judge(updateBody({ attributes, nlri: NLRI }), { as4: false }).outcome, outcome))
})

suite('where AIGP is enabled', () => {
  for (const [what, value, outcome] of [
    ['a metric', '0b 01 000b 0000000000000001', 'fine'],
    ['a metric behind another TLV', '0f 02 0004 00 01 000b 0000000000000001', 'fine'],
    ['no metric', '04 02 0004 00', 'discarded'],
    ['no bytes', '00', 'discarded'],
    ['a metric of another length', '07 01 0007 00000001', 'discarded'],
    ['a TLV shorter than its head', '0e 02 0002 01 000b 0000000000000001', 'discarded'],
    ['a TLV of no length', '03 02 0000', 'discarded'],
    ['a TLV longer than the attribute', '0b 01 000c 0000000000000001', 'discarded'],
  ] as const)
    test(`${what}: ${outcome}`, () => {
      const body = updateBody({ attributes: `${GOOD} 80 1a ${value}`, nlri: NLRI })
      const { outcome: found, facts } = judge(body, { aigp: true })
      deepEqual([found, facts.aigpEnd > facts.aigpAt], [outcome, outcome === 'fine'])
    })
})

type Parts = Parameters<typeof updateBody>[0]
const NO_ROUTES: Parts = {}
const MP = `${ORIGIN} ${AS_PATH}`

/** A next hop of so many bytes, and a prefix. */
function reach(family: string, nextHopBytes: number, prefix: string, nextHop = '20'): string {
  const value = drawn(`${family} 00 ${nextHop.repeat(nextHopBytes)} 00 ${prefix}`)
  value[3] = nextHopBytes
  return `80 0e ${value.length.toString(16).padStart(2, '0')} ${Buffer.from(value).toString('hex')}`
}

const VPN4 = '70 000641 0000fde900000064 0a0102'
const VPN6 = '88 000641 0000fde900000064 20010db8ffff'

suite('whole messages', () => {
  for (const [section, what, parts, outcome] of [
    ['7606 3b', 'withdrawn routes longer than the message', '0005 180a0102', 'reset'],
    ['7606 3b', 'attributes longer than the message', '0000 0005 40010100', 'reset'],
    ['7606 3b', 'no room for a length', '0000 00', 'reset'],
    ['4724', 'nothing at all: End-of-RIB', NO_ROUTES, 'fine'],
    ['4271', 'withdrawn routes alone', { withdrawn: NLRI }, 'fine'],
    ['4271', 'attributes without routes', { attributes: GOOD }, 'fine'],
    ['7606 3i', 'a withdrawn prefix of 33 bits', { withdrawn: '21 0a01020304' }, 'reset'],
    ['7606 3i', 'a withdrawn prefix that is cut', { withdrawn: '18 0a01' }, 'reset'],
    ['7606 3j', 'a prefix of 33 bits', { attributes: GOOD, nlri: '21 0a01020304' }, 'reset'],
    ['7606 3j', 'a prefix that is cut', { attributes: GOOD, nlri: '18 0a01' }, 'reset'],
    ['7606 3j', 'a prefix that is cut behind a good one', { attributes: GOOD, nlri: `${NLRI} 18` }, 'reset'],
    ['7606 5.2', 'a withdrawal for an error, and no routes', { attributes: '40 01 01 03' }, 'reset'],
    ['7606 5.2', 'a discard for an error, and no routes', { attributes: '40 06 01 00' }, 'discarded'],
    ['7606 5.2', 'an error beside withdrawn routes', { withdrawn: NLRI, attributes: '40 01 01 03' }, 'reset'],
    ['7606 5.2', 'lengths that do not add up, and no routes', { attributes: `${GOOD} 80` }, 'reset'],
    ['7606 5.2', 'an error beside MP_UNREACH_NLRI', { attributes: `${MP_UNREACH} 80 04 01 00` }, 'reset'],
    ['7606 5.2', 'MP_UNREACH_NLRI alone with wrong flags', { attributes: `c0${MP_UNREACH.slice(2)}` }, 'withdraw'],
    ['7606 5.2', 'the same beside what is discarded', { attributes: `c0${MP_UNREACH.slice(2)} 40 05 00` }, 'reset'],
    ['7606 5.2', 'MP_UNREACH_NLRI and half an attribute', { attributes: `${MP_UNREACH} 80` }, 'reset'],
    ['4760', 'MP_UNREACH_NLRI alone', { attributes: MP_UNREACH }, 'fine'],
    ['4760', 'MP_REACH_NLRI', { attributes: `${MP_REACH} ${MP}` }, 'fine'],
    ['7606 5.1', 'MP_REACH_NLRI that is not the first', { attributes: `${MP} ${MP_REACH}` }, 'fine'],
    ['7606 3d', 'MP_REACH_NLRI without ORIGIN', { attributes: `${MP_REACH} ${AS_PATH}` }, 'withdraw'],
    ['7606 3d', 'MP_REACH_NLRI without AS_PATH', { attributes: `${MP_REACH} ${ORIGIN}` }, 'withdraw'],
    ['4760', 'NEXT_HOP 0.0.0.0 beside MP_REACH_NLRI', { attributes: `${MP_REACH} ${MP} 40 03 04 00000000` }, 'fine'],
    ['7606 7.3', 'NEXT_HOP of no bytes beside it', { attributes: `${MP_REACH} ${MP} 40 03 00` }, 'withdraw'],
    ['4760', 'MP_REACH_NLRI without routes', { attributes: `80 0e 15 0002 01 ${NEXT_HOP_6} 00 ${MP}` }, 'fine'],
    ['7606 5.2', 'the same, with an error', { attributes: `80 0e 15 0002 01 ${NEXT_HOP_6} 00 40 01 00` }, 'reset'],
    ['7606 5.3', 'MP_REACH_NLRI of four bytes', { attributes: `80 0e 04 0002 01 00 ${MP}` }, 'reset'],
    ['7606 5.3', 'MP_REACH_NLRI of no bytes', { attributes: `80 0e 00 ${MP}` }, 'reset'],
    ['7606 5.3', 'MP_UNREACH_NLRI of two bytes', { attributes: '80 0f 02 0002' }, 'reset'],
    [
      '7606 7.11',
      'a next hop longer than the attribute',
      { attributes: `80 0e 09 0002 01 10 20010db8 00 ${MP}` },
      'reset',
    ],
    ['7606 7.11', 'a next hop of no bytes', { attributes: `${reach('0002 01', 0, '00')} ${MP}` }, 'reset'],
    ['7606 7.11', 'IPv6 with 4 bytes', { attributes: `${reach('0002 01', 4, '00')} ${MP}` }, 'reset'],
    ['7606 7.11', 'IPv6 with 24 bytes', { attributes: `${reach('0002 01', 24, '00')} ${MP}` }, 'reset'],
    ['2545', 'IPv6 with 32 bytes', { attributes: `${reach('0002 01', 32, '00')} ${MP}` }, 'fine'],
    ['4760', 'IPv4 with 4 bytes', { attributes: `${reach('0001 01', 4, NLRI)} ${MP}` }, 'fine'],
    ['7606 7.11', 'IPv4 with 5 bytes', { attributes: `${reach('0001 01', 5, NLRI)} ${MP}` }, 'reset'],
    ['8950', 'IPv4 with 16 bytes', { attributes: `${reach('0001 01', 16, NLRI)} ${MP}` }, 'fine'],
    ['4364', 'VPNv4 with 12 bytes', { attributes: `${reach('0001 80', 12, VPN4)} ${MP}` }, 'fine'],
    ['7606 7.11', 'VPNv4 with 4 bytes', { attributes: `${reach('0001 80', 4, VPN4)} ${MP}` }, 'reset'],
    ['8950', 'VPNv4 with 24 bytes', { attributes: `${reach('0001 80', 24, VPN4)} ${MP}` }, 'fine'],
    ['4659', 'VPNv6 with 24 bytes', { attributes: `${reach('0002 80', 24, VPN6)} ${MP}` }, 'fine'],
    ['4659', 'VPNv6 with 48 bytes', { attributes: `${reach('0002 80', 48, VPN6)} ${MP}` }, 'fine'],
    ['7606 7.11', 'VPNv6 with 16 bytes', { attributes: `${reach('0002 80', 16, VPN6)} ${MP}` }, 'reset'],
    ['7606 3e', 'an IPv6 next hop of zeros', { attributes: `${reach('0002 01', 16, '00', '00')} ${MP}` }, 'withdraw'],
    ['7606 3e', 'a group as an IPv6 next hop', { attributes: `${reach('0002 01', 16, '00', 'ff')} ${MP}` }, 'withdraw'],
    ['7606 3e', 'a VPNv4 next hop of zeros', { attributes: `${reach('0001 80', 12, VPN4, '00')} ${MP}` }, 'withdraw'],
    [
      '7606 5.3',
      'an IPv6 prefix of 129 bits',
      { attributes: `${reach('0002 01', 16, `81 ${'00'.repeat(17)}`)} ${MP}` },
      'reset',
    ],
    ['7606 5.3', 'an IPv6 prefix that is cut', { attributes: `${reach('0002 01', 16, '30 2001')} ${MP}` }, 'reset'],
    ['7606 5.3', 'a withdrawn IPv6 prefix that is cut', { attributes: '80 0f 06 0002 01 30 2001' }, 'reset'],
    [
      '7606 5.3',
      'a VPN prefix of fewer bits than its head',
      { attributes: `${reach('0001 80', 12, '57 000641 0000fde900000064')} ${MP}` },
      'reset',
    ],
    [
      '7606 5.3',
      'a VPN prefix of too many bits',
      { attributes: `${reach('0001 80', 12, `79 000641 0000fde900000064 ${'0a'.repeat(5)}`)} ${MP}` },
      'reset',
    ],
  ] as const)
    test(`RFC ${section}: ${what}: ${outcome}`, () => {
      const body = typeof parts === 'string' ? drawn(parts) : updateBody(parts)
      equal(judge(body, EVERYTHING).outcome, outcome)
    })
})

test("a VPN's next hop is judged without its distinguisher", () => {
  const judged = (nextHop: string) =>
    judge(updateBody({ attributes: `80 0e 20 0001 80 0c ${nextHop} 00 ${VPN4} ${MP}` }), EVERYTHING).outcome
  equal(judged('0000000000000000 c0000201'), 'fine')
  equal(judged('0000fde900000001 00000000'), 'withdraw')
})

test('what was there of large codes is forgotten with its message', () => {
  const from = new Reader(updateBody({ attributes: `${GOOD} c0 fe 01 00`, nlri: NLRI }))
  const parts = new UpdateParts()
  const facts = new AttributeFacts()
  equal(splitUpdate(from, parts), true)
  for (let times = 0; times < 2; times++) {
    checkAttributes(from, parts, attributeContext(), facts)
    deepEqual([facts.unknownCount, facts.droppedCount], [1, 0])
  }
})

test('an End-of-RIB with an error is none', () => {
  const endOf = (attributes: string) => {
    const { facts, parts } = judge(updateBody({ attributes }), EVERYTHING)
    return endOfRib(parts, facts)
  }
  equal(endOf('80 0f 03 0002 01'), FAMILY.ipv6Unicast)
  equal(endOf('80 0f 03 0001 01'), FAMILY.ipv4Unicast)
  equal(endOf('c0 0f 03 0002 01'), NO_FAMILY)
  equal(endOf('80 0f 03 0002 01 80 04 04 00000001'), NO_FAMILY)
})

suite('what was not agreed on', () => {
  test('routes of another family are not looked at', () => {
    for (const attributes of [
      `${MP_REACH} ${MP}`,
      `${reach('0001 85', 0, '00ff')} ${MP}`,
      `${reach('4004 47', 4, '00ff')} ${MP}`,
      `${reach('0002 01', 16, '81')} ${MP}`,
      '80 0f 05 0002 01 81 00',
    ]) {
      const { outcome, facts } = judge(updateBody({ attributes }))
      deepEqual([outcome, facts.mpReachFamily, facts.mpUnreachFamily], ['fine', -1, -1], attributes)
    }
  })

  test('an IPv6 next hop for IPv4 routes hides them', () => {
    const body = updateBody({ attributes: `${reach('0001 01', 16, NLRI)} ${MP}` })
    equal(judge(body).outcome, 'reset')
    equal(judge(body, { extendedNextHop: familyBit(FAMILY.ipv4Unicast) }).outcome, 'fine')
  })

  test('path identifiers are part of a prefix', () => {
    const body = updateBody({ withdrawn: '00000001 18 0a0102', attributes: GOOD, nlri: '00000002 18 0a0102' })
    equal(judge(body, { addPath: familyBit(FAMILY.ipv4Unicast) }).outcome, 'fine')
    equal(judge(updateBody({ withdrawn: '21 000001 18' })).outcome, 'reset')
    equal(judge(updateBody({ withdrawn: NLRI }), { addPath: familyBit(FAMILY.ipv4Unicast) }).outcome, 'reset')
  })
})

test('the facts are those of the message, and none is left of the one before', () => {
  const attributes = `
    ${MP_REACH}
    40 01 01 02                        # ORIGIN incomplete
    40 02 0e 02 03 00000001 00000002 00000003
    40 03 04 c0000201
    80 04 04 ffffffff                  # MED
    40 05 04 000000c8                  # LOCAL_PREF 200
    40 06 00
    c0 07 08 0000fde9 0a000001         # AGGREGATOR
    c0 08 08 fde90064 ffffff01         # COMMUNITIES
    80 09 04 0a000009                  # ORIGINATOR_ID
    80 0a 08 0a000001 0a000002         # CLUSTER_LIST
    ${MP_UNREACH}
    c0 10 08 0002fde900000001          # EXTENDED_COMMUNITIES
    80 1a 0b 01 000b 00000000000003e8  # AIGP
    c0 20 0c 0000fde90000000200000003  # LARGE_COMMUNITY
    c0 23 04 0000fde9                  # ONLY_TO_CUSTOMER
  `
  const body = updateBody({ withdrawn: NLRI, attributes, nlri: NLRI })
  const from = new Reader(body)
  const parts = new UpdateParts()
  const facts = new AttributeFacts()
  equal(splitUpdate(from, parts), true)
  const context = attributeContext({ ...EVERYTHING, external: false, aigp: true })
  equal(checkAttributes(from, parts, context, facts), OUTCOME.fine)
  const text = (at: number, end: number) => Buffer.from(body.subarray(at, end)).toString('hex')
  deepEqual(
    {
      ...{ origin: facts.origin, asPathLength: facts.asPathLength, firstAs: facts.firstAs, lastAs: facts.lastAs },
      ...{ nextHop4: facts.nextHop4, med: facts.med, localPref: facts.localPref, aggregatorAs: facts.aggregatorAs },
      ...{ originatorId: facts.originatorId, onlyToCustomer: facts.onlyToCustomer },
      has: [facts.hasNextHop, facts.hasMed, facts.hasLocalPref, facts.hasOriginatorId],
      asPath: text(facts.asPathAt, facts.asPathEnd),
      communities: text(facts.communitiesAt, facts.communitiesEnd),
      extended: text(facts.extendedAt, facts.extendedEnd),
      large: text(facts.largeAt, facts.largeEnd),
      clusterList: text(facts.clusterListAt, facts.clusterListEnd),
      aigp: text(facts.aigpAt, facts.aigpEnd),
      reach: [facts.mpReachFamily, text(facts.mpReachNlriAt, facts.mpReachNlriEnd)],
      nextHop: text(facts.mpReachNextHopAt, facts.mpReachNextHopAt + facts.mpReachNextHopBytes),
      unreach: [facts.mpUnreachFamily, text(facts.mpUnreachNlriAt, facts.mpUnreachNlriEnd)],
    },
    {
      ...{ origin: 2, asPathLength: 3, firstAs: 1, lastAs: 3 },
      ...{ nextHop4: 0xc0000201, med: 0xffff_ffff, localPref: 200, aggregatorAs: 65001 },
      ...{ originatorId: 0x0a000009, onlyToCustomer: 65001 },
      has: [true, true, true, true],
      asPath: '0203000000010000000200000003',
      communities: 'fde90064ffffff01',
      extended: '0002fde900000001',
      large: '0000fde90000000200000003',
      clusterList: '0a0000010a000002',
      aigp: '01000b00000000000003e8',
      reach: [FAMILY.ipv6Unicast, '3020010db8ffff'],
      nextHop: '20010db8000000000000000000000001',
      unreach: [FAMILY.ipv6Unicast, '3020010db8ffff'],
    },
  )
  const empty = new Reader(drawn('0000 0000'))
  splitUpdate(empty, parts)
  equal(checkAttributes(empty, parts, context, facts), OUTCOME.fine)
  deepEqual(
    { ...facts, dropped: 0, unknown: 0, attributeAt: 0, attributeEnd: 0, attributeCode: 0 },
    {
      ...new AttributeFacts(),
      ...{ dropped: 0, unknown: 0 },
    },
  )
})

suite('what must not be used, and what is passed on unknown', () => {
  const rangesOf = (attributes: string, context = {}) => {
    const { facts, parts } = judge(updateBody({ attributes, nlri: NLRI }), context)
    const pairs = (ranges: Uint32Array, count: number) =>
      Array.from({ length: count }, (_, i) => [
        ranges[2 * i]! - parts.attributesAt,
        ranges[2 * i + 1]! - parts.attributesAt,
      ])
    return {
      dropped: pairs(facts.dropped, facts.droppedCount),
      unknown: pairs(facts.unknown, facts.unknownCount),
      seen: facts.seen,
    }
  }

  test('whole attributes, in order', () => {
    const { dropped, unknown, seen } = rangesOf(
      `${GOOD} 40 05 04 00000064 c0 63 01 00 80 64 02 0000 40 06 01 00 c0 28 00`,
    )
    deepEqual(dropped, [
      [20, 27],
      [31, 36],
      [36, 40],
    ])
    deepEqual(unknown, [
      [27, 31],
      [40, 43],
    ])
    equal(seen, 0b1110)
  })

  test('of a repeated attribute the first is still there', () => {
    const { dropped, seen } = rangesOf(`${GOOD} 80 04 04 00000001 80 04 04 00000002`)
    deepEqual(dropped, [[27, 34]])
    equal(seen, 0b11110)
  })

  test('as many as a message holds', () => {
    const { dropped, unknown } = rangesOf(`${GOOD} ${'c0 63 00'.repeat(1300)}`)
    deepEqual([dropped.length, unknown.length], [1299, 1])
    deepEqual(dropped.at(-1), [20 + 3 * 1299, 20 + 3 * 1300])
  })
})

suite('what the peer is told', () => {
  const told = (parts: Parts) => {
    const { facts, from } = judge(updateBody(parts), EVERYTHING)
    return errorNotification(from, facts)
  }

  test('the attribute as it came', () => {
    deepEqual(told({ attributes: `${GOOD} 40 63 01 07`, nlri: NLRI }), {
      code: 3,
      subcode: 2,
      data: drawn('40 63 01 07'),
    })
    deepEqual(told({ attributes: `80 0e 05 0002 01 00 00 ${MP}` }), {
      code: 3,
      subcode: 9,
      data: drawn('80 0e 05 0002 01 00 00'),
    })
    const cut = '80 0f 06 0002 01 30 2001'
    deepEqual(told({ attributes: cut }), { code: 3, subcode: 9, data: drawn(cut) })
  })

  test('no data for lists', () => {
    const data = new Uint8Array(0)
    deepEqual(told({ attributes: `${MP_REACH} ${MP_REACH}` }), { code: 3, subcode: 1, data })
    deepEqual(told({ attributes: GOOD, nlri: '21' }), { code: 3, subcode: 10, data })
  })

  test('of a withdrawal what was wrong, for the log: of a missing attribute its code', () => {
    deepEqual(told({ attributes: `${ORIGIN} ${NEXT_HOP}`, nlri: NLRI }), { code: 3, subcode: 3, data: drawn('02') })
    const { facts } = judge(updateBody({ attributes: `${GOOD} 40 06 01 00 80 04 01 00`, nlri: NLRI }))
    deepEqual([facts.errorAttribute, facts.errorSubcode], [4, 5])
  })
})
