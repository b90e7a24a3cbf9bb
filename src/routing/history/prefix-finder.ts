/**
 * Where one prefix stands in an UPDATE: what the message does to it, by the rules that the tables follow too (RFC 4271,
 * RFC 7606), policies and reflection apart. Nothing is allocated for a message in which it does not stand, of which there
 * are millions.
 */

import { ipv4Number, type Prefix } from '../../base/address.ts'
import { countInPath } from '../../wire/bgp/as-path.ts'
import { checkAttributes } from '../../wire/bgp/check-attributes.ts'
import { formatDistinguisher } from '../../wire/bgp/distinguisher.ts'
import { type AttributeContext, AttributeFacts, attributeContext, OUTCOME } from '../../wire/bgp/facts.ts'
import { families as allFamilies, FAMILY, type Family, hasFamily, NO_FAMILY } from '../../wire/bgp/family.ts'
import { BGP_HEADER_BYTES } from '../../wire/bgp/message.ts'
import { readPrefix4, readPrefix6, readVpn4, readVpn6, VpnPrefix } from '../../wire/bgp/prefix.ts'
import { endOfRib, splitUpdate, UpdateParts } from '../../wire/bgp/update.ts'
import { Reader } from '../../wire/cursor.ts'
import type { MrtMessage } from '../../wire/mrt.ts'
import type { Agreed } from './note.ts'

export const ALL_FAMILIES = (1 << allFamilies.length) - 1

export interface Mention {
  /** `rejected`: it is kept, and not used. */
  readonly what: 'announced' | 'withdrawn' | 'rejected'
  readonly family: number
  /** Where several paths to a prefix are told apart (RFC 7911). */
  readonly pathId: number | undefined
  /** Of a VPN route. */
  readonly distinguisher: string | undefined
  /** It stands in an attribute (RFC 4760), and not in the message itself. */
  readonly isMultiprotocol: boolean
  /** It was announced, and this is why it counts for less. */
  readonly reason: string | undefined
}

/** What becomes of the routes that a message announces. */
type Fate = Pick<Mention, 'what' | 'reason'>
const WITHDRAWN: Fate = { what: 'withdrawn', reason: undefined }
const ANNOUNCED: Fate = { what: 'announced', reason: undefined }
const MALFORMED: Fate = { what: 'withdrawn', reason: 'its attributes are malformed (RFC 7606)' }
const FOREIGN: Fate = { what: 'withdrawn', reason: 'its path does not begin with the peer (RFC 4271 section 6.3)' }
const LOOP: Fate = { what: 'rejected', reason: 'our own AS is in its path (RFC 4271 section 9.1.2)' }

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
  mentions(record: MrtMessage, agreed: Agreed | undefined): Mention[] {
    const { from, parts, facts } = this
    from.window(record.messageAt + BGP_HEADER_BYTES, record.messageEnd)
    if (!splitUpdate(from, parts)) return NONE
    const context = contextOf(record, agreed)
    const outcome = checkAttributes(from, parts, context, facts)
    if (outcome === OUTCOME.reset) return NONE
    const found: Mention[] = []
    const { mpReachFamily, mpUnreachFamily } = facts
    const fate = this.#fateOf(record, agreed)
    this.#look(found, WITHDRAWN, FAMILY.ipv4Unicast, parts.withdrawnAt, parts.withdrawnEnd, context)
    this.#look(found, WITHDRAWN, mpUnreachFamily, facts.mpUnreachNlriAt, facts.mpUnreachNlriEnd, context)
    this.#look(found, fate, FAMILY.ipv4Unicast, parts.nlriAt, parts.nlriEnd, context)
    this.#look(found, fate, mpReachFamily, facts.mpReachNlriAt, facts.mpReachNlriEnd, context)
    return found
  }

  /** The family whose End-of-RIB it is, or NO_FAMILY. */
  endOfRib(record: MrtMessage, agreed: Agreed | undefined): number {
    const { from, parts, facts } = this
    from.window(record.messageAt + BGP_HEADER_BYTES, record.messageEnd)
    if (!splitUpdate(from, parts)) return NO_FAMILY
    const outcome = checkAttributes(from, parts, contextOf(record, agreed), facts)
    return outcome === OUTCOME.reset ? NO_FAMILY : endOfRib(parts, facts)
  }

  #fateOf({ as4, localAs }: MrtMessage, agreed: Agreed | undefined): Fate {
    const { from, facts } = this
    if (facts.outcome === OUTCOME.withdraw) return MALFORMED
    if (!agreed) return ANNOUNCED
    if (agreed.firstAs !== 0 && facts.firstAs !== agreed.firstAs) return FOREIGN
    const ours = countInPath(from, facts.asPathAt, facts.asPathEnd, as4, localAs)
    return ours > agreed.allowAsIn ? LOOP : ANNOUNCED
  }

  #look(
    into: Mention[],
    { what, reason }: Fate,
    family: number,
    at: number,
    end: number,
    { addPath, families: agreed }: AttributeContext,
  ): void {
    const isFamily4 = family === FAMILY.ipv4Unicast || family === FAMILY.vpnv4
    if (family < 0 || at === end || isFamily4 !== this.#is4 || !hasFamily(agreed, family)) return
    const { from } = this
    const hasIds = hasFamily(addPath, family)
    from.window(at, end)
    while (from.remaining > 0) {
      const pathId = hasIds ? from.u32() : undefined
      if (!this.#isNext(family as Family) || from.failed) continue
      const { distinguisherHigh: high, distinguisherLow: low } = this.#vpn
      const distinguisher = family > FAMILY.ipv6Unicast ? formatDistinguisher(high, low) : undefined
      const isMultiprotocol = at >= this.parts.attributesAt && at < this.parts.attributesEnd
      into.push({ what, family, pathId, distinguisher, isMultiprotocol, reason })
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

/** Of sessions that nothing is known of but what their records tell. */
const unknown = new Map<number, AttributeContext>()
const known = new WeakMap<Agreed, AttributeContext>()

/** What the session had agreed on. As far as nobody has written it: what a record tells, and of what it does not tell, all. */
export function contextOf({ as4, addPath, peerAs, localAs }: MrtMessage, agreed: Agreed | undefined): AttributeContext {
  const external = peerAs !== localAs
  const key = Number(as4) | (Number(addPath) << 1) | (Number(external) << 2)
  const before = agreed ? known.get(agreed) : unknown.get(key)
  if (before) return before
  const all = { families: ALL_FAMILIES, extendedNextHop: ALL_FAMILIES, addPath: addPath ? ALL_FAMILIES : 0 }
  const { families, extendedNextHop, addPath: withIds } = agreed ?? all
  const made = attributeContext({ as4, external, families, extendedNextHop, addPath: withIds })
  if (agreed) known.set(agreed, made)
  else unknown.set(key, made)
  return made
}
