/**
 * Has the compiler see a table's worth of updates before the first peer's come: without it the first hundred thousand
 * routes pay for the interpreter. Everything here is dropped again.
 */

import { systemClock } from '../../base/clock.ts'
import { FAMILY } from '../../wire/bgp/family.ts'
import { UpdateBuilder } from '../../wire/bgp/update-builder.ts'
import { plainHandling, plainNegotiated, type RouteSettings, type SessionUp, type Updates } from './messages.ts'
import { RouteEngine } from './route-engine.ts'

const UPDATES = 20_000
const PREFIXES = 4
const CHUNK_BYTES = 256 * 1024

export function warmUp({ policies: _, ...settings }: RouteSettings): void {
  // Without the site's policies, which have nothing to do with these peers.
  const engine = new RouteEngine({
    settings,
    clock: systemClock,
    send: () => {},
    pace: () => ({ received: 0, waiting: 0 }),
  })
  for (const [session, transparent] of [true, true, false].entries()) engine.take(sessionUp(session + 1, transparent))
  for (const withdraws of [false, true]) {
    for (const updates of updatesOf(1, withdraws)) {
      engine.take(updates)
      while (engine.step());
    }
  }
}

function sessionUp(session: number, routeServerClient: boolean): SessionUp {
  return {
    kind: 'up',
    session,
    slot: 0,
    peer: '',
    local: Uint8Array.of(127, 0, 0, 1),
    remote: Uint8Array.of(127, 0, 0, 1 + session),
    negotiated: { ...plainNegotiated, remoteAs: 64_512 + session, remoteId: session },
    handling: { ...plainHandling, routeServerClient },
  }
}

function updatesOf(session: number, withdraws: boolean): Updates[] {
  const builder = new UpdateBuilder()
  const all: Updates[] = []
  let memory = new SharedArrayBuffer(CHUNK_BYTES)
  let end = 0
  builder.target(new Uint8Array(memory))
  for (let i = 0; i < UPDATES; i++) {
    if (end > CHUNK_BYTES - 4096) {
      all.push({ kind: 'updates', memory, runs: Int32Array.of(session, 0, end) })
      memory = new SharedArrayBuffer(CHUNK_BYTES)
      builder.target(new Uint8Array(memory))
      end = 0
    }
    builder.begin(end, FAMILY.ipv4Unicast, withdraws ? undefined : attributesOf(i))
    for (let j = 0; j < PREFIXES; j++) builder.addPrefix4(((10 << 24) | ((i * PREFIXES + j) << 8)) >>> 0, 24)
    end = builder.finish()
  }
  all.push({ kind: 'updates', memory, runs: Int32Array.of(session, 0, end) })
  return all
}

/** ORIGIN, AS_PATH, NEXT_HOP and COMMUNITIES. */
function attributesOf(i: number): Uint8Array {
  const path = [0, 0, 252, 1, 0, 0, i >>> 8, i & 255]
  const communities = [252, 1, (i >>> 8) & 255, i & 255]
  return Uint8Array.from([
    ...[0x40, 1, 1, 0],
    ...[0x40, 2, 10, 2, 2, ...path],
    ...[0x40, 3, 4, 192, 0, 2, 1],
    ...[0xc0, 8, 4, ...communities],
  ])
}
