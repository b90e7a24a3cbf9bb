/**
 * A route engine for tests of policies: sessions of neighbours of a site file, and the routes that each of them has been
 * told, read from the messages that it was sent.
 */

import { equal } from 'node:assert/strict'
import { formatAddress, formatPrefix, ipv4Bytes, parsePrefix } from '../../base/address.ts'
import { ManualClock } from '../../base/clock.ts'
import { parseSite } from '../../config/load.ts'
import { formatSegments } from '../../wire/bgp/as-path.ts'
import { asPath, communities, localPref, med, nextHop } from '../../wire/bgp/attribute.ts'
import { attributeContext } from '../../wire/bgp/facts.ts'
import { FAMILY } from '../../wire/bgp/family.ts'
import { checkHeader, MESSAGE_BYTES_MAX, openBody } from '../../wire/bgp/message.ts'
import { formatNlri } from '../../wire/bgp/nlri.ts'
import { UpdateBuilder } from '../../wire/bgp/update-builder.ts'
import { decodeUpdate } from '../../wire/bgp/update-message.ts'
import { Reader } from '../../wire/cursor.ts'
import { type PolicySource, policySourceOf } from '../policy/policy-book.ts'
import { type FromRoutes, type OutChunk, plainHandling, plainNegotiated, plainSettings } from './messages.ts'
import { attributeBytes, type RouteText } from './rib/rib-harness.ts'
import { RouteEngine } from './route-engine.ts'

const LOCAL_AS = 65_001

/** Neighbour N is `peer-N` of AS 65100 + N, or of our own AS. */
export interface NeighbourText {
  readonly number: number
  readonly internal?: boolean
  readonly import?: readonly string[]
  readonly export?: readonly string[]
}

/** A term of a policy. `then` as a key of an object in a program is taken for a promise's. */
export function term(then: string, of: object = {}): object {
  return { ...of, ...Object.fromEntries([['then', then]]) }
}

/** The policies of a site of these neighbours; `parts` are lists and policies as the site file has them. */
export function policiesOf(neighbours: readonly NeighbourText[], parts: object): PolicySource {
  const routing = {
    as: LOCAL_AS,
    router_id: '10.0.0.1',
    neighbours: neighbours.map(({ number, internal, import: imports = [], export: exports = [] }) => ({
      name: `peer-${number}`,
      address: `192.0.2.${number + 1}`,
      as: internal ? LOCAL_AS : 65_100 + number,
      import: imports,
      export: exports,
    })),
    ...parts,
  }
  const { site, errors } = parseSite(JSON.stringify({ site: 's', routing }))
  equal(errors, undefined)
  return policySourceOf(site!.routing!)
}

export class PolicyBed {
  readonly clock = new ManualClock()
  readonly engine: RouteEngine
  resets = 0
  /** By session: what it has been told, by prefix. */
  readonly told = new Map<number, Map<string, string>>()
  /** By session: prefixes in messages that it was sent, announced or withdrawn. */
  readonly changes = new Map<number, number>()
  readonly sent = new Map<number, number>()
  /** Of those, messages' bytes that the network has not taken. */
  readonly waiting = new Map<number, number>()
  /** Next hops that were asked about. */
  readonly asked: string[] = []

  constructor(policies: PolicySource) {
    this.engine = new RouteEngine({
      settings: { ...plainSettings, policies },
      clock: this.clock,
      send: (message) => this.#take(message),
      askNextHop: (address) => this.asked.push(formatAddress(address)),
      pace: (slot) => ({ received: this.sent.get(slot) ?? 0, waiting: this.waiting.get(slot) ?? 0 }),
    })
  }

  up({ number, internal = false }: NeighbourText): void {
    this.told.set(number, new Map())
    this.changes.set(number, 0)
    this.sent.set(number, 0)
    this.engine.take({
      kind: 'up',
      session: number,
      slot: number,
      peer: `peer-${number}`,
      local: Uint8Array.of(192, 0, 2, 1),
      remote: Uint8Array.of(192, 0, 2, number + 1),
      negotiated: {
        ...plainNegotiated,
        remoteAs: internal ? LOCAL_AS : 65_100 + number,
        remoteId: number + 1,
        external: !internal,
        enhancedRefresh: true,
      },
      handling: plainHandling,
    })
  }

  down(number: number): void {
    this.engine.take({ kind: 'down', session: number })
    this.told.delete(number)
  }

  announce(session: number, prefixes: readonly string[], route: RouteText): void {
    this.#send(session, prefixes, attributeBytes(route))
  }

  withdraw(session: number, prefixes: readonly string[]): void {
    this.#send(session, prefixes, undefined)
  }

  #send(session: number, prefixes: readonly string[], attributes: Uint8Array | undefined): void {
    const memory = new SharedArrayBuffer(prefixes.length * 5 + MESSAGE_BYTES_MAX)
    const builder = new UpdateBuilder()
    builder.target(new Uint8Array(memory))
    builder.begin(0, FAMILY.ipv4Unicast, attributes)
    for (const text of prefixes) {
      const { address, length } = parsePrefix(text)!
      builder.addPrefix4(new DataView(address.buffer).getUint32(0), length)
    }
    this.engine.take({ kind: 'updates', memory, runs: Int32Array.of(session, 0, builder.finish()) })
  }

  run(): void {
    while (this.engine.step());
  }

  #take(message: FromRoutes): void {
    if (message.kind === 'failed') this.resets++
    if (message.kind === 'chunk') this.#deliver(message)
  }

  #deliver({ memory, runs }: OutChunk): void {
    for (const { audience, except, from, to } of runs)
      for (const session of audience) {
        if (session === except || !this.told.has(session)) continue
        this.sent.set(session, this.sent.get(session)! + to - from)
        this.#read(session, new Uint8Array(memory), from, to)
      }
  }

  #read(session: number, bytes: Uint8Array, from: number, to: number): void {
    const told = this.told.get(session)!
    const reader = new Reader(bytes)
    for (let at = from; at < to; ) {
      reader.window(at, to)
      const length = checkHeader(reader, MESSAGE_BYTES_MAX)
      openBody(reader, at, length)
      const { withdrawn, attributes, nlri } = decodeUpdate(reader, attributeContext({ external: false }))!
      for (const one of withdrawn) equal(told.delete(formatNlri(one)), true, 'what was not told is withdrawn')
      const text = shownOf((code) => attributes.find(({ row }) => row.code === code)?.value)
      for (const one of nlri) told.set(formatNlri(one), text)
      this.changes.set(session, this.changes.get(session)! + withdrawn.length + nlri.length)
      at += length
    }
  }
}

/** A route as a line: `65001 65101 7 via 192.0.2.1 med 5 preference 100 with 65001:1`. */
function shownOf(of: (code: number) => unknown): string {
  const path = formatSegments((of(asPath.code) ?? []) as never)
  const parts = [
    ['via', nextHop],
    ['med', med],
    ['preference', localPref],
    ['with', communities],
  ] as const
  const shown = parts.map(([word, row]) => {
    const value = of(row.code)
    return value === undefined ? '' : ` ${word} ${row.print(value as never)}`
  })
  return `${path}${shown.join('')}`
}

/** The i-th of many prefixes. */
export function prefixNumbered(i: number): string {
  return formatPrefix({ address: ipv4Bytes((10 << 24) | (i << 8)), length: 24 })
}
