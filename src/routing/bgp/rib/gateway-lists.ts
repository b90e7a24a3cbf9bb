/**
 * Where routes lead, as the control module is told: the next hops of the paths that share a prefix's packets, each with
 * its weight. A list is kept once, known by a number, and goes when no prefix has it any more.
 *
 * Weights are those of the link bandwidth community where every path has one (draft-ietf-idr-link-bandwidth; DSR section
 * 3.2.3 spreads by the bandwidth ratio), and equal otherwise.
 */

import { formatAddress, type IpAddress } from '../../../base/address.ts'
import { isLinkBandwidth, linkBandwidth } from '../../../wire/bgp/community.ts'
import { nextHopHeadBytes } from '../../../wire/bgp/multiprotocol.ts'
import type { Gateways } from '../../../wire/control/route.ts'
import type { AttributeSets } from './attribute-sets.ts'
import { grown32 } from './columns.ts'

/** Of a prefix that leads nowhere that is not ours. */
export const NO_LIST = 0

/** The largest bandwidth of a list is this weight. */
const WEIGHT_MAX = 256

const CODE = { nextHop: 3, extendedCommunities: 16 } as const
const COMMUNITY_BYTES = 8
const IPV4_BYTES = 4
const IPV6_BYTES = 16
/** Before a mapped IPv4 address. */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] as const

interface List {
  readonly text: string
  readonly gateways: Gateways
  uses: number
}

export class GatewayLists {
  readonly #sets: AttributeSets
  readonly #byText = new Map<string, number>()
  readonly #lists: (List | undefined)[] = [undefined]
  readonly #free: number[] = []
  /** By list: grows when the number's list goes. */
  #version: Int32Array = new Int32Array(16)
  // By set: the list of its next hop alone, and which versions of both that holds for, the set's plus one.
  #ofSet: Int32Array = new Int32Array(16)
  #setVersion: Int32Array = new Int32Array(16)
  #listVersion: Int32Array = new Int32Array(16)

  constructor(sets: AttributeSets) {
    this.#sets = sets
  }

  get count(): number {
    return this.#byText.size
  }

  gateways(list: number): Gateways {
    return this.#lists[list]?.gateways ?? []
  }

  /** The list of one path. To be used at once: a list that nobody uses is not kept. */
  of(set: number): number {
    if (set >= this.#ofSet.length) {
      this.#ofSet = grown32(this.#ofSet, set + 1)
      this.#setVersion = grown32(this.#setVersion, set + 1)
      this.#listVersion = grown32(this.#listVersion, set + 1)
    }
    const known = this.#ofSet[set]!
    const version = this.#sets.version[set]! + 1
    if (this.#setVersion[set] === version && this.#listVersion[set] === this.#version[known]) return known
    const nextHop = this.nextHop(set)
    const list = nextHop ? this.#number([{ address: nextHop, weight: 1, backup: false }]) : NO_LIST
    this.#ofSet[set] = list
    this.#setVersion[set] = version
    this.#listVersion[set] = this.#version[list]!
    return list
  }

  /** The list of the paths of these sets, with the next hop of another as the backup. */
  ofAll(sets: readonly number[], backup?: number): number {
    if (sets.length === 1 && backup === undefined) return this.of(sets[0]!)
    const bandwidths = sets.map((set) => this.#bandwidth(set))
    const largest = Math.max(...bandwidths)
    const isWeighted = sets.length > 1 && bandwidths.every((one) => one > 0)
    const byText = new Map<string, { address: IpAddress; weight: number }>()
    for (const [i, set] of sets.entries()) {
      const address = this.nextHop(set)
      if (!address) continue
      const weight = isWeighted ? Math.max(1, Math.round((bandwidths[i]! / largest) * WEIGHT_MAX)) : 1
      const text = formatAddress(address)
      // Two ways to the same next hop are one.
      if (!byText.has(text)) byText.set(text, { address, weight })
    }
    if (byText.size === 0) return NO_LIST
    const shared = [...byText.keys()].sort().map((text) => ({ ...byText.get(text)!, backup: false }))
    const behind = backup === undefined ? undefined : this.nextHop(backup)
    return this.#number(behind ? [...shared, { address: behind, weight: 1, backup: true }] : shared)
  }

  use(list: number): void {
    this.#lists[list]!.uses++
  }

  drop(list: number): void {
    const known = this.#lists[list]!
    if (--known.uses > 0) return
    this.#byText.delete(known.text)
    this.#lists[list] = undefined
    this.#version[list]!++
    this.#free.push(list)
  }

  /** Of the set's routes; undefined when they are our own. A link-local address beside a global one is left out. */
  nextHop(set: number): IpAddress | undefined {
    const { arena, at, bytes, nextHopBytes } = this.#sets
    const given = nextHopBytes[set]!
    if (given === 0) {
      const value = this.#sets.find(set, CODE.nextHop)
      return value < 0 ? undefined : somewhere(arena.bytes, value, this.#sets.foundBytes)
    }
    const head = nextHopHeadBytes(given)
    return somewhere(arena.bytes, at[set]! + bytes[set]! + head, given - head === IPV4_BYTES ? IPV4_BYTES : IPV6_BYTES)
  }

  /** As people write it. */
  nextHopText(set: number): string | undefined {
    const nextHop = this.nextHop(set)
    return nextHop && formatAddress(nextHop)
  }

  // In bytes per second; 0 when nothing is said.
  #bandwidth(set: number): number {
    const value = this.#sets.find(set, CODE.extendedCommunities)
    if (value < 0) return 0
    const { view } = this.#sets.arena
    for (let at = value; at + COMMUNITY_BYTES <= value + this.#sets.foundBytes; at += COMMUNITY_BYTES)
      if (isLinkBandwidth(view.getUint32(at))) return linkBandwidth(view.getUint32(at + 4))
    return 0
  }

  #number(gateways: Gateways): number {
    const text = gateways
      .map(({ address, weight, backup }) => `${formatAddress(address)} ${weight}${backup ? ' backup' : ''}`)
      .join(',')
    const known = this.#byText.get(text)
    if (known !== undefined) return known
    const list = this.#free.pop() ?? this.#lists.length
    this.#version = grown32(this.#version, list + 1)
    this.#lists[list] = { text, gateways, uses: 0 }
    this.#byText.set(text, list)
    return list
  }
}

/**
 * A copy, of an IPv4 address that is mapped (RFC 4291 section 2.5.5.2) the address itself; undefined for the address that is
 * nobody's, which stands for our own.
 */
function somewhere(bytes: Uint8Array, from: number, length: number): IpAddress | undefined {
  const isMapped = length === IPV6_BYTES && MAPPED.every((byte, i) => bytes[from + i] === byte)
  const address = bytes.slice(isMapped ? from + IPV6_BYTES - IPV4_BYTES : from, from + length)
  return address.some((byte) => byte !== 0) ? address : undefined
}
