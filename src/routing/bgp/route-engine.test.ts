import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ManualClock } from '../../base/clock.ts'
import { FAMILY } from '../../wire/bgp/family.ts'
import { BGP_HEADER_BYTES } from '../../wire/bgp/message.ts'
import { notification, UPDATE_ERROR } from '../../wire/bgp/notification.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'
import { UpdateBuilder } from '../../wire/bgp/update-builder.ts'
import {
  type FromRoutes,
  type OutChunk,
  plainHandling,
  plainNegotiated,
  plainSettings,
  type RouteHandling,
  type SessionUp,
  type Updates,
} from './messages.ts'
import { attributeBytes, type RouteText } from './rib/rib-harness.ts'
import { RouteEngine } from './route-engine.ts'

/** It has gone on whenever somebody looks at it. */
class TickingClock extends ManualClock {
  tick_ms = 0

  override now_us(): number {
    this.advance(this.tick_ms)
    return super.now_us()
  }
}

/** An engine, and what its sessions were sent: the bytes of each. */
class Bed {
  readonly clock = new TickingClock()
  readonly sent = new Map<number, number>()
  readonly messages: FromRoutes[] = []
  /** By slot: what the network has not taken. */
  readonly waiting = new Map<number, number>()
  readonly engine = new RouteEngine({
    settings: plainSettings,
    clock: this.clock,
    send: (message) => this.#take(message),
    pace: (slot) => ({ received: this.sent.get(slot) ?? 0, waiting: this.waiting.get(slot) ?? 0 }),
  })

  up(session: number, handling: Partial<RouteHandling> = {}): void {
    const up: SessionUp = {
      kind: 'up',
      session,
      slot: session,
      peer: `peer-${session}`,
      local: Uint8Array.of(192, 0, 2, 1),
      remote: Uint8Array.of(192, 0, 2, session + 1),
      negotiated: { ...plainNegotiated, remoteAs: 65_100 + session, remoteId: session + 1 },
      handling: { ...plainHandling, enforceFirstAs: true, ...handling },
    }
    this.engine.take(up)
  }

  /** Routes with an attribute set for every five of them. */
  fullTable(session: number, count: number): void {
    const memory = new SharedArrayBuffer(count * 32)
    const builder = new UpdateBuilder()
    builder.target(new Uint8Array(memory))
    let end = 0
    for (let i = 0; i < count; i++) {
      if (i % 5 === 0) {
        if (i > 0) end = builder.finish()
        builder.begin(end, FAMILY.ipv4Unicast, attributeBytes({ path: [65_100 + session, 1 + i / 5] }))
      }
      builder.addPrefix4(((10 << 24) | (i << 4)) >>> 0, 28)
    }
    this.engine.take({ kind: 'updates', memory, runs: Int32Array.of(session, 0, builder.finish()) })
  }

  updates(session: number, count: number, route: RouteText | undefined): void {
    const memory = new SharedArrayBuffer(count * 64 + 4096)
    const builder = new UpdateBuilder()
    builder.target(new Uint8Array(memory))
    builder.begin(0, FAMILY.ipv4Unicast, route && attributeBytes(route))
    for (let i = 0; i < count; i++) builder.addPrefix4(((10 << 24) | (i << 8)) >>> 0, 24)
    const message: Updates = { kind: 'updates', memory, runs: Int32Array.of(session, 0, builder.finish()) }
    this.engine.take(message)
  }

  run(): void {
    while (this.engine.step());
  }

  #take(message: FromRoutes): void {
    this.messages.push(message)
    if (message.kind !== 'chunk') return
    for (const { audience, except, from, to } of message.runs)
      for (const session of audience)
        if (session !== except) this.sent.set(session, (this.sent.get(session) ?? 0) + to - from)
  }

  chunks(): OutChunk[] {
    return this.messages.filter((message) => message.kind === 'chunk')
  }
}

const ROUTE = { path: [65_101, 7] }
const END_OF_RIB = BGP_HEADER_BYTES + 4

suite('the route engine', () => {
  test('says how much it has taken, and counts what it holds', () => {
    const bed = new Bed()
    bed.up(1)
    bed.updates(1, 1000, ROUTE)
    bed.run()
    const taken = bed.messages.filter((message) => message.kind === 'taken')
    equal(taken.length, 1)
    deepEqual(bed.engine.counts(), { sessions: 1, tables: 1, prefixes: 1000, paths: 1000, attributeSets: 1 })
  })

  test('encodes once for all peers of a group that keep up', () => {
    const bed = new Bed()
    for (const session of [1, 2, 3, 4]) bed.up(session)
    bed.run()
    bed.messages.length = 0
    bed.updates(1, 1000, ROUTE)
    bed.run()
    const runs = bed.chunks().flatMap((chunk) => chunk.runs)
    equal(runs.length, 1)
    deepEqual([...runs[0]!.audience].sort(), [1, 2, 3, 4])
    equal(runs[0]!.except, 1)
  })

  test('writes what is told at several times behind one another, as long as there is room', () => {
    const bed = new Bed()
    for (const session of [1, 2]) bed.up(session)
    bed.run()
    bed.messages.length = 0
    // A kilobyte each.
    for (let i = 0; i < 300; i++) {
      bed.updates(1, 250, { path: [65_101, 1 + i] })
      bed.run()
    }
    const chunks = bed.chunks()
    const memories = new Set(chunks.map(({ memory }) => memory))
    ok(chunks.length >= 300)
    ok(memories.size < 10, `${memories.size} of 256 KB for 300 KB`)
    for (const memory of memories) {
      const runs = chunks.filter((chunk) => chunk.memory === memory).flatMap((chunk) => chunk.runs)
      for (const [i, { from, to }] of runs.entries()) {
        equal(from, i === 0 ? runs[0]!.from : runs[i - 1]!.to)
        deepEqual([...new Uint8Array(memory).subarray(from, from + 16)], Array(16).fill(0xff))
        ok(to <= memory.byteLength)
      }
    }
  })

  test('takes everything away with the session it came from', () => {
    const bed = new Bed()
    bed.up(1)
    bed.up(2)
    bed.updates(1, 70_000, ROUTE)
    bed.run()
    const announced = bed.sent.get(2)!
    bed.engine.take({ kind: 'down', session: 1 })
    bed.run()
    ok(bed.sent.get(2)! > announced)
    deepEqual(bed.engine.counts(), { sessions: 1, tables: 1, prefixes: 0, paths: 0, attributeSets: 0 })
  })

  test('holds a full table, tells it to whoever comes and asks again, and lets all of it go', () => {
    const routes = 200_000
    const bed = new Bed()
    for (const session of [1, 2]) bed.up(session)
    bed.fullTable(1, routes)
    bed.run()
    const all = { sessions: 2, tables: 1, prefixes: routes, paths: routes, attributeSets: routes / 5 }
    deepEqual(bed.engine.counts(), all)
    bed.up(3)
    bed.run()
    // Give or take messages that were cut in two where a chunk was full.
    const nearly = (session: number, bytes: number): void => ok(Math.abs(bed.sent.get(session)! - bytes) < 1000)
    nearly(3, bed.sent.get(2)!)
    bed.engine.take({ kind: 'refresh', session: 2, family: FAMILY.ipv4Unicast, subtype: REFRESH.request })
    bed.run()
    nearly(2, 2 * bed.sent.get(3)!)
    bed.engine.take({ kind: 'down', session: 2 })
    bed.engine.take({ kind: 'down', session: 1 })
    bed.run()
    deepEqual(bed.engine.counts(), { sessions: 1, tables: 1, prefixes: 0, paths: 0, attributeSets: 0 })
  })

  test('looks at the clock often: whoever asks has to wait for some thousand routes and not for all', () => {
    const bed = new Bed()
    for (const session of [1, 2, 3]) bed.up(session)
    bed.updates(1, 100_000, ROUTE)
    // When it looks again, it has worked for as long as it may.
    bed.clock.tick_ms = 3
    let most = 0
    const run = (): void => {
      for (let goesOn = true; goesOn; ) {
        const { paths } = bed.engine.counts()
        const told = bed.sent.get(2) ?? 0
        goesOn = bed.engine.step()
        most = Math.max(most, Math.abs(bed.engine.counts().paths - paths), ((bed.sent.get(2) ?? 0) - told) / 4)
      }
    }
    run()
    bed.updates(1, 100_000, undefined)
    run()
    equal(bed.engine.counts().paths, 0)
    ok(most < 3000, `${most} routes in one step`)
  })

  test('waits for a member that takes nothing for a while only, and tells it the rest later', () => {
    const bed = new Bed()
    for (const session of [1, 2, 3]) bed.up(session)
    bed.run()
    bed.waiting.set(3, 1 << 30)
    bed.updates(1, 1000, ROUTE)
    bed.run()
    equal(bed.sent.get(2), END_OF_RIB, 'nobody is told while one takes nothing')
    ok(bed.engine.isBlocked)
    bed.clock.advance(500)
    bed.run()
    ok(bed.sent.get(2)! > END_OF_RIB, 'and then the others are')
    equal(bed.sent.get(3), END_OF_RIB)
    bed.waiting.set(3, 0)
    bed.run()
    equal(bed.sent.get(3), bed.sent.get(2))
    ok(!bed.engine.isBlocked)
  })

  test('sends all of it again to whoever asks (RFC 2918), and to nobody else', () => {
    const bed = new Bed()
    for (const session of [1, 2, 3]) bed.up(session)
    bed.updates(1, 100, ROUTE)
    bed.run()
    const [before2, before3] = [bed.sent.get(2)!, bed.sent.get(3)!]
    bed.engine.take({ kind: 'refresh', session: 2, family: FAMILY.ipv4Unicast, subtype: REFRESH.request })
    bed.run()
    equal(bed.sent.get(3), before3)
    equal(bed.sent.get(2), 2 * before2)
  })

  test('ends a session that sends more prefixes than it may (RFC 4486), and looks at nothing it still sends', () => {
    const bed = new Bed()
    bed.up(1, { maximumPrefixes: 10 })
    bed.updates(1, 11, ROUTE)
    bed.updates(1, 500, ROUTE)
    bed.run()
    deepEqual(
      bed.messages.filter((message) => message.kind === 'over-maximum'),
      [{ kind: 'over-maximum', session: 1 }],
    )
    equal(bed.engine.counts().paths, 11)
  })

  test('ends a session whose update cannot be read, with the notification that the RFC names', () => {
    const bed = new Bed()
    bed.up(1)
    const memory = new SharedArrayBuffer(64)
    const bytes = new Uint8Array(memory)
    // The attributes are said to be longer than the message.
    bytes.set([...Array(16).fill(0xff), 0, 23, 2, 0, 0, 0, 200])
    bed.engine.take({ kind: 'updates', memory, runs: Int32Array.of(1, 0, 23) })
    bed.run()
    const [failed] = bed.messages.filter((message) => message.kind === 'failed')
    // The list of attributes goes without data (RFC 4271 section 6.3).
    deepEqual(failed?.notification, notification(UPDATE_ERROR.code, UPDATE_ERROR.malformedList))
  })
})
