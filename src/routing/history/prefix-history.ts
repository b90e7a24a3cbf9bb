/**
 * What a history says of one prefix: every update that changed a peer's route to it, and every session that took one with
 * it. Reads the segments from the first to the last; needs nobody who speaks BGP.
 */

import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { formatAddress, type Prefix } from '../../base/address.ts'
import {
  asPath,
  communities,
  extendedCommunities,
  largeCommunities,
  localPref,
  med,
  nextHop,
  origin,
} from '../../wire/bgp/attribute.ts'
import { familyOf } from '../../wire/bgp/family.ts'
import { BGP_HEADER_BYTES, MESSAGE } from '../../wire/bgp/message.ts'
import { formatNextHop, type MpReach, mpReach, mpUnreach } from '../../wire/bgp/multiprotocol.ts'
import { isNotification } from '../../wire/bgp/notification.ts'
import { decodeRefresh } from '../../wire/bgp/refresh.ts'
import { decodeUpdate, type PathAttribute } from '../../wire/bgp/update-message.ts'
import { type MrtMessage, MrtReader, type MrtRecord, type MrtStateChange } from '../../wire/mrt.ts'
import { HeldRoutes, type Kept } from './held-routes.ts'
import { type Agreed, agreedOf, type Note, readNotes } from './note.ts'
import { keyOf, type OlderSession, OlderSessions } from './older-sessions.ts'
import { ALL_FAMILIES, contextOf, type Mention, PrefixFinder } from './prefix-finder.ts'
import { type Segment, segmentsIn } from './segments.ts'

export interface HistoryPeer {
  readonly name: string
  readonly remote: string
  readonly tenant?: string | undefined
}

export interface RouteEvent {
  readonly at_us: number
  readonly peer: HistoryPeer
  /**
   * `rejected`: announced, and not used. `kept`: its session is gone, and is to come back. `purged`: it is gone without a
   * word of its own. `speaker started`: it had ended before, nobody wrote when, and all sessions with it.
   */
  readonly what: 'announced' | 'withdrawn' | 'rejected' | 'kept' | 'purged' | 'session down' | 'speaker started'
  readonly pathId?: number | undefined
  readonly distinguisher?: string | undefined
  /** Of a route that was announced, for people. */
  readonly route?: Readonly<Record<string, string>> | undefined
  readonly reason?: string | undefined
  /** The record that says so: a segment's file, and where in it. */
  readonly record: string
}

export type HistoryGap = Extract<Note, { kind: 'gap' }>

export interface PrefixHistory {
  /** In the order in which they came. */
  readonly events: readonly RouteEvent[]
  /** Of what came in between nothing is known. */
  readonly gaps: readonly HistoryGap[]
  /** Of what was before nothing is known; undefined when nothing was recorded. */
  readonly begin_us: number | undefined
  /** Whose routes of before it may hold still. */
  readonly older: readonly OlderSession[]
}

/**
 * Up to a time, or all of it and what has come to pass since, such as that nothing is kept for longer than it may be. Throws
 * what the file system says when there is no such directory.
 */
export function readPrefixHistory(
  directory: string,
  prefix: Prefix,
  until_us: number | undefined,
  now_us: number,
): PrefixHistory {
  const walk = new Walk(prefix, until_us ?? Number.POSITIVE_INFINITY)
  for (const segment of segmentsIn(directory)) walk.segment(segment)
  walk.ends(until_us ?? now_us)
  return walk
}

class Walk implements PrefixHistory {
  readonly events: RouteEvent[] = []
  readonly gaps: HistoryGap[] = []
  begin_us: number | undefined
  readonly #prefix: Prefix
  readonly #until_us: number
  readonly #held = new HeldRoutes((event) => this.events.push(event))
  /** Peers whose routes were kept over a session's end. */
  readonly #returning = new Set<string>()
  /** By peer. */
  readonly #agreed = new Map<string, Agreed>()
  readonly #older: OlderSessions
  // Of the segment that is being read.
  #peers = new Map<number, HistoryPeer>()
  #reasons = new Map<string, string>()
  #agreements = new Map<string, Agreed>()
  #kept = new Map<string, Kept>()
  #file = ''

  constructor(prefix: Prefix, until_us: number) {
    this.#prefix = prefix
    this.#until_us = until_us
    this.#older = new OlderSessions(prefix.address.length === 4)
  }

  get older(): readonly OlderSession[] {
    return this.#older.list
  }

  segment({ records, notes }: Segment): void {
    const bytes = readOrEmpty(records)
    this.#file = basename(records)
    this.#peers = new Map()
    this.#reasons = new Map()
    this.#agreements = new Map()
    this.#kept = new Map()
    this.#older.segmentBegins()
    for (const note of readNotes(new TextDecoder().decode(readOrEmpty(notes)))) this.#note(note)
    const reader = new MrtReader(bytes)
    const finder = new PrefixFinder(bytes, this.#prefix)
    const places = new Occurrences(bytes, this.#prefix)
    for (let record = reader.next(); record; record = reader.next()) {
      this.begin_us ??= record.at_us
      // No end: a wall clock may have been ahead and set back, and what comes behind is of before then again.
      if (record.at_us > this.#until_us) continue
      this.#older.firstRecord(record.at_us)
      this.#held.timePasses(record.at_us)
      if (record.kind === 'state') this.#state(record)
      else if (!record.isOurs) this.#message(record, finder, places, bytes)
    }
  }

  ends(now_us: number): void {
    this.#held.timePasses(now_us)
  }

  #note(note: Note): void {
    if (note.kind === 'peer') {
      const { number, name, remote, tenant } = note
      this.#peers.set(number, { name, remote, tenant })
    } else if (note.kind === 'up') this.#wasUp(note)
    else if (note.kind === 'agreed') this.#agreements.set(`${note.number} ${note.at_us}`, note)
    else if (note.kind === 'kept') this.#kept.set(`${note.number} ${note.at_us}`, note)
    else if (note.kind === 'reason') this.#reasons.set(`${note.number} ${note.at_us} ${note.from}`, note.reason)
    else if (note.kind === 'gap' && note.at_us <= this.#until_us) this.gaps.push(note)
    else if (note.kind === 'start') this.#started(note.at_us)
  }

  #started(at_us: number): void {
    this.begin_us ??= at_us
    if (at_us > this.#until_us) return
    this.#held.started(at_us, `${this.#file}:0`)
    this.#returning.clear()
    this.#older.started()
  }

  #wasUp(note: Extract<Note, { kind: 'up' }>): void {
    const peer = this.#peers.get(note.number)
    if (!peer) return
    const agreed = agreedOf(note)
    this.#takeAgreed(peer, agreed)
    this.#older.wasUp(peer, note.at_us, agreed)
  }

  #takeAgreed(peer: HistoryPeer, agreed: Agreed | undefined): void {
    if (agreed) this.#agreed.set(keyOf(peer), agreed)
    else this.#agreed.delete(keyOf(peer))
  }

  #state(record: MrtStateChange): void {
    const { at_us, interfaceIndex: number } = record
    const peer = this.#peerOf(record)
    const place = this.#placeOf(record)
    if (record.to === 'established') {
      const agreed = this.#agreements.get(`${number} ${at_us}`)
      this.#takeAgreed(peer, agreed)
      this.#older.up(peer)
      this.#held.up(peer, agreed?.forwarding ?? ALL_FAMILIES, at_us, place)
    }
    if (record.from !== 'established') return
    const reason = this.#reasons.get(`${number} ${at_us} established`)
    const kept = this.#kept.get(`${number} ${at_us}`)
    this.#older.down(peer, kept !== undefined)
    this.#held.down(peer, kept, { at_us, reason, record: place })
    if (kept) this.#returning.add(keyOf(peer))
    else this.#returning.delete(keyOf(peer))
  }

  #message(record: MrtMessage, finder: PrefixFinder, places: Occurrences, bytes: Uint8Array): void {
    const { messageAt, messageEnd } = record
    const type = bytes[messageAt + TYPE_AT]
    if (type === MESSAGE.routeRefresh) this.#refresh(record, finder)
    if (type !== MESSAGE.update) return
    const peer = this.#peerOf(record)
    const agreed = this.#agreed.get(keyOf(peer))
    if (places.isIn(messageAt, messageEnd))
      for (const mention of finder.mentions(record, agreed)) this.#mention(record, mention, finder, agreed)
    if (messageEnd - messageAt > END_OF_RIB_BYTES_MAX || !this.#returning.has(keyOf(peer))) return
    const family = finder.endOfRib(record, agreed)
    if (family < 0) return
    this.#held.endOfRib(peer, family, record.at_us, this.#placeOf(record))
    this.#older.toldAll(peer, family)
  }

  #refresh(record: MrtMessage, { from }: PrefixFinder): void {
    from.window(record.messageAt + BGP_HEADER_BYTES, record.messageEnd)
    const refresh = decodeRefresh(from)
    if (isNotification(refresh)) return
    const family = familyOf(refresh.afi, refresh.safi)
    this.#held.refresh(this.#peerOf(record), family, refresh.subtype, record.at_us, this.#placeOf(record))
  }

  #mention(record: MrtMessage, mention: Mention, finder: PrefixFinder, agreed: Agreed | undefined): void {
    const { what, pathId, distinguisher, reason } = mention
    const peer = this.#peerOf(record)
    const event: RouteEvent = {
      at_us: record.at_us,
      peer,
      what,
      pathId,
      distinguisher,
      ...(what !== 'withdrawn' && { route: routeOf(record, mention, finder, agreed) }),
      ...(reason !== undefined && { reason }),
      record: this.#placeOf(record),
    }
    this.events.push(event)
    this.#older.mentioned(peer, pathId !== undefined || distinguisher !== undefined)
    this.#held.told(event, mention.family)
  }

  #peerOf({ interfaceIndex, peer }: MrtRecord): HistoryPeer {
    return this.#peers.get(interfaceIndex) ?? { name: formatAddress(peer), remote: formatAddress(peer) }
  }

  #placeOf({ recordAt }: MrtRecord): string {
    return `${this.#file}:${recordAt}`
  }
}

/**
 * Where a prefix may stand: its whole bytes, wherever they are. Most messages have not got them, and to find that out so is a
 * hundred times faster than to read their attributes.
 */
class Occurrences {
  readonly #bytes: Buffer
  readonly #pattern: Uint8Array
  #next = 0

  constructor(bytes: Uint8Array, { address, length }: Prefix) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#pattern = address.subarray(0, length >> 3)
  }

  /** Asked of ranges that follow each other. */
  isIn(at: number, end: number): boolean {
    if (this.#pattern.length === 0) return true
    if (this.#next < at) {
      const found = this.#bytes.indexOf(this.#pattern, at)
      this.#next = found < 0 ? Number.POSITIVE_INFINITY : found
    }
    return this.#next < end
  }
}

/** Of a BGP message. */
const TYPE_AT = 18
/** MP_UNREACH_NLRI alone, with a length of two octets. */
const END_OF_RIB_BYTES_MAX = 30

/** As `gatehouse explain route` names them; others by their own names. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [asPath.code, 'AS path'],
  [nextHop.code, 'next hop'],
  [origin.code, 'origin'],
  [med.code, 'MED'],
  [localPref.code, 'local preference'],
  [communities.code, 'communities'],
  [extendedCommunities.code, 'extended communities'],
  [largeCommunities.code, 'large communities'],
])

function routeOf(
  record: MrtMessage,
  { isMultiprotocol }: Mention,
  { from }: PrefixFinder,
  agreed: Agreed | undefined,
): RouteEvent['route'] {
  from.window(record.messageAt + BGP_HEADER_BYTES, record.messageEnd)
  const update = decodeUpdate(from, contextOf(record, agreed))
  // A message may have routes of two families, each with a next hop of its own.
  const foreign = isMultiprotocol ? nextHop.code : mpReach.code
  return update && Object.fromEntries(update.attributes.filter(({ row }) => row.code !== foreign).flatMap(shown))
}

function shown({ row, value }: PathAttribute): [string, string][] {
  if (row.code === mpUnreach.code || value === undefined) return []
  if (row.code === mpReach.code) {
    const { safi, nextHop: via } = value as MpReach
    return [['next hop', formatNextHop(safi, via)]]
  }
  return [[NAMES.get(row.code) ?? row.name, row.print(value) || 'empty']]
}

/** Gone since it was listed: it was the oldest, and there was too much. */
function readOrEmpty(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Uint8Array(0)
    throw error
  }
}
