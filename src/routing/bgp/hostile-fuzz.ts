/**
 * Mutated updates through the decoder, the tables and out again: external and internal peers of every family, with and
 * without path identifiers, that are reset by what they send and come back. Nothing throws, what goes out is sound, and when
 * all are gone nothing of them is left.
 */

import { deepEqual, ok } from 'node:assert/strict'
import { ManualClock } from '../../base/clock.ts'
import { Random } from '../../base/random.ts'
import { checkAttributes } from '../../wire/bgp/check-attributes.ts'
import { AttributeFacts, attributeContext, OUTCOME } from '../../wire/bgp/facts.ts'
import { EXTENDED_MESSAGE_BYTES_MAX, MESSAGE, openBody } from '../../wire/bgp/message.ts'
import { corpus, mutated } from '../../wire/bgp/mutations.ts'
import { splitUpdate, UpdateParts } from '../../wire/bgp/update.ts'
import { Reader } from '../../wire/cursor.ts'
import { type OutChunk, plainHandling, plainNegotiated, plainSettings, type SessionUp } from './messages.ts'
import { RouteEngine } from './route-engine.ts'

const LOCAL_AS = 65_001
const PEERS = 8
const ALL_FAMILIES = 0b1111
/** Messages of one peer between two looks at another. */
const RUN_MAX = 32
/** What goes out is read again at every so many chunks: it is many times what comes in. */
const READ_EVERY = 64
const updates = corpus.filter((message) => message[18] === MESSAGE.update)

interface Peer {
  session: number
  readonly external: boolean
  readonly addPath: number
  readonly as4: boolean
}

export function fuzzRoutes(messages: number, seed: number): { resets: number } {
  const random = new Random(seed)
  const engine = new Hostile(random)
  for (let sent = 0; sent < messages; ) sent += engine.run()
  engine.end()
  return { resets: engine.resets }
}

class Hostile {
  resets = 0
  readonly #random: Random
  readonly #peers: Peer[]
  readonly #reset = new Set<number>()
  #next = 1
  #chunks = 0
  readonly #engine: RouteEngine

  constructor(random: Random) {
    this.#random = random
    this.#engine = new RouteEngine({
      settings: {
        ...plainSettings,
        ...{ origin: 'routing-1', tenants: [[7, 'acme']], multipath: 4 },
        targets: [
          {
            vrf: 7,
            distinguisher: { high: LOCAL_AS, low: 7 },
            imports: [{ high: 0x0002_fde9, low: 1 }],
            exports: [{ high: 0x0002_fde9, low: 2 }],
            label: 3,
          },
        ],
        aggregates: [{ vrf: 0, prefix: { address: Uint8Array.of(10, 0, 0, 0), length: 8 }, summaryOnly: false }],
      },
      clock: new ManualClock(),
      send: (message) => {
        if (message.kind === 'failed') this.#reset.add(message.session)
        if (message.kind === 'chunk' && ++this.#chunks % READ_EVERY === 0) readSound(message)
      },
      publish: { room: () => true, send: () => {}, now_s: () => 0 },
      pace: () => ({ received: 0, waiting: 0 }),
    })
    this.#peers = Array.from({ length: PEERS }, (_, i) => ({
      session: 0,
      external: i % 2 === 0,
      addPath: i % 4 < 2 ? 0 : ALL_FAMILIES,
      as4: i !== PEERS - 1,
    }))
    for (const peer of this.#peers) this.#up(peer)
  }

  /** Some messages of one peer; returns how many. */
  run(): number {
    const random = this.#random
    const peer = random.pick(this.#peers)
    const messages = Array.from({ length: 1 + random.below(RUN_MAX) }, () => {
      const sample = random.pick(updates)
      return random.chance(0.1) ? sample : mutated(sample, random)
    }).filter((message) => message[18] === MESSAGE.update)
    // The session thread hands over whole messages, whose headers it has checked.
    for (const message of messages) new DataView(message.buffer, message.byteOffset).setUint16(16, message.length)
    const memory = new SharedArrayBuffer(messages.reduce((sum, { length }) => sum + length, 0) + 1)
    const bytes = new Uint8Array(memory)
    let end = 0
    for (const message of messages) {
      bytes.set(message, end)
      end += message.length
    }
    this.#engine.take({ kind: 'updates', memory, runs: Int32Array.of(peer.session, 0, end) })
    this.#settle()
    if (this.#reset.has(peer.session) || random.chance(0.001)) this.#restart(peer)
    return messages.length
  }

  end(): void {
    for (const { session } of this.#peers) this.#engine.take({ kind: 'down', session })
    this.#settle()
    const { sessions, prefixes, paths } = this.#engine.counts()
    // The summary's own prefix stays.
    deepEqual({ sessions, prefixes, paths }, { sessions: 0, prefixes: 1, paths: 0 })
  }

  #settle(): void {
    while (this.#engine.step());
  }

  #restart(peer: Peer): void {
    if (this.#reset.delete(peer.session)) this.resets++
    this.#engine.take({ kind: 'down', session: peer.session })
    this.#up(peer)
    this.#settle()
  }

  #up(peer: Peer): void {
    const { external, addPath, as4 } = peer
    const number = 1 + this.#peers.indexOf(peer)
    peer.session = this.#next++
    const up: SessionUp = {
      kind: 'up',
      session: peer.session,
      slot: number,
      peer: `peer-${number}`,
      local: Uint8Array.of(192, 0, 2, 1),
      remote: Uint8Array.of(192, 0, 2, 1 + number),
      negotiated: {
        ...plainNegotiated,
        ...{
          remoteAs: external ? 65_100 + number : LOCAL_AS,
          remoteId: 1 + number,
          external,
          as4,
          enhancedRefresh: true,
        },
        ...{ families: ALL_FAMILIES, addPathReceive: addPath, addPathSend: addPath, extendedNextHop: 0b0101 },
        ...{ receiveBytesMax: EXTENDED_MESSAGE_BYTES_MAX, sendBytesMax: EXTENDED_MESSAGE_BYTES_MAX },
      },
      handling: { ...plainHandling, addPathSend: addPath === 0 ? 0 : 4, reflectorClient: !external && as4 },
    }
    this.#engine.take(up)
  }
}

const facts = new AttributeFacts()
const parts = new UpdateParts()
const contexts = [0, ALL_FAMILIES].map((addPath) =>
  attributeContext({ external: false, families: ALL_FAMILIES, extendedNextHop: 0b0101, addPath, aigp: true }),
)

/** Every update that goes out is one that we would take, in the form of one of the peers. */
function readSound({ memory, runs }: OutChunk): void {
  const reader = new Reader(new Uint8Array(memory))
  const view = new DataView(memory)
  for (const { from, to } of runs)
    for (let at = from; at < to; at += view.getUint16(at + 16)) {
      if (view.getUint8(at + 18) !== MESSAGE.update) continue
      const isSound = contexts.some((context) => {
        openBody(reader, at, view.getUint16(at + 16))
        return splitUpdate(reader, parts) && checkAttributes(reader, parts, context, facts) <= OUTCOME.discarded
      })
      ok(isSound, Buffer.from(new Uint8Array(memory, at, view.getUint16(at + 16))).toString('hex'))
    }
}
