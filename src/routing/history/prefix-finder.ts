/**
 * Where one prefix stands in an UPDATE: what the message does to it, by the rules that the tables follow too (RFC 4271,
 * RFC 7606). Nothing is allocated for a message in which it does not stand, of which there are millions.
 */

import { ipv4Number, type Prefix } from '../../base/address.ts'
import { checkAttributes } from '../../wire/bgp/check-attributes.ts'
import { formatDistinguisher } from '../../wire/bgp/distinguisher.ts'
import { type AttributeContext, AttributeFacts, attributeContext, OUTCOME } from '../../wire/bgp/facts.ts'
import { FAMILY, type Family, families, hasFamily } from '../../wire/bgp/family.ts'
import { BGP_HEADER_BYTES } from '../../wire/bgp/message.ts'
import { readPrefix4, readPrefix6, readVpn4, readVpn6, VpnPrefix } from '../../wire/bgp/prefix.ts'
import { splitUpdate, UpdateParts } from '../../wire/bgp/update.ts'
import { Reader } from '../../wire/cursor.ts'
import type { MrtMessage } from '../../wire/mrt.ts'

const ALL_FAMILIES = (1 << families.length) - 1

export interface Mention {
  readonly what: 'announced' | 'withdrawn'
  /** Where several paths to a prefix are told apart (RFC 7911). */
  readonly pathId: number | undefined
  /** Of a VPN route. */
  readonly distinguisher: string | undefined
  /** It stands in an attribute (RFC 4760), and not in the message itself. */
  readonly isMultiprotocol: boolean
  /** It was announced, with attributes for which it counts as withdrawn (RFC 7606). */
  readonly isMalformed: boolean
}

export class PrefixFinder {
  readonly parts = new UpdateParts()
  readonly facts = new AttributeFacts()
  readonly from: Reader
  readonly #length: number
  readonly #is4: boolean
  readonly #words = new Uint32Array(4)
  readonly #found = new Uint32Array(4)
  readonly #vpn = new VpnPrefix()

  /** In a file of these bytes. */
  constructor(bytes: Uint8Array, { address, length }: Prefix) {
    this.from = new Reader(bytes)
    this.#length = length
    this.#is4 = address.length === 4
    for (let word = 0; word * 4 < address.length; word++)
      this.#words[word] = ipv4Number(address.subarray(word * 4, word * 4 + 4))
  }

  /** Withdrawals first, as they are taken. Empty too when the message ended the session. */
  mentions(record: MrtMessage): Mention[] {
    const { from, parts, facts } = this
    from.window(record.messageAt + BGP_HEADER_BYTES, record.messageEnd)
    if (!splitUpdate(from, parts)) return NONE
    const context = contextOf(record)
    const outcome = checkAttributes(from, parts, context, facts)
    if (outcome === OUTCOME.reset) return NONE
    const found: Mention[] = []
    const { mpReachFamily, mpUnreachFamily } = facts
    this.#look(found, 'withdrawn', FAMILY.ipv4Unicast, parts.withdrawnAt, parts.withdrawnEnd, context)
    this.#look(found, 'withdrawn', mpUnreachFamily, facts.mpUnreachNlriAt, facts.mpUnreachNlriEnd, context)
    this.#look(found, 'announced', FAMILY.ipv4Unicast, parts.nlriAt, parts.nlriEnd, context)
    this.#look(found, 'announced', mpReachFamily, facts.mpReachNlriAt, facts.mpReachNlriEnd, context)
    return found
  }

  #look(
    into: Mention[],
    said: Mention['what'],
    family: number,
    at: number,
    end: number,
    { addPath }: AttributeContext,
  ): void {
    const isFamily4 = family === FAMILY.ipv4Unicast || family === FAMILY.vpnv4
    if (family < 0 || at === end || isFamily4 !== this.#is4) return
    const { from } = this
    const hasIds = hasFamily(addPath, family)
    const isMalformed = said === 'announced' && this.facts.outcome === OUTCOME.withdraw
    from.window(at, end)
    while (from.remaining > 0) {
      const pathId = hasIds ? from.u32() : undefined
      if (!this.#isNext(family as Family) || from.failed) continue
      const { distinguisherHigh: high, distinguisherLow: low } = this.#vpn
      const distinguisher = family > FAMILY.ipv6Unicast ? formatDistinguisher(high, low) : undefined
      const what = isMalformed ? 'withdrawn' : said
      const isMultiprotocol = at >= this.parts.attributesAt && at < this.parts.attributesEnd
      into.push({ what, pathId, distinguisher, isMultiprotocol, isMalformed })
    }
  }

  #isNext(family: Family): boolean {
    const { from } = this
    const words = this.#words
    const length = from.u8()
    if (family === FAMILY.ipv4Unicast) return readPrefix4(from, length) === words[0] && length === this.#length
    if (family === FAMILY.ipv6Unicast) {
      readPrefix6(from, length, this.#found)
      return length === this.#length && isSame(this.#found, words)
    }
    if (family === FAMILY.vpnv4) readVpn4(from, length, this.#vpn)
    else readVpn6(from, length, this.#vpn)
    if (this.#vpn.length !== this.#length) return false
    return family === FAMILY.vpnv4 ? this.#vpn.address4 === words[0] : isSame(this.#vpn.words, words)
  }
}

const NONE: Mention[] = []

function isSame(one: Uint32Array, other: Uint32Array): boolean {
  return one[0] === other[0] && one[1] === other[1] && one[2] === other[2] && one[3] === other[3]
}

const contexts = new Map<number, AttributeContext>()

/** What the session had agreed on, as far as a record tells; of what it does not tell, all. */
export function contextOf({ as4, addPath, peerAs, localAs }: MrtMessage): AttributeContext {
  const external = peerAs !== localAs
  const key = Number(as4) | (Number(addPath) << 1) | (Number(external) << 2)
  const known = contexts.get(key)
  if (known) return known
  const made = attributeContext({
    as4,
    external,
    families: ALL_FAMILIES,
    extendedNextHop: ALL_FAMILIES,
    addPath: addPath ? ALL_FAMILIES : 0,
  })
  contexts.set(key, made)
  return made
}
