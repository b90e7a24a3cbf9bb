/**
 * A route engine for tests, with tenants: sessions of any family announce and withdraw, and what each was told is read
 * back as text, as is what the control module was told.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { formatAddress, formatPrefix, ipv4Bytes, parseAddress, parsePrefix } from '../../base/address.ts'
import { ManualClock } from '../../base/clock.ts'
import { checkAttributes } from '../../wire/bgp/check-attributes.ts'
import { type AttributeContext, AttributeFacts, attributeContext, OUTCOME } from '../../wire/bgp/facts.ts'
import { FAMILY, type Family } from '../../wire/bgp/family.ts'
import {
  BGP_HEADER_BYTES,
  checkHeader,
  EXTENDED_MESSAGE_BYTES_MAX,
  MESSAGE,
  messageOf,
  openBody,
} from '../../wire/bgp/message.ts'
import { splitUpdate, UpdateParts } from '../../wire/bgp/update.ts'
import { UpdateBuilder, writeEndOfRib } from '../../wire/bgp/update-builder.ts'
import { decodeUpdate, formatUpdate } from '../../wire/bgp/update-message.ts'
import { RouteColumnsBuilder } from '../../wire/control/columns.ts'
import { type RouteBatch, routeBatch } from '../../wire/control/route.ts'
import { Reader } from '../../wire/cursor.ts'
import {
  type FromRoutes,
  type OutChunk,
  plainHandling,
  plainNegotiated,
  plainSettings,
  type RouteHandling,
  type RouteSettings,
  type SessionDown,
} from './messages.ts'
import { attributeBytes, type RouteText } from './rib/rib-harness.ts'
import { RouteEngine } from './route-engine.ts'
import type { Negotiated } from './session/negotiate.ts'
import { OWN_ORIGIN } from './tables.ts'

const LOCAL_AS = 65_001

export interface SessionText extends Partial<RouteHandling> {
  readonly internal?: boolean
  readonly families?: readonly Family[]
  readonly local?: string
  readonly extendedNextHop?: boolean
  /** Whose session it is, by the number of its first one. */
  readonly of?: number
  /** What else was agreed on with it. */
  readonly agreed?: Partial<Negotiated>
  /** What the peer says of its restart. */
  readonly restart?: { readonly forwarding: number }
}

const plainRestart = { restartTime_s: 120, restarting: true, notification: false }
const END_OF_RIB_BYTES = BGP_HEADER_BYTES + 4
const MARKS = ['asks', 'begins', 'ends']

export interface VpnText {
  readonly distinguisher: { readonly high: number; readonly low: number }
  readonly label: number
}

export class EngineBed {
  readonly engine: RouteEngine
  /** By session: attributes of what it has been told, by prefix. */
  readonly told = new Map<number, Map<string, string>>()
  /** By session: how many messages with routes it was sent, and the other messages, End-of-RIB and refresh marks. */
  readonly updates = new Map<number, number>()
  readonly marks = new Map<number, string[]>()
  readonly clock = new ManualClock()
  /** What was said of sessions. */
  readonly said: Exclude<FromRoutes, OutChunk>[] = []
  /** Next hops that were asked about. */
  readonly asked: string[] = []
  /** Batches for the control module, and whether it has room for more. */
  readonly batches: RouteBatch[] = []
  hasRoom = true
  /** What the control module holds of it: next hops by tenant and prefix. */
  readonly held = new Map<string, string>()
  /** By session: how what it is told is read. */
  readonly #contexts = new Map<number, AttributeContext>()
  /** Bytes that each session was sent, all of which the network has taken but for one's. */
  readonly #sent = new Map<number, number>()
  #held = 0

  constructor(settings: Partial<RouteSettings> = {}) {
    this.engine = new RouteEngine({
      settings: {
        ...plainSettings,
        origin: 'routing-1',
        tenants: [
          [7, 'acme'],
          [8, 'globex'],
        ],
        multipath: 4,
        ...settings,
      },
      clock: this.clock,
      send: (message) => this.#take(message),
      askNextHop: (address) => this.asked.push(formatAddress(address)),
      publish: { room: () => this.hasRoom, send: (batch) => this.#hold(batch), now_s: () => 0 },
      pace: (slot) => ({ received: this.#sent.get(slot) ?? 0, waiting: slot === this.#held ? 1 << 30 : 0 }),
    })
  }

  up(session: number, how: SessionText = {}): void {
    const {
      internal = false,
      families = [FAMILY.ipv4Unicast],
      local,
      of = session,
      restart,
      extendedNextHop,
      agreed,
      ...handling
    } = how
    this.told.set(session, new Map())
    this.updates.set(session, 0)
    this.marks.set(session, [])
    const bits = families.reduce((all: number, family) => all | (1 << family), 0)
    const as4 = agreed?.as4 ?? true
    const addPath = handling.addPathSend ? bits : 0
    const read = { external: !internal, as4, families: bits, addPath, extendedNextHop: bits }
    this.#contexts.set(session, attributeContext(read))
    this.engine.take({
      kind: 'up',
      session,
      slot: session,
      peer: `peer-${of}`,
      local: parseAddress(local ?? '192.0.2.1')!,
      remote: Uint8Array.of(192, 0, 2, of + 1),
      negotiated: {
        ...plainNegotiated,
        remoteAs: internal ? LOCAL_AS : 65_100 + of,
        remoteId: of + 1,
        external: !internal,
        families: bits,
        addPathSend: addPath,
        extendedNextHop: extendedNextHop ? bits : 0,
        enhancedRefresh: true,
        ...(restart && { gracefulRestart: { ...plainRestart, families: bits, ...restart } }),
        ...agreed,
      },
      handling: { ...plainHandling, ...handling },
    })
    this.run()
  }

  /** This session takes nothing for a while; 0 for none. */
  hold(session: number): void {
    this.#held = session
  }

  down(session: number, keep: Partial<SessionDown> = {}): void {
    this.engine.take({ kind: 'down', session, ...keep })
    this.told.delete(session)
    this.run()
  }

  announce(session: number, prefix: string, route: RouteText & { readonly more?: readonly number[] }): void {
    const attributes = Uint8Array.from([...attributeBytes(route), ...(route.more ?? [])])
    this.#send(session, FAMILY.ipv4Unicast, (builder) => addPrefix4(builder, prefix), attributes)
  }

  withdraw(session: number, prefix: string): void {
    this.#send(session, FAMILY.ipv4Unicast, (builder) => addPrefix4(builder, prefix), undefined)
  }

  /** The body of an UPDATE. */
  update(session: number, body: Uint8Array): void {
    this.engine.take(
      written((bytes) => {
        bytes.set(messageOf(MESSAGE.update, body))
        return BGP_HEADER_BYTES + body.length
      }, session),
    )
    this.run()
  }

  endOfRib(session: number): void {
    this.engine.take(written((bytes) => writeEndOfRib(bytes, 0, FAMILY.ipv4Unicast), session))
    this.run()
  }

  refresh(session: number, subtype: number): void {
    this.engine.take({ kind: 'refresh', session, family: FAMILY.ipv4Unicast, subtype })
    this.run()
  }

  /** A VPNv4 route; without attributes it is withdrawn. */
  vpn(session: number, prefix: string, { distinguisher, label }: VpnText, attributes?: readonly number[]): void {
    const { address, length } = parsePrefix(prefix)!
    const number = new DataView(address.buffer).getUint32(0)
    const nextHop = Uint8Array.from([...new Uint8Array(8), 198, 51, 100, 1])
    this.#send(
      session,
      FAMILY.vpnv4,
      (builder) => builder.addVpn4(label, distinguisher.high, distinguisher.low, number, length),
      attributes && Uint8Array.from(attributes),
      nextHop,
    )
  }

  /** Says on the control module's behalf which prefixes of a tenant are ours; those of `gone` no more. */
  originate(
    tenant: string,
    prefixes: readonly string[],
    gone: readonly string[] = [],
    replaces = false,
    origin = OWN_ORIGIN,
  ): void {
    const rows4 = new RouteColumnsBuilder(1)
    const rows6 = new RouteColumnsBuilder(4)
    for (const text of [...prefixes, ...gone]) {
      const { address, length } = parsePrefix(text)!
      const view = new DataView(address.buffer)
      const nextHop = gone.includes(text) ? 0 : 1
      if (address.length === 4) rows4.add4(0, view.getUint32(0), length, nextHop)
      else
        rows6.add6(
          0,
          [0, 4, 8, 12].map((at) => view.getUint32(at)),
          length,
          nextHop,
        )
    }
    const rows = { routes4: rows4.build(), routes6: rows6.build() }
    this.engine.originate({ origin, preference: 0, replaces, tenants: [tenant], gateways: [[]], ...rows })
    this.run()
  }

  run(): void {
    while (this.engine.step());
  }

  #send(
    session: number,
    family: Family,
    add: (builder: UpdateBuilder) => boolean,
    attributes: Uint8Array | undefined,
    nextHop?: Uint8Array,
  ): void {
    const write = (bytes: Uint8Array): number => {
      const builder = new UpdateBuilder()
      builder.target(bytes)
      builder.begin(0, family, attributes, attributes && nextHop)
      add(builder)
      return builder.finish()
    }
    this.engine.take(written(write, session))
    this.run()
  }

  #take(message: FromRoutes): void {
    if (message.kind === 'chunk') this.#deliver(message)
    else if (message.kind !== 'taken') this.said.push(message)
  }

  #deliver({ memory, runs }: OutChunk): void {
    for (const { audience, except, from, to } of runs)
      for (const session of audience)
        if (session !== except && this.told.has(session)) {
          this.#sent.set(session, (this.#sent.get(session) ?? 0) + to - from)
          this.#read(session, new Uint8Array(memory), from, to)
        }
  }

  #read(session: number, bytes: Uint8Array, from: number, to: number): void {
    const told = this.told.get(session)!
    const context = this.#contexts.get(session)!
    const reader = new Reader(bytes)
    for (let at = from; at < to; ) {
      reader.window(at, to)
      const length = checkHeader(reader, EXTENDED_MESSAGE_BYTES_MAX)
      openBody(reader, at, length)
      const type = bytes[at + BGP_HEADER_BYTES - 1]
      const mark = type === MESSAGE.routeRefresh ? MARKS[bytes[at + BGP_HEADER_BYTES + 2]!] : undefined
      at += length
      if (mark !== undefined || length === END_OF_RIB_BYTES) {
        this.marks.get(session)!.push(mark ?? 'end of RIB')
        continue
      }
      this.updates.set(session, this.updates.get(session)! + 1)
      checkSound(bytes.subarray(at - length + BGP_HEADER_BYTES, at), context)
      const lines = formatUpdate(decodeUpdate(reader, context)!, context)
      const prefixes = lines.filter((line) => /^(withdrawn )?([\d.:]+ )?[\d.a-f:]+\/\d+/.test(line))
      const attributes = lines.filter((line) => !prefixes.includes(line)).join('; ')
      for (const line of prefixes)
        if (line.startsWith('withdrawn ')) told.delete(line.slice('withdrawn '.length).replace(/ label \d+$/, ''))
        else told.set(line.replace(/ label \d+$/, ''), `${attributes}${/ label \d+$/.exec(line)?.[0] ?? ''}`)
    }
  }

  #hold(bytes: Uint8Array): void {
    const decoded = routeBatch.decode(bytes)
    if (!decoded.ok) throw new Error(decoded.message)
    const batch = decoded.value
    this.batches.push(batch)
    deepEqual([batch.origin, batch.preference], ['routing-1', 100])
    if (batch.replaces) this.held.clear()
    const { tables, addresses, lengths, nextHops } = batch.routes4
    for (let row = 0; row < lengths.length; row++) {
      const prefix = formatPrefix({ address: ipv4Bytes(addresses[row]!), length: lengths[row]! })
      const key = `${batch.tenants[tables[row]!]} ${prefix}`
      const nextHop = nextHops[row]!
      if (nextHop === 0) this.held.delete(key)
      else this.held.set(key, textOf(batch.gateways[nextHop - 1]!))
    }
  }
}

const parts = new UpdateParts()
const facts = new AttributeFacts()

/** What we send is as its RFC asks for it, to the letter: no attribute is there twice, for instance. */
function checkSound(body: Uint8Array, context: AttributeContext): void {
  const reader = new Reader(body)
  ok(splitUpdate(reader, parts))
  equal(checkAttributes(reader, parts, context, facts), OUTCOME.fine)
  ok(facts.inOrder)
}

function written(write: (bytes: Uint8Array) => number, session: number) {
  const memory = new SharedArrayBuffer(EXTENDED_MESSAGE_BYTES_MAX)
  return { kind: 'updates' as const, memory, runs: Int32Array.of(session, 0, write(new Uint8Array(memory))) }
}

function textOf(gateways: RouteBatch['gateways'][number]): string {
  return gateways
    .map(({ address, weight, backup }) => `${formatAddress(address)} ${backup ? 'as backup' : `x${weight}`}`)
    .join(', ')
}

function addPrefix4(builder: UpdateBuilder, prefix: string): boolean {
  const { address, length } = parsePrefix(prefix)!
  return builder.addPrefix4(new DataView(address.buffer).getUint32(0), length)
}
