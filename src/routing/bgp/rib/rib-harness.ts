/**
 * A RIB for tests, without sessions or threads: peers announce and withdraw with whole UPDATE messages, and what each of
 * them would receive is read back from the messages that come out.
 */

import { deepEqual, equal } from 'node:assert/strict'
import { formatPrefix, ipv4Bytes, parsePrefix } from '../../../base/address.ts'
import { attributeContext } from '../../../wire/bgp/facts.ts'
import { FAMILY } from '../../../wire/bgp/family.ts'
import { BGP_HEADER_BYTES, checkHeader, MESSAGE_BYTES_MAX, openBody } from '../../../wire/bgp/message.ts'
import { readPrefix4 } from '../../../wire/bgp/prefix.ts'
import { splitUpdate, UpdateParts } from '../../../wire/bgp/update.ts'
import { UpdateBuilder } from '../../../wire/bgp/update-builder.ts'
import { Reader } from '../../../wire/cursor.ts'
import { AttributeRewriter } from './attribute-rewriter.ts'
import { AttributeSets } from './attribute-sets.ts'
import { Decision, type DecisionOptions } from './decision.ts'
import { Inbound } from './inbound.ts'
import { type Chunk, Packer } from './packer.ts'
import { PrefixTable4 } from './prefix-table.ts'
import { RibPeers } from './rib-peers.ts'
import { RoutingTable } from './routing-table.ts'
import { SetAssembler } from './set-assembler.ts'
import { UpdateGroup } from './update-group.ts'

export const LOCAL_AS = 65_001
const ROUTER_ID = 0x0a000001

export interface RouteText {
  /** AS numbers from the neighbour on. */
  readonly path: readonly number[]
  readonly nextHop?: string
  readonly origin?: number
  readonly med?: number
  readonly localPref?: number
  readonly communities?: readonly number[]
}

export interface HarnessPeer {
  readonly number: number
  readonly as: number
  readonly inbound: Inbound
  readonly group: UpdateGroup
  /** What it would have, by prefix: the attributes' bytes in hexadecimal. */
  readonly received: Map<string, string>
  endsOfRib: number
  /** Bytes that it takes before it is behind; unlimited at first. */
  room: number
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function u32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
}

/** The attributes in wire form, in the order of their codes. */
export function attributeBytes(route: RouteText): Uint8Array {
  const { path, nextHop = '192.0.2.1', origin = 0, med, localPref, communities = [] } = route
  const segment = path.length > 0 ? [2, path.length, ...path.flatMap(u32)] : []
  return Uint8Array.from([
    ...[0x40, 1, 1, origin],
    ...[0x40, 2, segment.length, ...segment],
    ...[0x40, 3, 4, ...nextHop.split('.').map(Number)],
    ...(med === undefined ? [] : [0x80, 4, 4, ...u32(med)]),
    ...(localPref === undefined ? [] : [0x40, 5, 4, ...u32(localPref)]),
    ...(communities.length === 0 ? [] : [0xc0, 8, 4 * communities.length, ...communities.flatMap(u32)]),
  ])
}

function reversed(attributes: Uint8Array): Uint8Array {
  let bytes: number[] = []
  for (let at = 0; at < attributes.length; at += 3 + attributes[at + 2]!)
    bytes = [...attributes.subarray(at, at + 3 + attributes[at + 2]!), ...bytes]
  return Uint8Array.from(bytes)
}

export class RibHarness {
  readonly sets = new AttributeSets()
  readonly peers = new RibPeers()
  readonly table: RoutingTable
  readonly #assembler = new SetAssembler(this.sets)
  readonly #rewriter = new AttributeRewriter(this.sets)
  readonly #members = new Map<number, HarnessPeer>()
  readonly #groups = new Map<string, UpdateGroup>()
  readonly #packer: Packer
  readonly #builder = new UpdateBuilder()
  #last = 1

  constructor(options: DecisionOptions = { alwaysCompareMed: false }) {
    this.table = new RoutingTable(new PrefixTable4(), this.sets, new Decision(this.sets, this.peers, options))
    this.#packer = new Packer({
      send: (chunk) => this.#deliver(chunk),
      room: (audience) => Math.min(...audience.map((peer) => this.#members.get(peer)!.room)),
    })
  }

  /** Peers of one AS and kind share an update group. */
  connect(as: number, { client = false, transparent = false } = {}): HarnessPeer {
    const external = as !== LOCAL_AS
    const last = ++this.#last
    const number = this.peers.add({
      name: `peer-${last}`,
      address: Uint8Array.of(192, 0, 2, last),
      as,
      routerId: 0x0a000000 | last,
      external,
      client,
    })
    const inbound = new Inbound(
      {
        peer: number,
        context: attributeContext({ external }),
        tables: [this.table],
        localAs: LOCAL_AS,
        routerId: ROUTER_ID,
        clusterId: ROUTER_ID,
        allowAsIn: 0,
        firstAs: external ? as : 0,
        policies: [],
        nextHops: undefined,
        onEndOfRib: () => {},
      },
      this.sets,
      this.#assembler,
    )
    const group = this.#groupOf(external, client, transparent)
    const peer = { number, as, inbound, group, received: new Map(), endsOfRib: 0, room: Number.POSITIVE_INFINITY }
    this.#members.set(number, peer)
    group.join(number)
    return peer
  }

  disconnect(peer: HarnessPeer): void {
    peer.group.leave(peer.number)
    for (const [name, group] of this.#groups) if (group === peer.group && group.isEmpty) this.#groups.delete(name)
    this.table.purge(peer.number, 0, this.table.prefixes.end)
    this.#members.delete(peer.number)
    this.flush()
    this.peers.remove(peer.number)
  }

  /** `inOrder`: whose attributes stand in the order of their codes, or from the last to the first. */
  announce(peer: HarnessPeer, prefixes: readonly string[], route: RouteText, inOrder = true): number {
    const bytes = attributeBytes(route)
    return this.#send(peer, prefixes, inOrder ? bytes : reversed(bytes))
  }

  withdraw(peer: HarnessPeer, prefixes: readonly string[]): number {
    return this.#send(peer, prefixes, undefined)
  }

  /** Tells everybody what waits, as far as they take it. */
  flush(): void {
    for (const group of this.#groups.values()) {
      for (const track of group.busy()) group.flush(track, this.#packer, this.#rewriter, 1 << 20)
      this.#packer.flush()
      group.rest()
    }
    this.table.releaseUnused()
  }

  /** Whose route is the best. */
  bestOf(prefix: string): HarnessPeer | undefined {
    const { address, length } = parsePrefix(prefix)!
    const found = (this.table.prefixes as PrefixTable4).find(new DataView(address.buffer).getUint32(0), length, false)
    const path = found < 0 ? 0 : this.table.best[found]!
    return path === 0 ? undefined : this.#members.get(this.table.peer[path]!)
  }

  #groupOf(external: boolean, clients: boolean, transparent: boolean): UpdateGroup {
    const name = `${external} ${clients} ${transparent}`
    const known = this.#groups.get(name)
    if (known) return known
    const form = {
      external,
      transparent,
      localAs: LOCAL_AS,
      overriddenAs: 0,
      nextHopSelf: undefined,
      ours: undefined,
      as4: true,
      clusterId: ROUTER_ID,
      family: FAMILY.ipv4Unicast,
      messageBytesMax: MESSAGE_BYTES_MAX,
      addPath: 0,
      extendedNextHop: false,
    }
    const made = new UpdateGroup(this.table, this.peers, { form, clients }, () => {})
    this.#groups.set(name, made)
    return made
  }

  #send(peer: HarnessPeer, prefixes: readonly string[], attributes: Uint8Array | undefined): number {
    const out = new Uint8Array(MESSAGE_BYTES_MAX)
    this.#builder.target(out)
    this.#builder.begin(0, FAMILY.ipv4Unicast, attributes)
    for (const text of prefixes) {
      const { address, length } = parsePrefix(text)!
      this.#builder.addPrefix4(new DataView(address.buffer).getUint32(0), length)
    }
    const end = this.#builder.finish()
    return peer.inbound.update(new Reader(out), new DataView(out.buffer), 0, end)
  }

  #deliver({ memory, runs }: Chunk): void {
    for (const { audience, except, only, from, to } of runs) {
      const receivers = only === 0 ? audience.filter((peer) => peer !== except) : [only]
      for (const number of receivers) this.#receive(this.#members.get(number)!, new Uint8Array(memory), from, to)
    }
  }

  #receive(peer: HarnessPeer, bytes: Uint8Array, from: number, to: number): void {
    const reader = new Reader(bytes)
    const parts = new UpdateParts()
    peer.room -= to - from
    for (let at = from; at < to; ) {
      reader.window(at, at + BGP_HEADER_BYTES)
      const length = checkHeader(reader, MESSAGE_BYTES_MAX)
      openBody(reader, at, length)
      equal(splitUpdate(reader, parts), true)
      const { withdrawnAt, withdrawnEnd, attributesAt, attributesEnd, nlriAt, nlriEnd } = parts
      for (const prefix of prefixesIn(reader, withdrawnAt, withdrawnEnd)) {
        equal(peer.received.delete(prefix), true, `${prefix} is withdrawn from a peer that was not told of it`)
      }
      const attributes = hex(bytes.subarray(attributesAt, attributesEnd))
      for (const prefix of prefixesIn(reader, nlriAt, nlriEnd)) peer.received.set(prefix, attributes)
      if (length === BGP_HEADER_BYTES + 4) peer.endsOfRib++
      at += length
    }
  }
}

function prefixesIn(from: Reader, at: number, end: number): string[] {
  const found: string[] = []
  from.window(at, end)
  while (from.remaining > 0) {
    const length = from.u8()
    found.push(formatPrefix({ address: ipv4Bytes(readPrefix4(from, length)), length }))
  }
  return found
}

/** The peer has exactly these routes. */
export function has(peer: HarnessPeer, routes: Readonly<Record<string, RouteText>>): void {
  deepEqual(
    Object.fromEntries([...peer.received].sort()),
    Object.fromEntries(
      Object.entries(routes)
        .map(([prefix, route]) => [prefix, hex(attributeBytes(route))])
        .sort(),
    ),
  )
}
