/**
 * Sessions in bad company. Storms: two speakers are started, stopped, reset, stalled and cut off at random, and once it
 * is calm they are up, over one connection. Hostile peers: whatever bytes come, nothing is thrown, each end has a
 * reason, and an honest peer gets its session after.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../../../base/random.ts'
import { KEEPALIVE, MESSAGE, messageOf } from '../../../wire/bgp/message.ts'
import { CEASE, encodeNotification, notification } from '../../../wire/bgp/notification.ts'
import { encodeOpen } from '../../../wire/bgp/open.ts'
import type { MemoryConnection } from './memory-network.ts'
import { offerOf, type Speaker, Speakers } from './memory-speakers.ts'
import { openOf } from './negotiate.ts'
import type { BgpSession } from './session.ts'

const runs = Number(process.env['FUZZ_N'] ?? 200)
const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
const random = new Random(seed)

/** The longest wait that a session may be in, and the OPEN hold timer of a connection that was lost without a word. */
const CALM_MS = 20 * 60_000
const shutdown = notification(CEASE.code, CEASE.shutdown)
const update = messageOf(MESSAGE.update, new Uint8Array(4))

/** What may befall two speakers. */
const STORM: readonly ((site: Speakers) => void)[] = [
  (site) => session(site).stop(shutdown, { startAfter_ms: random.below(2) * 30_000 }),
  (site) => session(site).start(),
  (site) => session(site).start(),
  (site) => session(site).reset(notification(CEASE.code, CEASE.reset)),
  (site) => (speaker(site).listens = !speaker(site).listens),
  (site) => (site.network.isCut = !site.network.isCut),
  (site) => withEnd(site, (end) => (end.stalled = true)),
  (site) => withEnd(site, (end) => (end.reads = !end.reads)),
  (site) => withEnd(site, (end) => end.lose('the connection was reset')),
  (site) => {
    for (let i = random.below(300); i > 0; i--) session(site).send(update)
  },
]

const speaker = (site: Speakers): Speaker => (random.chance(0.5) ? site.one : site.two)
const session = (site: Speakers): BgpSession => speaker(site).session

function withEnd(site: Speakers, run: (end: MemoryConnection) => void): void {
  const ends = site.openEnds()
  if (ends.length > 0) run(random.pick(ends))
}

test(`storms, ${runs} of them, FUZZ_SEED=${seed}`, () => {
  for (let run = 0; run < runs; run++) {
    const gracefulRestart = { restartTime_s: 9, restarting: false, notification: true, forwarding: 1 }
    const site = new Speakers({
      a: { delayOpen_ms: random.pick([0, 0, 2000]), passive: random.chance(0.2) },
      b: { sendHold_ms: 20_000 },
      offerA: { holdTime_s: random.pick([0, 9, 90]), ...(random.chance(0.5) && { gracefulRestart }) },
      offerB: { gracefulRestart },
      network: { pieceBytes: random.pick([1, 11, 65_536]), bufferBytes: 4096 },
      seed: random.u32(),
    })
    for (let step = random.below(40); step > 0; step--) {
      random.pick(STORM)(site)
      site.clock.advance(random.below(random.pick([10, 1000, 60_000])))
    }
    site.network.isCut = false
    for (const speaker of [site.one, site.two]) speaker.listens = true
    for (const end of site.network.connections) {
      // With a hold time of 0 nothing tells a speaker that the other one is gone.
      for (const one of [end, end.peer]) {
        one.reads = true
        one.stalled = false
        one.lose('the storm took it')
      }
    }
    site.start()
    site.clock.advance(CALM_MS)
    deepEqual(site.states, ['established', 'established'], `run ${run}`)
    site.keeper()
    for (const { session } of [site.one, site.two])
      equal(session.counters.established, session.counters.flaps + 1, `run ${run}`)
  }
})

const open = encodeOpen({ ...openOf(offerOf(2, 1)) })
const SAYINGS = [
  open,
  open,
  KEEPALIVE,
  KEEPALIVE,
  update,
  messageOf(MESSAGE.routeRefresh, Uint8Array.of(0, 1, 0, 1)),
  messageOf(MESSAGE.routeRefresh, new Uint8Array(0)),
  encodeNotification(notification(CEASE.code, CEASE.shutdown)),
  messageOf(MESSAGE.update, new Uint8Array(5000)),
]

/** Mostly what a peer would say, in an order that it would not; some of it changed, cut or doubled. */
function saying(step: number): Uint8Array {
  const message = (step < 2 && random.chance(0.7) ? [open, KEEPALIVE][step]! : random.pick(SAYINGS)).slice()
  if (random.chance(0.3)) message[random.below(message.length)] = random.u32()
  return random.chance(0.1) ? message.subarray(0, random.below(message.length)) : message
}

test(`hostile peers, ${runs * 5} of them, FUZZ_SEED=${seed}`, () => {
  const site = new Speakers({ a: { passive: true }, network: { pieceBytes: 50 } })
  const { one, two, clock } = site
  one.session.start()
  for (let run = 0; run < runs * 5; run++) {
    const peer = site.connectTo(one)
    clock.advance(2)
    for (let step = 0; step < 12; step++) {
      peer.send(saying(step))
      clock.advance(5)
    }
    if (random.chance(0.5)) peer.close()
    clock.advance(random.pick([10, 10_000, 300_000]))
    site.network.connections.length = 0
  }
  const { connectsIn, established, lastDown } = one.session.counters
  ok(connectsIn > runs && established > 0, `${connectsIn} connections, ${established} established`)
  ok(lastDown!.sentence.length > 0)
  clock.advance(CALM_MS)
  two.session.start()
  clock.advance(CALM_MS)
  deepEqual(site.states, ['established', 'established'])
})
