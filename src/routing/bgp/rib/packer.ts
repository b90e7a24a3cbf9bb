/**
 * Packs what a track's members are told into messages, and messages into chunks of shared memory that go to the threads of
 * the sessions as they are. Prefixes that come after one another with the same attributes share a message, and messages
 * for the same peers lie behind one another and are handed over as one run.
 *
 *   chunk   message message message ...; handed over with what was written in it since, and again when there is more
 *   run     who gets it (all members, or all but one, or one) | from | to
 */

import { assert } from '../../../base/assert.ts'
import { families } from '../../../wire/bgp/family.ts'
import { encodeRefresh } from '../../../wire/bgp/refresh.ts'
import { END_OF_RIB_BYTES_MAX, UpdateBuilder, writeEndOfRib } from '../../../wire/bgp/update-builder.ts'
import type { AttributeRewriter, ExportForm } from './attribute-rewriter.ts'
import type { RoutingTable } from './routing-table.ts'
import type { Track } from './track.ts'

/** Large enough that handing one over costs nothing per message, small enough to leave soon. */
const CHUNK_BYTES = 256 * 1024
/** With less room than for some long messages there is a new one. */
const ROOM_BYTES = 64 * 1024

/** A part of a chunk, whole messages, and who gets it: `only` a peer, or all of `audience` but `except`; 0 is nobody. */
export interface Run {
  readonly audience: readonly number[]
  readonly except: number
  readonly only: number
  readonly from: number
  readonly to: number
  readonly messages: number
}

export interface Chunk {
  readonly memory: SharedArrayBuffer
  readonly runs: readonly Run[]
}

export interface PackerOptions {
  /** Takes a full chunk, or what there is when `flush` is called. */
  readonly send: (chunk: Chunk) => void
  /** How many more bytes the peers of the audience can take in. */
  readonly room: (audience: readonly number[]) => number
}

/** What a withdrawn VPN prefix has in the place of its label (RFC 8277 section 2.4), without the bits behind it. */
const WITHDRAWN_LABEL = 0x80000

const Kind = { none: 0, announce: 1, withdraw: 2 } as const

export class Packer {
  readonly #options: PackerOptions
  readonly #builder = new UpdateBuilder()
  #memory = new SharedArrayBuffer(CHUNK_BYTES)
  #bytes = new Uint8Array(this.#memory)
  #at = 0
  #runs: Run[] = []
  // Of the track whose turn it is.
  #table!: RoutingTable
  #form!: ExportForm
  #rewriter!: AttributeRewriter
  #audience: number[] = []
  #room = 0
  // The message that prefixes are being added to.
  #kind: number = Kind.none
  #set = 0
  #source = 0
  // The run that it will belong to.
  #runFrom = 0
  #runExcept = 0
  #runMessages = 0

  constructor(options: PackerOptions) {
    this.#options = options
    this.#builder.target(this.#bytes)
  }

  begin(track: Track, form: ExportForm, rewriter: AttributeRewriter): void {
    this.#table = track.table
    this.#form = form
    this.#rewriter = rewriter
    this.#audience = [...track.members]
    this.#room = this.#options.room(this.#audience)
    this.#runFrom = this.#at
    this.#runExcept = 0
    this.#set = 0
    this.#builder.bytesMax = form.messageBytesMax
    this.#builder.addPath = form.addPath > 0 ? 1 << form.family : 0
  }

  /** Counts what was written so far, give or take the messages of one set. */
  hasRoom(): boolean {
    return this.#room > 0
  }

  /** False when no message of these peers could hold the attributes and a prefix (RFC 8654 section 4): nothing was written. */
  announce(prefix: number, set: number, source: number, reflectedFrom: number, label: number, pathId = 0): boolean {
    if (this.#kind !== Kind.announce || this.#set !== set || this.#source !== source) {
      this.#open(Kind.announce, source)
      this.#rewriter.write(set, this.#form, reflectedFrom)
      this.#set = set
      if (!this.#beginMessages()) {
        this.#kind = Kind.none
        return false
      }
    }
    this.#add(prefix, label, pathId)
    return true
  }

  /** For all but the peer whose route it was. */
  withdraw(prefix: number, source: number, pathId = 0): void {
    if (this.#kind !== Kind.withdraw || this.#source !== source) {
      this.#open(Kind.withdraw, source)
      this.#beginMessages()
    }
    this.#add(prefix, WITHDRAWN_LABEL, pathId)
  }

  /** For one peer alone. */
  withdrawFrom(prefix: number, only: number): void {
    this.#finishMessages()
    this.#closeRun()
    this.#kind = Kind.withdraw
    this.#beginMessages()
    this.#add(prefix, WITHDRAWN_LABEL, 0)
    this.#finishMessages()
    this.#runs.push({ audience: [], except: 0, only, ...this.#takeRun() })
  }

  endOfRib(peers: ReadonlySet<number>): void {
    this.#finishMessages()
    this.#closeRun()
    if (this.#at + END_OF_RIB_BYTES_MAX > CHUNK_BYTES) this.flush(true)
    this.#at = writeEndOfRib(this.#bytes, this.#at, this.#form.family)
    this.#runMessages = 1
    this.#runs.push({ audience: [...peers], except: 0, only: 0, ...this.#takeRun() })
  }

  /** RFC 7313 section 3.2: where all routes of the family begin to come again, and where they end. */
  refreshMark(peers: ReadonlySet<number>, subtype: number): void {
    this.#finishMessages()
    this.#closeRun()
    const { afi, safi } = families[this.#form.family]!
    const message = encodeRefresh({ afi, safi, subtype })
    if (this.#at + message.length > CHUNK_BYTES) this.flush(true)
    this.#bytes.set(message, this.#at)
    this.#at += message.length
    this.#runMessages = 1
    this.#runs.push({ audience: [...peers], except: 0, only: 0, ...this.#takeRun() })
  }

  end(): void {
    this.#finishMessages()
    this.#closeRun()
  }

  /** Hands over what is there. Between tracks, or by itself. Goes on in the same chunk while there is room in it. */
  flush(isFull = CHUNK_BYTES - this.#at < ROOM_BYTES): void {
    if (this.#runs.length > 0) this.#options.send({ memory: this.#memory, runs: this.#runs })
    this.#runs = []
    this.#runFrom = this.#at
    if (!isFull) return
    this.#memory = new SharedArrayBuffer(CHUNK_BYTES)
    this.#bytes = new Uint8Array(this.#memory)
    this.#builder.target(this.#bytes)
    this.#at = this.#runFrom = 0
  }

  #add(prefix: number, label: number, pathId: number): void {
    if (this.#table.prefixes.write(this.#builder, prefix, label, pathId)) return
    // The chunk is full: it goes, and the next one goes on with the same attributes.
    const kind = this.#kind
    this.#finishMessages()
    this.#closeRun(this.#source)
    this.flush(true)
    this.#kind = kind
    this.#runExcept = this.#source
    this.#beginMessages()
    assert(this.#table.prefixes.write(this.#builder, prefix, label, pathId), 'a chunk holds a message')
  }

  #beginMessages(): boolean {
    const { out, length, nextHop, nextHopLength } = this.#rewriter
    const { family } = this.#form
    if (this.#kind === Kind.withdraw) return this.#builder.begin(this.#at, family, undefined)
    return this.#builder.begin(this.#at, family, out, nextHopLength > 0 ? nextHop : undefined, length, nextHopLength)
  }

  #finishMessages(): void {
    if (this.#kind === Kind.none) return
    const before = this.#at
    this.#at = this.#builder.finish()
    this.#runMessages += this.#builder.messages
    this.#room -= this.#at - before
    this.#kind = Kind.none
  }

  // Messages of that kind, which go past the peer that is their source.
  #open(kind: number, source: number): void {
    this.#finishMessages()
    if (source !== this.#runExcept) this.#closeRun()
    this.#runExcept = source
    this.#kind = kind
    this.#source = source
  }

  #closeRun(except = this.#runExcept): void {
    if (this.#at > this.#runFrom) this.#runs.push({ audience: this.#audience, except, only: 0, ...this.#takeRun() })
    this.#runExcept = 0
  }

  // What was written since the last run.
  #takeRun(): { from: number; to: number; messages: number } {
    const run = { from: this.#runFrom, to: this.#at, messages: this.#runMessages }
    this.#runFrom = this.#at
    this.#runMessages = 0
    return run
  }
}
