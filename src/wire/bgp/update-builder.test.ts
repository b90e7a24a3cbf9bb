import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { hex } from '../codec-suite.ts'
import { Reader } from '../cursor.ts'
import { checkAttributes } from './check-attributes.ts'
import { AttributeFacts, attributeContext, OUTCOME } from './facts.ts'
import { FAMILY, familyBit } from './family.ts'
import { checkHeader, EXTENDED_MESSAGE_BYTES_MAX, MESSAGE, openBody } from './message.ts'
import { readPrefix4, readPrefix6, readVpn4, VpnPrefix } from './prefix.ts'
import { endOfRib, splitUpdate, UpdateParts } from './update.ts'
import { UpdateBuilder, writeEndOfRib } from './update-builder.ts'

const ORIGIN_AND_PATH = hex('40 01 01 00  40 02 06 02 01 0000fde9')
const CLASSIC = hex('40 01 01 00  40 02 06 02 01 0000fde9  40 03 04 c0000201')
const NEXT_HOP_6 = hex('20010db8 00000000 00000000 00000001')
const UNWRITTEN = 0xa5

const parts = new UpdateParts()
const facts = new AttributeFacts()
const context = attributeContext({ families: 15, extendedNextHop: 1 })

/** Calls back with a reader that stands at each message's body, parts and facts filled. */
function eachUpdate(bytes: Uint8Array, at: number, end: number, addPath: number, read: (from: Reader) => void): number {
  const from = new Reader(bytes)
  let count = 0
  for (let next = at; next < end; count++) {
    from.window(next, end)
    const length = checkHeader(from, EXTENDED_MESSAGE_BYTES_MAX)
    equal(openBody(from, next, length), MESSAGE.update)
    equal(splitUpdate(from, parts), true)
    equal(checkAttributes(from, parts, { ...context, addPath }, facts), OUTCOME.fine)
    read(from)
    next += length
  }
  return count
}

test('IPv4 routes stand in the message itself, and nothing around it is written', () => {
  const out = new Uint8Array(80).fill(UNWRITTEN)
  const builder = new UpdateBuilder()
  builder.target(out)
  equal(builder.begin(3, FAMILY.ipv4Unicast, CLASSIC), true)
  equal(builder.addPrefix4(0x0a010200, 24), true)
  equal(builder.addPrefix4(0, 0), true)
  const end = builder.finish()
  const expected = new Uint8Array(80).fill(UNWRITTEN)
  expected.set(
    hex(`ffffffffffffffffffffffffffffffff 0030 02
      0000
      0014  40 01 01 00  40 02 06 02 01 0000fde9  40 03 04 c0000201
      18 0a0102  00`),
    3,
  )
  deepEqual(out, expected)
  equal(end, 3 + 0x30)
  deepEqual([builder.messages, builder.prefixes], [1, 2])
})

test('withdrawn IPv4 routes', () => {
  const out = new Uint8Array(64).fill(UNWRITTEN)
  const builder = new UpdateBuilder()
  builder.target(out)
  builder.begin(0, FAMILY.ipv4Unicast, undefined)
  builder.addPrefix4(0xc0a80000, 16)
  deepEqual(out.slice(0, builder.finish()), hex('ffffffffffffffffffffffffffffffff 001a 02  0003  10 c0a8  0000'))
})

test('IPv6 routes stand in MP_REACH_NLRI, first of the attributes', () => {
  const out = new Uint8Array(128)
  const builder = new UpdateBuilder()
  builder.target(out)
  builder.begin(0, FAMILY.ipv6Unicast, ORIGIN_AND_PATH, NEXT_HOP_6)
  builder.addPrefix6(Uint32Array.of(7, 0x20010db8, 0xffff0000, 0, 0), 1, 48)
  deepEqual(
    out.slice(0, builder.finish()),
    hex(`ffffffffffffffffffffffffffffffff 0044 02
      0000
      002d
      90 0e 001c  0002 01  10 20010db8000000000000000000000001  00  30 20010db8ffff
      40 01 01 00  40 02 06 02 01 0000fde9`).slice(),
  )
})

test('IPv4 routes with an IPv6 next hop stand in MP_REACH_NLRI too', () => {
  const out = new Uint8Array(128)
  const builder = new UpdateBuilder()
  builder.target(out)
  builder.begin(0, FAMILY.ipv4Unicast, ORIGIN_AND_PATH, NEXT_HOP_6)
  builder.addPrefix4(0x0a000000, 8)
  eachUpdate(out, 0, builder.finish(), 0, (from) => {
    deepEqual(
      [facts.mpReachFamily, facts.mpReachNextHopBytes, parts.nlriEnd - parts.nlriAt],
      [FAMILY.ipv4Unicast, 16, 0],
    )
    from.window(facts.mpReachNlriAt, facts.mpReachNlriEnd)
    equal(readPrefix4(from, from.u8()), 0x0a000000)
  })
})

for (const [name, family, addPath] of [
  ['IPv4', FAMILY.ipv4Unicast, 0],
  ['IPv4 with path identifiers', FAMILY.ipv4Unicast, familyBit(FAMILY.ipv4Unicast)],
  ['IPv6', FAMILY.ipv6Unicast, 0],
  ['VPNv4', FAMILY.vpnv4, familyBit(FAMILY.vpnv4)],
] as const)
  for (const withdraws of [false, true])
    test(`${withdraws ? 'withdrawn' : 'announced'} ${name} routes fill message after message`, () => {
      const out = new Uint8Array(1 << 18)
      const builder = new UpdateBuilder()
      builder.target(out)
      builder.addPath = addPath
      const attributes = withdraws ? undefined : family === FAMILY.ipv4Unicast ? CLASSIC : ORIGIN_AND_PATH
      const nextHop =
        family === FAMILY.ipv4Unicast || withdraws
          ? undefined
          : family === FAMILY.vpnv4
            ? new Uint8Array(12).fill(9)
            : NEXT_HOP_6
      builder.begin(0, family, attributes, nextHop)
      const COUNT = 5000
      for (let i = 0; i < COUNT; i++) {
        const address = (0x0a000000 + (i << 8)) >>> 0
        if (family === FAMILY.ipv4Unicast) equal(builder.addPrefix4(address, 24, i), true)
        else if (family === FAMILY.vpnv4) equal(builder.addVpn4(i, 1, i, address, 24, i), true)
        else equal(builder.addPrefix6(Uint32Array.of(0x20010db8, address, 0, 0), 0, 64), true)
      }
      const end = builder.finish()
      const vpn = new VpnPrefix()
      const words = new Uint32Array(4)
      let seen = 0
      const messages = eachUpdate(out, 0, end, addPath, (from) => {
        if (family !== FAMILY.ipv4Unicast)
          if (withdraws) from.window(facts.mpUnreachNlriAt, facts.mpUnreachNlriEnd)
          else from.window(facts.mpReachNlriAt, facts.mpReachNlriEnd)
        else if (withdraws) from.window(parts.withdrawnAt, parts.withdrawnEnd)
        else from.window(parts.nlriAt, parts.nlriEnd)
        for (; from.remaining > 0; seen++) {
          if (addPath !== 0) equal(from.u32(), seen)
          const length = from.u8()
          const address = (0x0a000000 + (seen << 8)) >>> 0
          if (family === FAMILY.ipv4Unicast) equal(readPrefix4(from, length), address)
          else if (family === FAMILY.vpnv4) {
            readVpn4(from, length, vpn)
            deepEqual([vpn.address4, vpn.length, vpn.distinguisherLow], [address, 24, seen])
            equal(vpn.label, withdraws ? 0x80000 : seen)
          } else {
            readPrefix6(from, length, words)
            deepEqual(words, Uint32Array.of(0x20010db8, address, 0, 0))
          }
        }
      })
      deepEqual([seen, messages, builder.messages, builder.prefixes], [COUNT, messages, messages, COUNT])
    })

test('a target that is full takes no more, and what was written is whole', () => {
  const out = new Uint8Array(100).fill(UNWRITTEN)
  const builder = new UpdateBuilder()
  builder.target(out.subarray(0, 60))
  builder.begin(0, FAMILY.ipv4Unicast, CLASSIC)
  let written = 0
  while (builder.addPrefix4(0x0a000000 + written * 256, 24)) written++
  const end = builder.finish()
  equal(written, 4)
  equal(
    eachUpdate(out, 0, end, 0, () => {}),
    1,
  )
  deepEqual(out.subarray(60), new Uint8Array(40).fill(UNWRITTEN))
})

test('without a prefix nothing is written', () => {
  const out = new Uint8Array(64).fill(UNWRITTEN)
  const builder = new UpdateBuilder()
  builder.target(out)
  builder.begin(5, FAMILY.ipv4Unicast, CLASSIC)
  equal(builder.finish(), 5)
  deepEqual(out, new Uint8Array(64).fill(UNWRITTEN))
})

test('attributes that leave no room for a prefix are refused, and fit an extended message', () => {
  const out = new Uint8Array(1 << 17)
  const builder = new UpdateBuilder()
  builder.target(out)
  const largest = 4096 - 23 - 5
  equal(builder.begin(0, FAMILY.ipv4Unicast, new Uint8Array(largest)), true)
  equal(builder.begin(0, FAMILY.ipv4Unicast, new Uint8Array(largest + 1)), false)
  builder.bytesMax = EXTENDED_MESSAGE_BYTES_MAX
  equal(builder.begin(0, FAMILY.ipv4Unicast, new Uint8Array(largest + 1)), true)
})

test("each family's End-of-RIB is known again", () => {
  for (const family of Object.values(FAMILY)) {
    const out = new Uint8Array(64)
    eachUpdate(out, 1, writeEndOfRib(out, 1, family), 0, () => equal(endOfRib(parts, facts), family))
  }
})
