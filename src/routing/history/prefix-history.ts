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
import { BGP_HEADER_BYTES, MESSAGE } from '../../wire/bgp/message.ts'
import { formatNextHop, type MpReach, mpReach, mpUnreach } from '../../wire/bgp/multiprotocol.ts'
import { decodeUpdate, type PathAttribute } from '../../wire/bgp/update-message.ts'
import { type MrtMessage, MrtReader, type MrtRecord, type MrtStateChange } from '../../wire/mrt.ts'
import { type Agreed, agreedOf, type Note, readNotes } from './note.ts'
import { keyOf, type OlderSession, OlderSessions } from './older-sessions.ts'
import { contextOf, type Mention, PrefixFinder } from './prefix-finder.ts'
import { type Segment, segmentsIn } from './segments.ts'

export interface HistoryPeer {
  readonly name: string
  readonly remote: string
  readonly tenant?: string | undefined
}

export interface RouteEvent {
  readonly at_us: number
  readonly peer: HistoryPeer
  /** `rejected`: announced, and not used. `speaker started`: it had ended before, nobody wrote when, and all sessions with it. */
  readonly what: 'announced' | 'withdrawn' | 'rejected' | 'session down' | 'speaker started'
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

/** Throws what the file system says when there is no such directory. */
export function readPrefixHistory(
  directory: string,
  prefix: Prefix,
  until_us = Number.POSITIVE_INFINITY,
): PrefixHistory {
  const walk = new Walk(prefix, until_us)
  for (const segment of segmentsIn(directory)) walk.segment(segment)
  return walk
}

class Walk implements PrefixHistory {
  readonly events: RouteEvent[] = []
  readonly gaps: HistoryGap[] = []
  begin_us: number | undefined
  readonly #prefix: Prefix
  readonly #until_us: number
  /** Routes that are held, by peer and path. */
  readonly #held = new Map<string, RouteEvent>()
  /** By peer. */
  readonly #agreed = new Map<string, Agreed>()
  readonly #older: OlderSessions
  // Of the segment that is being read.
  #peers = new Map<number, HistoryPeer>()
  #reasons = new Map<string, string>()
  #agreements = new Map<string, Agreed>()
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
      if (record.kind === 'state') this.#state(record)
      else if (places.isIn(record.messageAt, record.messageEnd)) this.#message(record, finder, bytes)
    }
  }

  #note(note: Note): void {
    if (note.kind === 'peer') {
      const { number, name, remote, tenant } = note
      this.#peers.set(number, { name, remote, tenant })
    } else if (note.kind === 'up') this.#wasUp(note)
    else if (note.kind === 'agreed') this.#agreements.set(`${note.number} ${note.at_us}`, note)
    else if (note.kind === 'reason') this.#reasons.set(`${note.number} ${note.at_us} ${note.from}`, note.reason)
    else if (note.kind === 'gap' && note.at_us <= this.#until_us) this.gaps.push(note)
    else if (note.kind === 'start') this.#started(note.at_us)
  }

  #started(at_us: number): void {
    this.begin_us ??= at_us
    if (at_us > this.#until_us) return
    const record = `${this.#file}:0`
    const ends = Array.from(this.#held.values(), ({ peer, pathId, distinguisher }): RouteEvent => {
      return { at_us, peer, what: 'speaker started', pathId, distinguisher, record }
    })
    this.events.push(...ends)
    this.#held.clear()
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
    const { at_us } = record
    const peer = this.#peerOf(record)
    if (record.to === 'established') {
      this.#takeAgreed(peer, this.#agreements.get(`${record.interfaceIndex} ${at_us}`))
      this.#older.up(peer)
    }
    if (record.from !== 'established') return
    this.#older.down(peer)
    const reason = this.#reasons.get(`${record.interfaceIndex} ${at_us} established`)
    const place = this.#placeOf(record)
    for (const [key, { peer: its, pathId, distinguisher }] of this.#held) {
      if (its.name !== peer.name || its.remote !== peer.remote) continue
      this.#held.delete(key)
      this.events.push({ at_us, peer, what: 'session down', pathId, distinguisher, reason, record: place })
    }
  }

  #message(record: MrtMessage, finder: PrefixFinder, bytes: Uint8Array): void {
    if (record.isOurs || bytes[record.messageAt + TYPE_AT] !== MESSAGE.update) return
    const agreed = this.#agreed.get(keyOf(this.#peerOf(record)))
    for (const mention of finder.mentions(record, agreed)) this.#mention(record, mention, finder, agreed)
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
    const key = JSON.stringify([peer.name, peer.remote, pathId, distinguisher])
    if (what === 'withdrawn') this.#held.delete(key)
    else this.#held.set(key, event)
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
