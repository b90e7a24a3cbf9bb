/**
 * Writes UPDATEs, one behind the other, into bytes that are handed in, and allocates nothing: a set of attributes, and
 * then prefixes for as long as there are any. A message that is full is closed and the next one begun with the same
 * attributes.
 *
 *   builder.target(ring)
 *   builder.begin(at, FAMILY.ipv4Unicast, attributes)
 *   while (... && builder.addPrefix4(address, length)) ...   // false: the target is full, the prefix not written
 *   at = builder.finish()
 *
 * IPv4 prefixes stand in the message's own fields, unless their next hop is an IPv6 one; all else in MP_REACH_NLRI or
 * MP_UNREACH_NLRI, which comes first of the attributes (RFC 7606 section 5.1):
 *
 *   header | withdrawn: 0         | attributes: [MP_REACH_NLRI with prefixes] attributes | [prefixes]
 *   header | withdrawn: [prefixes]| attributes: [MP_UNREACH_NLRI with prefixes]
 */

import { assert } from '../../base/assert.ts'
import { FAMILY, type Family, families, hasFamily } from './family.ts'
import { BGP_HEADER_BYTES, MESSAGE, MESSAGE_BYTES_MAX } from './message.ts'

const OPTIONAL_EXTENDED = 0x90
const CODE_MP_REACH = 14
const CODE_MP_UNREACH = 15
/** Flags, code and a length of two bytes. */
const ATTRIBUTE_HEAD_BYTES = 4
const PATH_ID_BYTES = 4
const VPN_HEAD_BYTES = 11
const NOTHING = new Uint8Array(0)

export class UpdateBuilder {
  /** What the session takes: RFC 8654. */
  bytesMax: number = MESSAGE_BYTES_MAX
  /** Bits of the families whose prefixes are written with a path identifier (RFC 7911). */
  addPath = 0
  /** Messages and prefixes since `begin`, the unfinished message's too. */
  messages = 0
  prefixes = 0

  #out: Uint8Array = NOTHING
  #family: Family = FAMILY.ipv4Unicast
  #withdraws = false
  #attributes: Uint8Array = NOTHING
  #attributesBytes = 0
  #nextHop: Uint8Array = NOTHING
  #nextHopBytes = 0
  #isClassic = true
  #hasIds = false

  /** Where the message begins that is being written, where its next byte goes, and where its prefixes must end. */
  #start = 0
  #at = 0
  #end = 0
  /** Where its prefixes begin; equal to #at while there is none. */
  #prefixesAt = 0

  target(out: Uint8Array): void {
    this.#out = out
  }

  /**
   * Turns to other routes: the first message will begin at `at`. Without attributes they are withdrawn. `attributes` are
   * whole attributes but for MP_REACH_NLRI, in as many of the first bytes as `attributesBytes` says; NEXT_HOP is among
   * them where `nextHop` is not given, which is where the family is IPv4 unicast and its next hop IPv4. `nextHop` is as
   * MP_REACH_NLRI has it (multiprotocol.ts). What is handed in must stay as it is until `finish`.
   *
   * False when there is not a prefix that such a message could take: the routes cannot be told to this peer.
   */
  begin(
    at: number,
    family: Family,
    attributes: Uint8Array | undefined,
    nextHop: Uint8Array | undefined = undefined,
    attributesBytes = attributes?.length ?? 0,
    nextHopBytes = nextHop?.length ?? 0,
  ): boolean {
    this.#family = family
    this.#withdraws = attributes === undefined
    this.#attributes = attributes ?? NOTHING
    this.#attributesBytes = attributesBytes
    this.#nextHop = nextHop ?? NOTHING
    this.#nextHopBytes = nextHopBytes
    this.#isClassic = family === FAMILY.ipv4Unicast && nextHopBytes === 0
    this.#hasIds = hasFamily(this.addPath, family)
    this.#start = this.#at = this.#prefixesAt = at
    this.#end = 0
    this.messages = 0
    this.prefixes = 0
    assert(this.#withdraws || this.#isClassic || nextHopBytes > 0, 'routes of this family have their next hop apart')
    const row = families[family]!
    const longest = (this.#hasIds ? PATH_ID_BYTES : 0) + 1 + (row.headBits + row.addressBits) / 8
    return this.#headBytes() + this.#tailBytes() + longest <= this.bytesMax
  }

  addPrefix4(address: number, length: number, pathId = 0): boolean {
    const bytes = (length + 7) >>> 3
    if (!this.#hasRoom(1 + bytes)) return false
    this.#head(length, pathId)
    this.#address4(address, bytes)
    return true
  }

  /** Four words of an address, from `from` on. */
  addPrefix6(words: Uint32Array, from: number, length: number, pathId = 0): boolean {
    const bytes = (length + 7) >>> 3
    if (!this.#hasRoom(1 + bytes)) return false
    this.#head(length, pathId)
    this.#address6(words, from, bytes)
    return true
  }

  /** A label of 20 bits and a route distinguisher in two words; the prefix's length is that of the address alone. */
  addVpn4(
    label: number,
    distinguisherHigh: number,
    distinguisherLow: number,
    address: number,
    length: number,
    pathId = 0,
  ): boolean {
    const bytes = (length + 7) >>> 3
    if (!this.#hasRoom(1 + VPN_HEAD_BYTES + bytes)) return false
    this.#head(length + VPN_HEAD_BYTES * 8, pathId)
    this.#vpn(label, distinguisherHigh, distinguisherLow)
    this.#address4(address, bytes)
    return true
  }

  addVpn6(
    label: number,
    distinguisherHigh: number,
    distinguisherLow: number,
    words: Uint32Array,
    from: number,
    length: number,
    pathId = 0,
  ): boolean {
    const bytes = (length + 7) >>> 3
    if (!this.#hasRoom(1 + VPN_HEAD_BYTES + bytes)) return false
    this.#head(length + VPN_HEAD_BYTES * 8, pathId)
    this.#vpn(label, distinguisherHigh, distinguisherLow)
    this.#address6(words, from, bytes)
    return true
  }

  /** Closes the last message. Where the messages end; where they were to begin, when there is not a prefix. */
  finish(): number {
    if (this.#end !== 0) this.#close()
    return this.#start
  }

  // Room for a prefix in this message or in the next one.
  #hasRoom(bytes: number): boolean {
    const wanted = this.#hasIds ? bytes + PATH_ID_BYTES : bytes
    if (this.#at + wanted <= this.#end) return true
    if (this.#end !== 0) this.#close()
    return this.#open(wanted)
  }

  /** What a message has before its prefixes. */
  #headBytes(): number {
    const fixed = BGP_HEADER_BYTES + 2
    if (this.#isClassic) return this.#withdraws ? fixed : fixed + 2 + this.#attributesBytes
    const head = fixed + 2 + ATTRIBUTE_HEAD_BYTES + 3
    return this.#withdraws ? head : head + 1 + this.#nextHopBytes + 1
  }

  /** And behind them. */
  #tailBytes(): number {
    if (this.#isClassic) return this.#withdraws ? 2 : 0
    return this.#attributesBytes
  }

  #open(wanted: number): boolean {
    const limit = Math.min(this.bytesMax, this.#out.length - this.#start)
    const head = this.#headBytes()
    const tail = this.#tailBytes()
    if (head + wanted + tail > limit) return false
    this.#end = this.#start + limit - tail
    this.#at = this.#start
    for (let i = 0; i < 16; i++) this.#u8(0xff)
    this.#u16(0)
    this.#u8(MESSAGE.update)
    this.#u16(0)
    if (!this.#isClassic) this.#openMultiprotocol()
    else if (!this.#withdraws) {
      this.#u16(this.#attributesBytes)
      this.#copy(this.#attributes, this.#attributesBytes)
    }
    this.#prefixesAt = this.#at
    this.messages++
    return true
  }

  #openMultiprotocol(): void {
    const { afi, safi } = families[this.#family]!
    this.#u16(0)
    this.#u8(OPTIONAL_EXTENDED)
    this.#u8(this.#withdraws ? CODE_MP_UNREACH : CODE_MP_REACH)
    this.#u16(0)
    this.#u16(afi)
    this.#u8(safi)
    if (this.#withdraws) return
    this.#u8(this.#nextHopBytes)
    this.#copy(this.#nextHop, this.#nextHopBytes)
    this.#u8(0)
  }

  /** Writes the lengths, which are known only now, and what stands behind the prefixes. */
  #close(): void {
    const start = this.#start
    const prefixesEnd = this.#at
    if (!this.#isClassic) {
      this.#copy(this.#attributes, this.#attributesBytes)
      const attributesAt = start + BGP_HEADER_BYTES + 4
      this.#u16At(attributesAt - 2, this.#at - attributesAt)
      this.#u16At(attributesAt + 2, prefixesEnd - attributesAt - ATTRIBUTE_HEAD_BYTES)
    } else if (this.#withdraws) {
      this.#u16At(start + BGP_HEADER_BYTES, prefixesEnd - this.#prefixesAt)
      this.#u16(0)
    }
    this.#u16At(start + 16, this.#at - start)
    this.#start = this.#prefixesAt = this.#at
    this.#end = 0
  }

  #head(length: number, pathId: number): void {
    if (this.#hasIds) this.#u32(pathId)
    this.#u8(length)
    this.prefixes++
  }

  #vpn(label: number, distinguisherHigh: number, distinguisherLow: number): void {
    // A withdrawal has the compatibility value for its label (RFC 8277 section 2.4); a route the bottom of its stack.
    const field = this.#withdraws ? 0x80_0000 : (label << 4) | 1
    this.#u16(field >>> 8)
    this.#u8(field)
    this.#u32(distinguisherHigh)
    this.#u32(distinguisherLow)
  }

  #address4(address: number, bytes: number): void {
    for (let shift = 24, i = 0; i < bytes; i++, shift -= 8) this.#u8(address >>> shift)
  }

  #address6(words: Uint32Array, from: number, bytes: number): void {
    for (let i = 0; i < bytes; i++) this.#u8(words[from + (i >>> 2)]! >>> (24 - 8 * (i & 3)))
  }

  #copy(from: Uint8Array, bytes: number): void {
    for (let i = 0; i < bytes; i++) this.#out[this.#at + i] = from[i]!
    this.#at += bytes
  }

  #u8(value: number): void {
    this.#out[this.#at++] = value
  }

  #u16(value: number): void {
    this.#u16At(this.#at, value)
    this.#at += 2
  }

  #u32(value: number): void {
    this.#u16(value >>> 16)
    this.#u16(value & 0xffff)
  }

  #u16At(at: number, value: number): void {
    this.#out[at] = value >>> 8
    this.#out[at + 1] = value
  }
}

/** The longest End-of-RIB. */
export const END_OF_RIB_BYTES_MAX = BGP_HEADER_BYTES + 4 + 6

/** RFC 4724 section 2. Returns where it ends; it is written to `out`, which has END_OF_RIB_BYTES_MAX from `at` on. */
export function writeEndOfRib(out: Uint8Array, at: number, family: Family): number {
  assert(out.length - at >= END_OF_RIB_BYTES_MAX, 'there is room for an End-of-RIB')
  const { afi, safi } = families[family]!
  const attribute = family === FAMILY.ipv4Unicast ? [] : [0x80, CODE_MP_UNREACH, 3, 0, afi, safi]
  const bytes = BGP_HEADER_BYTES + 4 + attribute.length
  out.fill(0xff, at, at + 16)
  out.set([0, bytes, MESSAGE.update, 0, 0, 0, attribute.length, ...attribute], at + 16)
  return at + bytes
}
