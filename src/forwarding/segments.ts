/**
 * Admission: which tenant does a tunnel packet belong to, and may its sender send for that tenant? A segment is one
 * network of a tenant behind one kind of tunnel: the customer's side under a VNI, a VPC under a GRE key or a VNI. A remote
 * is a tunnel endpoint that may send for a segment: the edge switch of a connection, a host of a VPC.
 *
 * One lookup answers both: the hash table's key is tunnel, VNI or key, and outer source address. It lives in shared memory,
 * written by the agent, read by the workers without a lock; an entry is filled in before its state says so, and a removed
 * one is not used again before every worker has passed by (QSBR). The memory holds the table twice: when removed entries
 * have filled one half up, those in use are entered anew into the other, and one store makes it the table.
 */

import { formatAddress, type IpAddress, ipv4Number, type MacAddress } from '../base/address.ts'
import { assert } from '../base/assert.ts'
import { mix32 } from '../base/hash.ts'
import type { QsbrWriter } from '../dataplane/qsbr.ts'

/** The inner side of a tunnel packet, as found on the wire. */
export const TunnelKind = { vxlan: 1, gre: 2 } as const
/**
 * Entries of the same table for what is found by a segment's number and an address in it: neighbours that speak BGP, and
 * whom routing nodes probe.
 */
export const CarriedKind = { session: 3, probe: 4 } as const
export type CarriedKind = (typeof CarriedKind)[keyof typeof CarriedKind]

/** What a sender is: a switch or a host, a routing node, which speaks for the gateway, or the gateway of another site. */
export const SenderRole = { remote: 0, speaker: 1, site: 2 } as const
export type SenderRole = (typeof SenderRole)[keyof typeof SenderRole]

/** Entry words: state, kind and address family, VNI or key, source address (4), segment, reply slot, role. */
const ENTRY = 16
const EMPTY = 0
const USED = 1
const REMOVED = 2
const SEGMENT_AT = 7
const REPLY_AT = 8
const ROLE_AT = 9

/** Segment words. Row 0 is no segment's: its first word says where the table in use begins. */
const ROW = 16
const TABLE = 0
const TENANT = 0
const MAC_HIGH = 1
const MAC_LOW = 2
const ADDRESS4 = 3
const ADDRESS6 = 4
const OTHERS = 8
/** What leads to no routing node. */
const NO_SLOT = 0

const FULL = 'the admission table is full'

export interface SegmentLimits {
  /** A power of two, 128 bytes each; kept at most three quarters full. */
  entries: number
  /** 64 bytes each. */
  segments: number
}

/**
 * 10 K tenants of a connection and a VPC with eight hosts are 110 K entries (with one a segment for the segment itself); a
 * neighbour each and four routing nodes are 50 K more, and another site of two VIPs that all of them are at 20 K.
 */
const defaultSegmentLimits: SegmentLimits = { entries: 1 << 18, segments: 1 << 16 }

export interface SegmentMemory {
  readonly entries: SharedArrayBuffer
  readonly rows: SharedArrayBuffer
}

export function createSegmentMemory(limits: SegmentLimits = defaultSegmentLimits): SegmentMemory {
  return {
    entries: new SharedArrayBuffer(2 * limits.entries * ENTRY * 4),
    rows: new SharedArrayBuffer(limits.segments * ROW * 4),
  }
}

/** So that an IPv4 address is never an IPv6 one with zeros behind it; 0 bytes for the segment itself. */
function familyOf(kind: number, addressBytes: number): number {
  return kind | (addressBytes << 8)
}

function hashOf(kind: number, id: number, a: number, b: number, c: number, d: number): number {
  return mix32(mix32(mix32(mix32(mix32(id + kind) ^ a) ^ b) ^ c) ^ d)
}

/** The workers' side. */
export class Segments {
  readonly #entries: Int32Array
  readonly #rows: Int32Array
  readonly #mask: number

  constructor(memory: SegmentMemory) {
    this.#entries = new Int32Array(memory.entries)
    this.#rows = new Int32Array(memory.rows)
    this.#mask = this.#entries.length / ENTRY / 2 - 1
  }

  /**
   * The entry of a sender, as the index of its first word, or -1. The source address is read from the outer header:
   * `addressBytes` of 4 or 16 bytes at `source`.
   */
  find(kind: number, id: number, frame: DataView, source: number, addressBytes: number): number {
    const a = frame.getInt32(source)
    const family = familyOf(kind, addressBytes)
    if (addressBytes === 4) return this.#probe(family, id, a, 0, 0, 0)
    return this.#probe(
      family,
      id,
      a,
      frame.getInt32(source + 4),
      frame.getInt32(source + 8),
      frame.getInt32(source + 12),
    )
  }

  /** Is there such a segment at all, whoever sends? */
  isKnown(kind: number, id: number): boolean {
    return this.#probe(kind, id, 0, 0, 0, 0) >= 0
  }

  #probe(kind: number, id: number, a: number, b: number, c: number, d: number): number {
    const entries = this.#entries
    const table = Atomics.load(this.#rows, TABLE)
    for (let i = hashOf(kind, id, a, b, c, d) & this.#mask; ; i = (i + 1) & this.#mask) {
      const at = table + i * ENTRY
      const state = Atomics.load(entries, at)
      if (state === EMPTY) return -1
      if (state !== USED || entries[at + 1] !== kind || entries[at + 2] !== (id | 0) || entries[at + 3] !== a) continue
      if (entries[at + 4] === b && entries[at + 5] === c && entries[at + 6] === d) return at
    }
  }

  segmentOf(entry: number): number {
    return this.#entries[entry + SEGMENT_AT]!
  }

  /** The slot whose action carries an Ethernet frame back to the sender. */
  replySlotOf(entry: number): number {
    return this.#entries[entry + REPLY_AT]!
  }

  /** One of `SenderRole`. */
  roleOf(entry: number): number {
    return this.#entries[entry + ROLE_AT]!
  }

  /**
   * The slot whose action carries a neighbour's BGP and BFD to the routing node that has them; 0 when none has. The
   * neighbour is the address of 4 or 16 bytes at `at`.
   */
  speakerSlot(segment: number, frame: DataView, at: number, addressBytes: number): number {
    const entry = this.find(CarriedKind.session, segment, frame, at, addressBytes)
    return entry >= 0 ? this.#entries[entry + REPLY_AT]! : this.#rows[segment * ROW + OTHERS]!
  }

  /** Likewise of what the address answers to probes; 0 when nobody probes it. */
  probeSlot(segment: number, frame: DataView, at: number, addressBytes: number): number {
    const entry = this.find(CarriedKind.probe, segment, frame, at, addressBytes)
    return entry >= 0 ? this.#entries[entry + REPLY_AT]! : NO_SLOT
  }

  /** Counter row and VRF of the segment's tenant. */
  tenantOf(segment: number): number {
    return this.#rows[segment * ROW + TENANT]!
  }

  /** Is it the gateway's own MAC address? */
  isGatewayMac(segment: number, frame: DataView, at: number): boolean {
    const row = segment * ROW
    return frame.getUint16(at) === this.#rows[row + MAC_HIGH]! && frame.getInt32(at + 2) === this.#rows[row + MAC_LOW]!
  }

  writeGatewayMac(segment: number, frame: DataView, at: number): void {
    const row = segment * ROW
    frame.setUint16(at, this.#rows[row + MAC_HIGH]!)
    frame.setInt32(at + 2, this.#rows[row + MAC_LOW]!)
  }

  /** The gateway's IPv4 address, which ICMP errors come from; 0 when there is none. */
  address4(segment: number): number {
    return this.#rows[segment * ROW + ADDRESS4]! >>> 0
  }

  hasAddress6(segment: number): boolean {
    return this.#rows[segment * ROW + ADDRESS6] !== 0
  }

  writeAddress6(segment: number, frame: DataView, at: number): void {
    const row = segment * ROW + ADDRESS6
    for (let i = 0; i < 4; i++) frame.setInt32(at + i * 4, this.#rows[row + i]!)
  }
}

export interface SegmentRow {
  tenant: number
  mac: MacAddress
  /** What ICMP errors to this side come from. */
  address4?: IpAddress | undefined
  address6?: IpAddress | undefined
}

/** The agent's side: exactly one writer a process. */
export class SegmentWriter {
  readonly #entries: Int32Array
  readonly #rows: Int32Array
  readonly #limits: SegmentLimits
  readonly #qsbr: QsbrWriter
  readonly #freeSegments: number[] = []
  /** How many may send under a VNI or key: while there are any, it is known. */
  readonly #senders = new Map<number, number>()
  #nextSegment = 1
  /** Where the table in use begins. */
  #table = 0
  #inUse = 0
  /** Entries that are not empty: in use, or removed and still a bridge for the probes of others. */
  #occupied = 0
  /** Workers may still be reading the other half. */
  #isRebuilding = false

  constructor(memory: SegmentMemory, qsbr: QsbrWriter) {
    this.#entries = new Int32Array(memory.entries)
    this.#rows = new Int32Array(memory.rows)
    this.#limits = { entries: this.#entries.length / ENTRY / 2, segments: this.#rows.length / ROW }
    this.#qsbr = qsbr
  }

  /** A fresh segment's number; undefined when there are none left. */
  allocate(row: SegmentRow): number | undefined {
    const segment =
      this.#freeSegments.pop() ?? (this.#nextSegment < this.#limits.segments ? this.#nextSegment++ : undefined)
    if (segment !== undefined) this.update(segment, row)
    return segment
  }

  update(segment: number, row: SegmentRow): void {
    const at = segment * ROW
    const mac = new DataView(row.mac.buffer, row.mac.byteOffset, 6)
    this.#rows[at + TENANT] = row.tenant
    this.#rows[at + MAC_HIGH] = mac.getUint16(0)
    this.#rows[at + MAC_LOW] = mac.getInt32(2)
    this.#rows[at + ADDRESS4] = row.address4 ? ipv4Number(row.address4) : 0
    const address6 = row.address6 ?? new Uint8Array(16)
    const view = new DataView(address6.buffer, address6.byteOffset, 16)
    for (let i = 0; i < 4; i++) this.#rows[at + ADDRESS6 + i] = view.getInt32(i * 4)
  }

  /** Every entry of the segment has been removed. */
  release(segment: number): void {
    Atomics.store(this.#rows, segment * ROW + OTHERS, NO_SLOT)
    this.#qsbr.retire(() => void this.#freeSegments.push(segment))
  }

  /**
   * Lets `remote` send for the segment. Returns why not: it may already, for another segment, or the table is full.
   */
  admit(
    kind: number,
    id: number,
    remote: IpAddress,
    segment: number,
    replySlot: number,
    role: SenderRole = SenderRole.remote,
  ): string | undefined {
    if (!this.#hasRoom()) return FULL
    if (!this.#enter(kind, id, remote, [segment, replySlot, role]))
      return `${formatAddress(remote)} would send for two segments under ${id}`
    const known = familyOf(kind, 0) * 2 ** 32 + id
    const senders = this.#senders.get(known) ?? 0
    if (senders === 0) this.#enter(kind, id, undefined, [0, 0, 0])
    this.#senders.set(known, senders + 1)
    return undefined
  }

  /**
   * What this neighbour on the segment sends of the kind goes where the slot leads from now on; of sessions, also what all
   * send who are not named. Returns why not.
   */
  setCarried(kind: CarriedKind, segment: number, peer: IpAddress | undefined, slot: number): string | undefined {
    if (!peer) {
      Atomics.store(this.#rows, segment * ROW + OTHERS, slot)
      return undefined
    }
    const at = this.#find(familyOf(kind, peer.length), segment, wordsOf(peer))
    if (at >= 0) Atomics.store(this.#entries, at + REPLY_AT, slot)
    else if (!this.#hasRoom()) return FULL
    else this.#enter(kind, segment, peer, [segment, slot, 0])
    return undefined
  }

  removeCarried(kind: CarriedKind, segment: number, peer: IpAddress | undefined): void {
    if (peer) this.#leave(kind, segment, peer)
    else Atomics.store(this.#rows, segment * ROW + OTHERS, NO_SLOT)
  }

  remove(kind: number, id: number, remote: IpAddress): void {
    this.#leave(kind, id, remote)
    const known = familyOf(kind, 0) * 2 ** 32 + id
    const senders = this.#senders.get(known)! - 1
    this.#senders.set(known, senders)
    if (senders > 0) return
    this.#senders.delete(known)
    this.#leave(kind, id, undefined)
  }

  // `words` are segment, reply slot and role.
  #enter(kind: number, id: number, remote: IpAddress | undefined, words: readonly number[]): boolean {
    const key = wordsOf(remote)
    const family = familyOf(kind, remote?.length ?? 0)
    const at = this.#place(family, id, key)
    if (at < 0) return false
    this.#fill(at, [family, id | 0, ...key, ...words])
    this.#inUse++
    return true
  }

  #fill(at: number, words: readonly number[]): void {
    if (this.#entries[at] === EMPTY) this.#occupied++
    this.#entries.set(words, at + 1)
    Atomics.store(this.#entries, at, USED)
  }

  // For a sender, and for the number that it sends under.
  #hasRoom(): boolean {
    const most = (this.#limits.entries * 3) / 4
    if (this.#occupied + 2 <= most) return true
    // Not for the sake of a few: a rebuild walks the whole table.
    return this.#inUse + 2 <= (most * 7) / 8 && this.#rebuild()
  }

  #rebuild(): boolean {
    if (this.#isRebuilding) this.#qsbr.reclaim()
    if (this.#isRebuilding) return false
    const half = this.#limits.entries * ENTRY
    const before = this.#table
    this.#table = before === 0 ? half : 0
    this.#entries.fill(EMPTY, this.#table, this.#table + half)
    this.#occupied = 0
    for (let at = before; at < before + half; at += ENTRY) {
      if (this.#entries[at] !== USED) continue
      const words = [...this.#entries.subarray(at + 1, at + ENTRY)]
      this.#fill(this.#place(words[0]!, words[1]!, words.slice(2, 6)), words)
    }
    Atomics.store(this.#rows, TABLE, this.#table)
    this.#isRebuilding = true
    this.#qsbr.retire(() => {
      this.#isRebuilding = false
    })
    return true
  }

  #leave(kind: number, id: number, remote: IpAddress | undefined): void {
    const at = this.#find(familyOf(kind, remote?.length ?? 0), id, wordsOf(remote))
    assert(at >= 0, 'a sender that was not admitted')
    Atomics.store(this.#entries, at, REMOVED)
    this.#inUse--
    const table = this.#table
    this.#qsbr.retire(() => table === this.#table && this.#tidy(at))
  }

  // A removed entry is a bridge for the probes of others. With nothing behind it, it is empty again, and so may be those before.
  #tidy(removed: number): void {
    this.#entries[removed + 1] = 0
    const mask = this.#limits.entries - 1
    let i = (removed - this.#table) / ENTRY
    if (this.#entries[this.#table + ((i + 1) & mask) * ENTRY] !== EMPTY) return
    for (let at = removed; this.#entries[at] === REMOVED && this.#entries[at + 1] === 0; ) {
      Atomics.store(this.#entries, at, EMPTY)
      this.#occupied--
      i = (i - 1) & mask
      at = this.#table + i * ENTRY
    }
  }

  #find(kind: number, id: number, key: number[]): number {
    const mask = this.#limits.entries - 1
    for (let i = hashOf(kind, id, key[0]!, key[1]!, key[2]!, key[3]!) & mask; ; i = (i + 1) & mask) {
      const at = this.#table + i * ENTRY
      const state = this.#entries[at]
      if (state === EMPTY) return -1
      if (state === USED && this.#holds(at, kind, id, key)) return at
    }
  }

  // The first place of the probe that is free: empty, or removed and tidied (kind 0).
  #place(kind: number, id: number, key: number[]): number {
    if (this.#find(kind, id, key) >= 0) return -1
    const mask = this.#limits.entries - 1
    for (let i = hashOf(kind, id, key[0]!, key[1]!, key[2]!, key[3]!) & mask; ; i = (i + 1) & mask) {
      const at = this.#table + i * ENTRY
      const state = this.#entries[at]
      if (state === EMPTY || (state === REMOVED && this.#entries[at + 1] === 0)) return at
    }
  }

  #holds(at: number, kind: number, id: number, key: number[]): boolean {
    if (this.#entries[at + 1] !== kind || this.#entries[at + 2] !== (id | 0)) return false
    return key.every((word, i) => this.#entries[at + 3 + i] === word)
  }
}

function wordsOf(address: IpAddress | undefined): number[] {
  if (!address) return [0, 0, 0, 0]
  const view = new DataView(address.buffer, address.byteOffset, address.length)
  return [0, 4, 8, 12].map((at) => (at < address.length ? view.getInt32(at) : 0))
}
