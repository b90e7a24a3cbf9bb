/** A history as tests make it: sessions and updates told in words, recorded on disk, without threads and sockets. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAddress, parsePrefix } from '../../base/address.ts'
import { asPath, med, nextHop, origin } from '../../wire/bgp/attribute.ts'
import { AFI, FAMILY, familyBit, SAFI } from '../../wire/bgp/family.ts'
import { MESSAGE, messageOf } from '../../wire/bgp/message.ts'
import { mpReach, mpUnreach } from '../../wire/bgp/multiprotocol.ts'
import { encodeNlri } from '../../wire/bgp/nlri.ts'
import { encodeAttribute } from '../../wire/bgp/update-message.ts'
import { Writer } from '../../wire/cursor.ts'
import { MrtReader, type MrtRecord } from '../../wire/mrt.ts'
import { plainHandling, type RouteHandling, type SessionDown } from '../bgp/messages.ts'
import type { Down } from '../bgp/session/down.ts'
import type { Negotiated } from '../bgp/session/negotiate.ts'
import type { State } from '../bgp/session/states.ts'
import { type Note, readNotes } from './note.ts'
import { type PrefixHistory, readPrefixHistory } from './prefix-history.ts'
import { Recorder, type RecorderOptions } from './recorder.ts'
import { segmentsIn } from './segments.ts'

export const START_us = 1_790_000_000_000_000
const BOTH = familyBit(FAMILY.ipv4Unicast) | familyBit(FAMILY.ipv6Unicast)

const negotiated: Negotiated = {
  ...{ remoteAs: 65_002, remoteId: 1, external: true, as4: true, holdTime_s: 90, families: BOTH },
  ...{ addPathReceive: 0, addPathSend: 0, extendedNextHop: 0, receiveBytesMax: 4096, sendBytesMax: 4096 },
  ...{ refresh: true, enhancedRefresh: true },
}

export interface UpdateText {
  readonly announce?: readonly string[]
  readonly withdraw?: readonly string[]
  /** Of what is announced. */
  readonly path?: readonly number[]
  readonly nextHop?: string
  readonly med?: number
  /** Of all prefixes, where identifiers were agreed on. */
  readonly pathId?: number
  /** Two octets an AS number. */
  readonly as2?: boolean
}

/** A whole message: IPv4 prefixes as RFC 4271 has them, IPv6 as RFC 4760 does. All of one address family. */
export function updateOf(told: UpdateText): Uint8Array {
  const { announce = [], withdraw = [], path = [65_002], nextHop: via, med: metric, pathId, as2 = false } = told
  const is6 = [...announce, ...withdraw].some((text) => text.includes(':'))
  const nlri = (texts: readonly string[]): Uint8Array => {
    const list = texts.map((text) => ({ prefix: parsePrefix(text)!, ...(pathId !== undefined && { pathId }) }))
    return encodeNlri(is6 ? FAMILY.ipv6Unicast : FAMILY.ipv4Unicast, list, pathId !== undefined)
  }
  const list = new Writer()
  if (announce.length > 0) {
    encodeAttribute(list, origin, 0)
    encodeAttribute(list, asPath, [{ type: 2, numbers: path }], !as2)
    if (!is6) encodeAttribute(list, nextHop, parseAddress(via ?? '10.0.0.2')!)
    if (metric !== undefined) encodeAttribute(list, med, metric)
  }
  const family = { afi: AFI.ipv6, safi: SAFI.unicast }
  if (is6 && announce.length > 0)
    encodeAttribute(list, mpReach, { ...family, nextHop: parseAddress(via ?? '2001:db8::2')!, nlri: nlri(announce) })
  if (is6 && withdraw.length > 0) encodeAttribute(list, mpUnreach, { ...family, nlri: nlri(withdraw) })
  const attributes = list.finish()
  const out = new Writer()
  for (const part of [is6 ? new Uint8Array(0) : nlri(withdraw), attributes]) {
    out.u16(part.length)
    out.bytes(part)
  }
  if (!is6) out.bytes(nlri(announce))
  return messageOf(MESSAGE.update, out.finish())
}

export class Diary {
  readonly directory: string
  readonly failures: string[] = []
  /** Moves on by a second with everything that is told. */
  now_us = START_us
  readonly #options: RecorderOptions
  readonly #numbers = new Map<string, number>()
  #recorder: Recorder
  #nextSession = 1

  constructor(options: Partial<RecorderOptions> = {}) {
    this.directory = options.directory ?? mkdtempSync(join(tmpdir(), 'gatehouse-history-'))
    this.#options = {
      ...{ directory: this.directory, size_bytes: 256 << 20, node: 'routing', as: 65_001, started_us: START_us },
      neighbours: [
        { name: 'transit', as: 65_002 },
        { name: 'acme-dc', as: 65_100, tenant: 'acme' },
      ],
      failed: (error) => void this.failures.push(error.message),
      ...options,
    }
    this.#recorder = new Recorder(this.#options)
  }

  get recorder(): Recorder {
    return this.#recorder
  }

  up(peer: string, remote: string, over: Partial<Negotiated> = {}, handled: Partial<RouteHandling> = {}): void {
    const bytes = parseAddress(remote)!
    this.#event(peer, remote, 'openConfirm', 'established')
    const session = this.#nextSession++
    this.#numbers.set(`${peer} ${remote}`, session)
    this.#recorder.take({
      kind: 'up',
      at_us: this.now_us,
      up: {
        ...{ kind: 'up', session, slot: 0, peer, remote: bytes, negotiated: { ...negotiated, ...over } },
        local: parseAddress(bytes.length === 4 ? '10.0.0.1' : '2001:db8::1')!,
        handling: { ...plainHandling, ...handled },
      },
    })
  }

  down(peer: string, remote: string, reason?: Down, kept: Pick<SessionDown, 'keep' | 'keep_s'> = {}): void {
    this.#event(peer, remote, 'established', 'idle', reason)
    const session = this.#numbers.get(`${peer} ${remote}`)!
    this.#recorder.take({ kind: 'down', at_us: this.now_us, session, ...kept })
  }

  refresh(peer: string, remote: string, family: number, subtype: number): void {
    this.now_us += 1e6
    const session = this.#numbers.get(`${peer} ${remote}`)!
    this.#recorder.take({ kind: 'refresh', at_us: this.now_us, session, family, subtype })
  }

  event(peer: string, remote: string, from: State, to: State, reason?: Down): void {
    this.#event(peer, remote, from, to, reason)
  }

  /** Updates of one session in one chunk. */
  updates(peer: string, remote: string, ...updates: readonly (UpdateText | Uint8Array)[]): void {
    this.now_us += 1e6
    const messages = updates.map((one) => (one instanceof Uint8Array ? one : updateOf(one)))
    const all = Buffer.concat(messages)
    const memory = new SharedArrayBuffer(all.length)
    new Uint8Array(memory).set(all)
    const runs = Int32Array.of(this.#numbers.get(`${peer} ${remote}`)!, 0, all.length)
    this.#recorder.take({ kind: 'updates', at_us: this.now_us, memory, runs })
  }

  gap(chunks: number): void {
    const at_us = this.now_us + 1
    this.now_us += 1e6
    this.#recorder.take({ kind: 'gap', at_us, until_us: this.now_us, chunks, bytes: chunks * 1000, events: 0 })
  }

  /** As if the process had been killed: another one begins where this one left off. */
  restart(): void {
    this.#recorder.flush()
    this.now_us += 1e6
    this.#recorder = new Recorder({ ...this.#options, started_us: this.now_us })
  }

  of(prefix: string, until_us?: number): PrefixHistory {
    this.#recorder.flush()
    return readPrefixHistory(this.directory, parsePrefix(prefix)!, until_us, this.now_us)
  }

  /** `2 transit announced 65002 via 10.0.0.2`: seconds since the start, for comparison. */
  lines(prefix: string, until_us?: number): string[] {
    return this.of(prefix, until_us).events.map(({ at_us, peer, what, pathId, route, reason }) =>
      [
        Math.floor((at_us - START_us) / 1e6),
        peer.name,
        ...(pathId === undefined ? [] : [`path ${pathId}`]),
        what,
        ...(route ? [route['AS path'], 'via', route['next hop']] : []),
        ...(reason === undefined ? [] : [reason]),
      ].join(' '),
    )
  }

  records(): MrtRecord[] {
    this.#recorder.flush()
    return segmentsIn(this.directory).flatMap((segment) => {
      const reader = new MrtReader(readFileSync(segment.records))
      const read: MrtRecord[] = []
      for (let record = reader.next(); record; record = reader.next()) read.push(record)
      return read
    })
  }

  notes(): Note[] {
    return segmentsIn(this.directory).flatMap(({ notes }) => readNotes(readFileSync(notes, 'utf8')))
  }

  #event(peer: string, remote: string, from: State, to: State, reason?: Down): void {
    this.now_us += 1e6
    this.#recorder.take({ kind: 'event', at_us: this.now_us, event: { peer, remote, from, to, reason } })
  }

  [Symbol.dispose](): void {
    this.#recorder.close()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
