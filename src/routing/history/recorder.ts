/**
 * The work of the history's thread, without the thread: what the session thread tells becomes MRT records and notes. A
 * message is copied once, behind a head that stands ready for its session.
 *
 * The state changes to and from Established are written with the sessions' `up` and `down`, which come in order with the
 * updates; the events that say why come before them.
 */

import { formatAddress, type IpAddress, parseAddress } from '../../base/address.ts'
import { assert } from '../../base/assert.ts'
import { checkAttributes } from '../../wire/bgp/check-attributes.ts'
import { AttributeFacts, attributeContext } from '../../wire/bgp/facts.ts'
import { FAMILY, families, hasFamily } from '../../wire/bgp/family.ts'
import { BGP_HEADER_BYTES, openBody } from '../../wire/bgp/message.ts'
import { encodeNotification } from '../../wire/bgp/notification.ts'
import { encodeRefresh } from '../../wire/bgp/refresh.ts'
import { splitUpdate, UpdateParts } from '../../wire/bgp/update.ts'
import { Reader } from '../../wire/cursor.ts'
import { type MrtSession, messageHead, messageRecord, stampHead, stateRecord } from '../../wire/mrt.ts'
import type { RefreshSaid, SessionDown, SessionUp } from '../bgp/messages.ts'
import type { HostEvent } from '../bgp/session-host.ts'
import type { Gap, ToHistory } from './messages.ts'
import { type Agreed, type Note, noteLine } from './note.ts'
import { SegmentWriter } from './segments.ts'

/** Of records on their way to the file. */
const BUFFER_BYTES = 256 * 1024
/** A record's head with IPv6 addresses, and some. */
const HEAD_BYTES_MAX = 64
const MESSAGE_LENGTH_AT = 16
const NUMBER_MAX = 0xffff
/** Of what a buffer takes in a segment, with the notes that its records make. */
const NOTES_FACTOR = 3
/** When the disk takes nothing: for how long it is left alone. */
const PAUSE_US = 5e6

export interface RecorderOptions {
  readonly directory: string
  readonly size_bytes: number
  /** The process that speaks. */
  readonly node: string
  readonly as: number
  readonly started_us: number
  /** Of the site file: what is known of neighbours whose sessions have not been up. */
  readonly neighbours: readonly KnownNeighbour[]
  /** Nothing is written for a while, and why. */
  readonly failed: (error: Error) => void
}

export interface KnownNeighbour {
  readonly name: string
  readonly as?: number | undefined
  readonly tenant?: string | undefined
}

interface Peer {
  readonly name: string
  readonly remote: IpAddress
  tenant: string | undefined
  as: number
  local: IpAddress
  /** While it is established. */
  up: SessionUp | undefined
  up_us: number
  /** To or from Established, announced: it waits for `up` or `down`. */
  change: HostEvent | undefined
  /** In the segment that is being written; 0 until it is named there. */
  number: number
  /** Heads of its messages, without path identifiers and with them. */
  heads: (Uint8Array | undefined)[]
}

type Lost = Pick<Gap, 'chunks' | 'bytes' | 'events'> & { readonly at_us?: number }
type Change = Pick<HostEvent, 'from' | 'to' | 'reason'>

export class Recorder {
  readonly #options: RecorderOptions
  readonly #segments: SegmentWriter
  #neighbours: ReadonlyMap<string, KnownNeighbour>
  readonly #peers = new Map<string, Peer>()
  readonly #sessions = new Map<number, Peer>()
  readonly #buffer: Uint8Array
  readonly #view: DataView
  #filled = 0
  #nextNumber = 1
  /** A record is written in a segment whose notes say that the speaker began. */
  #hasBegun = false
  /** Not written, because the disk did not take it. */
  #gap: Gap | undefined
  /** Written in the notes of a segment that has no record yet, and goes with them if none can be written. */
  #told: Gap | undefined
  #now_us = 0
  #retryAt_us = 0

  constructor(options: RecorderOptions) {
    this.#options = options
    this.#neighbours = new Map(options.neighbours.map((one) => [one.name, one]))
    const { directory, size_bytes } = options
    this.#segments = new SegmentWriter({ directory, size_bytes, head: () => this.#head() })
    this.#buffer = new Uint8Array(Math.min(BUFFER_BYTES, this.#segments.segmentBytesMax >> 2))
    this.#view = new DataView(this.#buffer.buffer)
  }

  /** Of another site file. Peers of which it says something else than before are named again. */
  setNeighbours(neighbours: readonly KnownNeighbour[]): void {
    this.#neighbours = new Map(neighbours.map((one) => [one.name, one]))
    for (const peer of this.#peers.values()) {
      const known = this.#neighbours.get(peer.name)
      // It has been taken out, and what is still to be told of it is of before.
      if (!known) continue
      const as = peer.up ? peer.as : (known.as ?? peer.as)
      if (peer.tenant === known.tenant && peer.as === as) continue
      peer.tenant = known.tenant
      peer.as = as
      peer.number = 0
      peer.heads = []
    }
  }

  take(message: ToHistory): void {
    this.#now_us = message.kind === 'gap' ? message.until_us : message.at_us
    if (message.kind === 'updates') this.#updates(message)
    else if (message.kind === 'up') this.#up(message.at_us, message.up)
    else if (message.kind === 'down') this.#down(message.at_us, message)
    else if (message.kind === 'refresh') this.#refresh(message.at_us, message)
    else if (message.kind === 'event') this.#event(message.at_us, message.event)
    else {
      this.#lose(message)
      this.flush()
      this.#isReady()
    }
  }

  /** Writes what has been gathered. */
  flush(): void {
    if (this.#filled === 0) return
    const bytes = this.#buffer.subarray(0, this.#filled)
    this.#filled = 0
    // Not when a note was refused since it was made sure of: then it is known already.
    const isWritten = this.#segments.isOpen && this.#attempt(() => this.#segments.write(bytes))
    if (isWritten) {
      this.#hasBegun = true
      this.#told = undefined
    } else this.#lose({ chunks: 1, bytes: bytes.length, events: 0 })
  }

  /** Whatever is wrong with the segment that is being written: what comes goes into another. */
  abandon(): void {
    this.flush()
    this.#segments.abandon()
  }

  close(): void {
    this.flush()
    // The last attempt that there is to say what was lost.
    this.#retryAt_us = 0
    if (this.#gap) this.#isReady()
    this.#attempt(() => this.#segments.close())
  }

  // ---- what is told

  #up(at_us: number, up: SessionUp): void {
    const peer = this.#peerOf(up.peer, up.remote)
    const { change } = peer
    peer.change = undefined
    peer.as = up.negotiated.remoteAs
    peer.local = up.local
    peer.up = up
    peer.up_us = at_us
    peer.heads = []
    this.#sessions.set(up.session, peer)
    this.#state(peer, change?.from ?? 'openConfirm', 'established', at_us)
    if (this.#isReady()) this.#note({ kind: 'agreed', at_us, number: this.#numberOf(peer), ...agreedIn(up) })
  }

  #down(at_us: number, { session, keep = 0, keep_s = 0 }: SessionDown): void {
    const peer = this.#sessions.get(session)
    if (!peer) return
    const { change } = peer
    this.#sessions.delete(session)
    peer.up = undefined
    peer.change = undefined
    this.#change(peer, { from: 'established', to: change?.to ?? 'idle', reason: change?.reason }, at_us)
    if (keep !== 0 && this.#isReady())
      this.#note({ kind: 'kept', at_us, number: this.#numberOf(peer), families: keep, keep_s })
  }

  #refresh(at_us: number, { session, family, subtype }: RefreshSaid): void {
    const peer = this.#sessions.get(session)
    const row = families[family]
    if (peer && row) this.#message(peer, encodeRefresh({ ...row, subtype }), false, at_us)
  }

  #event(at_us: number, event: HostEvent): void {
    const peer = this.#peerOf(event.peer, parseAddress(event.remote)!)
    if (event.from === 'established' || event.to === 'established') peer.change = event
    else this.#change(peer, event, at_us)
  }

  // What one end told the other stands before the change: who reads records alone sees the reason too.
  #change(peer: Peer, { from, to, reason }: Change, at_us: number): void {
    if (reason?.notification) {
      const isOurs = reason.cause !== 'notification'
      this.#message(peer, encodeNotification(reason.notification), isOurs, at_us)
    }
    this.#state(peer, from, to, at_us)
    if (reason && this.#isReady())
      this.#note({ kind: 'reason', at_us, number: this.#numberOf(peer), from, to, reason: reason.sentence })
  }

  /** One without AS paths. */
  #message(peer: Peer, message: Uint8Array, isOurs: boolean, at_us: number): void {
    const make = (session: MrtSession): Uint8Array =>
      messageRecord(session, { as4: true, addPath: false, isOurs }, message, at_us)
    this.#record(peer, HEAD_BYTES_MAX + message.length, make)
  }

  #state(peer: Peer, from: HostEvent['from'], to: HostEvent['to'], at_us: number): void {
    this.#record(peer, HEAD_BYTES_MAX, (session) => stateRecord(session, from, to, at_us))
  }

  #updates({ at_us, memory, runs }: Extract<ToHistory, { kind: 'updates' }>): void {
    if (!this.#isReady()) {
      this.#lose({ chunks: 1, bytes: runs.at(-1)!, events: 0 })
      return
    }
    const bytes = new Uint8Array(memory)
    const view = new DataView(memory)
    for (let i = 0; i < runs.length; i += 3) {
      const peer = this.#sessions.get(runs[i]!)
      if (peer) this.#messages(peer, bytes, view, runs[i + 1]!, runs[i + 2]!, at_us)
    }
  }

  #messages(peer: Peer, bytes: Uint8Array, view: DataView, from: number, to: number, at_us: number): void {
    for (let at = from; at < to; ) {
      const length = view.getUint16(at + MESSAGE_LENGTH_AT)
      assert(length >= BGP_HEADER_BYTES, 'headers in a chunk were checked')
      if (!this.#hasRoom(HEAD_BYTES_MAX + length)) {
        this.#lose({ chunks: 0, bytes: to - at, events: 0 })
        return
      }
      const message = bytes.subarray(at, at + length)
      const head = this.#headOf(peer, message)
      this.#buffer.set(head, this.#filled)
      stampHead(this.#view, this.#filled, head.length, length, at_us)
      this.#buffer.set(message, this.#filled + head.length)
      this.#filled += head.length + length
      at += length
    }
  }

  // ---- records

  #headOf(peer: Peer, message: Uint8Array): Uint8Array {
    const { as4, addPathReceive, families: agreed } = peer.up!.negotiated
    const addPath = addPathReceive !== 0 && hasPathIds(message, addPathReceive, agreed, as4)
    const place = addPath ? 1 : 0
    peer.heads[place] ??= messageHead(this.#sessionOf(peer), { as4, addPath, isOurs: false })
    return peer.heads[place]
  }

  #record(peer: Peer, bytesMax: number, make: (session: MrtSession) => Uint8Array): void {
    if (!this.#hasRoom(bytesMax)) {
      this.#lose({ chunks: 0, bytes: 0, events: 1 })
      return
    }
    const record = make(this.#sessionOf(peer))
    this.#buffer.set(record, this.#filled)
    this.#filled += record.length
  }

  #hasRoom(bytes: number): boolean {
    if (this.#filled + bytes > this.#buffer.length) this.flush()
    return this.#isReady()
  }

  /** There is a segment that the buffer, and the notes that go with it, fit into whole. */
  #isReady(): boolean {
    if (this.#now_us < this.#retryAt_us) return false
    if (this.#filled > 0) return true
    if (!this.#attempt(() => this.#segments.reserve(NOTES_FACTOR * this.#buffer.length))) return false
    return this.#tellGap()
  }

  #tellGap(): boolean {
    const gap = this.#gap && { ...this.#gap, until_us: this.#now_us }
    if (!gap) return true
    if (!this.#note(gap)) return false
    this.#gap = undefined
    this.#told = gap
    return true
  }

  #attempt(run: () => void): boolean {
    try {
      run()
      return true
    } catch (error) {
      this.#retryAt_us = this.#now_us + PAUSE_US
      // A record may be half in it: what is written later goes into another.
      if (this.#segments.abandon() && this.#told) this.#lose(this.#told)
      this.#told = undefined
      this.#options.failed(error as Error)
      return false
    }
  }

  #lose({ at_us = this.#now_us, chunks, bytes, events }: Lost): void {
    const before = this.#gap ?? { at_us, chunks: 0, bytes: 0, events: 0 }
    this.#gap = {
      kind: 'gap',
      at_us: Math.min(before.at_us, at_us),
      until_us: this.#now_us,
      chunks: before.chunks + chunks,
      bytes: before.bytes + bytes,
      events: before.events + events,
    }
  }

  // ---- peers and notes

  #peerOf(name: string, remote: IpAddress): Peer {
    const key = `${name} ${formatAddress(remote)}`
    const known = this.#peers.get(key)
    if (known) return known
    const { as = 0, tenant } = this.#neighbours.get(name) ?? {}
    const local = new Uint8Array(remote.length)
    const peer = { name, remote, tenant, as, local, up: undefined, up_us: 0, change: undefined, number: 0, heads: [] }
    this.#peers.set(key, peer)
    return peer
  }

  #sessionOf(peer: Peer): MrtSession {
    const { as: peerAs, remote, local } = peer
    return { peerAs, localAs: this.#options.as, interfaceIndex: this.#numberOf(peer), peer: remote, local }
  }

  /** Names it in the segment where it is not yet. 0 when there are no numbers left, which its address has to make up for. */
  #numberOf(peer: Peer): number {
    if (peer.number === 0 && this.#nextNumber <= NUMBER_MAX) {
      peer.number = this.#nextNumber++
      this.#note(peerNote(peer))
    }
    return peer.number
  }

  #note(note: Note): boolean {
    return this.#attempt(() => this.#segments.note(noteLine(note)))
  }

  /** What a segment's notes begin with: who is up, so that it can be understood without those before it. */
  #head(): string {
    const { node, as, started_us } = this.#options
    const notes: Note[] = this.#hasBegun ? [] : [{ kind: 'start', at_us: started_us, node, as }]
    this.#nextNumber = 1
    for (const [key, peer] of this.#peers) {
      peer.number = 0
      peer.heads = []
      if (!peer.up && !peer.change) this.#peers.delete(key)
      if (!peer.up || this.#nextNumber > NUMBER_MAX) continue
      peer.number = this.#nextNumber++
      notes.push(peerNote(peer), { kind: 'up', at_us: peer.up_us, number: peer.number, ...agreedIn(peer.up) })
    }
    return notes.map(noteLine).join('')
  }
}

function peerNote({ number, name, remote, tenant }: Peer): Note {
  return { kind: 'peer', number, name, remote: formatAddress(remote), tenant }
}

function agreedIn({ negotiated, handling }: SessionUp): Agreed {
  const { families: agreed, addPathReceive: addPath, extendedNextHop, external, remoteAs } = negotiated
  const { allowAsIn, enforceFirstAs } = handling
  const firstAs = external && enforceFirstAs ? remoteAs : 0
  const forwarding = negotiated.gracefulRestart?.forwarding ?? 0
  return { families: agreed, addPath, extendedNextHop, firstAs, allowAsIn, forwarding }
}

/** Do the prefixes of an UPDATE carry path identifiers, where not all families of the session do (RFC 8050 section 4)? */
function hasPathIds(message: Uint8Array, addPath: number, agreed: number, as4: boolean): boolean {
  if ((addPath & agreed) === agreed) return true
  const from = new Reader(message)
  const parts = new UpdateParts()
  const facts = new AttributeFacts()
  openBody(from, 0, message.length)
  if (!splitUpdate(from, parts)) return false
  checkAttributes(from, parts, attributeContext({ as4, families: agreed, addPath }), facts)
  const { mpReachFamily, mpUnreachFamily } = facts
  const family = mpReachFamily >= 0 ? mpReachFamily : mpUnreachFamily
  return hasFamily(addPath, family >= 0 ? family : FAMILY.ipv4Unicast)
}
