import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { KEEPALIVE, MESSAGE, messageOf } from '../../../wire/bgp/message.ts'
import { CEASE, ceaseWithText, encodeNotification, notification, UPDATE_ERROR } from '../../../wire/bgp/notification.ts'
import { encodeOpen } from '../../../wire/bgp/open.ts'
import type { Connection } from './connection.ts'
import { downByError } from './down.ts'
import type { MemoryConnection } from './memory-network.ts'
import { offerOf, Speakers } from './memory-speakers.ts'
import { openOf } from './negotiate.ts'

const MINUTE_MS = 60_000
const update = messageOf(MESSAGE.update, new Uint8Array(4))
const shutdown = notification(CEASE.code, CEASE.shutdown)
const UP = ['established', 'established']

suite('two sessions', () => {
  test('come up within milliseconds when only one of them connects', () => {
    const site = new Speakers({ b: { passive: true } })
    const { one, two, clock } = site
    two.session.start()
    equal(two.session.state, 'active')
    one.session.start()
    clock.advance(6)
    deepEqual(site.states, UP)
    const states = ['idle connect', 'connect openSent', 'openSent openConfirm', 'openConfirm established', 'up']
    deepEqual(one.news, states)
    equal(one.session.negotiated!.remoteAs, 65_002)
    equal(two.session.negotiated!.remoteId, 1)
  })

  test('that both connect keep one connection, the one that the higher identifier opened', () => {
    for (const [localId, keeper] of [
      [1, '10.0.0.2'],
      [9, '10.0.0.1'],
    ] as const) {
      const site = new Speakers({ offerA: { localId } })
      site.up()
      equal(site.keeper(), keeper)
      equal(site.one.session.counters.flaps + site.two.session.counters.flaps, 0)
    }
  })

  test('with the same identifier let the higher AS decide (RFC 6286)', () => {
    const site = new Speakers({ offerB: { localId: 1 } })
    site.up()
    equal(site.keeper(), '10.0.0.2')
  })

  test('come up whichever millisecond each starts in, and never flap', () => {
    for (let lead_ms = 0; lead_ms < 12; lead_ms++) {
      for (const pieceBytes of [1, 7, 65_536]) {
        const site = new Speakers({ network: { pieceBytes, latency_ms: 2 } })
        site.one.session.start()
        site.clock.advance(lead_ms)
        site.two.session.start()
        site.clock.advance(10_000)
        deepEqual(site.states, UP, `${lead_ms} ms, ${pieceBytes} bytes`)
        equal(site.one.session.counters.flaps + site.two.session.counters.flaps, 0, `${lead_ms} ms`)
      }
    }
  })

  test('carry updates a byte at a time, and count them', () => {
    const site = new Speakers({ network: { pieceBytes: 1 } })
    site.up()
    for (let i = 0; i < 10; i++) site.one.session.send(update)
    site.clock.advance(100)
    deepEqual(site.two.updates, new Array(10).fill(update.length))
    equal(site.one.session.counters.messagesOut[MESSAGE.update], 10)
    equal(site.two.session.counters.messagesIn[MESSAGE.update], 10)
  })

  test('stay up for a day on keepalives alone, three in a hold time', () => {
    const site = new Speakers({ offerB: { holdTime_s: 30 } })
    site.up()
    site.clock.advance(24 * 60 * MINUTE_MS)
    deepEqual(site.states, UP)
    equal(site.one.session.counters.flaps, 0)
    // 10 s less up to a quarter of jitter: 8,640 to 11,520 a day.
    const said = site.one.session.counters.messagesOut[MESSAGE.keepalive]!
    ok(said > 8640 && said < 11_520, `${said}`)
  })

  test('with a hold time of 0 say nothing and wait for ever', () => {
    const site = new Speakers({ offerB: { holdTime_s: 0 } })
    site.up()
    site.network.isCut = true
    site.clock.advance(24 * 60 * MINUTE_MS)
    deepEqual(site.states, UP)
    ok(site.one.session.counters.messagesOut[MESSAGE.keepalive]! <= 2)
  })

  test('do not send keepalives while updates say enough', () => {
    const site = new Speakers({ offerA: { holdTime_s: 9 } })
    site.up()
    const { counters } = site.one.session
    const before = counters.messagesOut[MESSAGE.keepalive]
    for (let i = 0; i < 60; i++) {
      site.one.session.send(update)
      site.clock.advance(1000)
    }
    equal(counters.messagesOut[MESSAGE.keepalive], before)
  })
})

/** Peers may confirm one connection in the moment in which they choose the other: nothing may be established by that. */
suite('a peer of the higher identifier that opens both connections at once', () => {
  const open = encodeOpen(openOf(offerOf(2, 1)))
  const deaf = { opened() {}, message() {}, fault() {}, failed() {}, wrote() {} }

  /** It has said OPEN and KEEPALIVE on our connection, and nothing yet on its own. */
  const collide = () => {
    const site = new Speakers()
    let ours!: Connection
    site.two.accept = () => (connection) => {
      ours = connection
      connection.start(deaf)
    }
    site.one.session.start()
    const theirs = site.connectTo(site.one)
    theirs.start(deaf)
    site.clock.advance(3)
    ours.send(open)
    ours.send(KEEPALIVE)
    site.clock.advance(5)
    equal(site.one.session.state, 'openSent')
    return { site, ours: ours as MemoryConnection, theirs, session: site.one.session }
  }

  test('gets its own', () => {
    const { site, ours, theirs, session } = collide()
    theirs.send(open)
    theirs.send(KEEPALIVE)
    site.clock.advance(5)
    equal(session.state, 'established')
    deepEqual([ours.peer.isClosed, theirs.peer.isClosed], [true, false])
    deepEqual([session.counters.established, session.counters.flaps, session.counters.lastDown], [1, 0, undefined])
  })

  test('gets ours when it drops its own, or says nothing on it', () => {
    for (const drops of [true, false]) {
      const { site, ours, theirs, session } = collide()
      if (drops) theirs.close()
      site.clock.advance(drops ? 5 : 2000)
      equal(session.state, 'established')
      equal(ours.peer.isClosed, false)
      equal(session.counters.established, 1)
    }
  })

  test('gets its own when it has dropped ours', () => {
    const { site, ours, theirs, session } = collide()
    ours.send(encodeNotification(notification(CEASE.code, CEASE.collision)))
    ours.close()
    site.clock.advance(5)
    theirs.send(open)
    theirs.send(KEEPALIVE)
    site.clock.advance(5)
    equal(session.state, 'established')
    equal(session.counters.lastDown, undefined)
  })
})

suite('a session ends', () => {
  test('when the peer falls silent for the hold time', () => {
    const site = new Speakers({ offerA: { holdTime_s: 9 } })
    const { one, two, clock } = site
    site.up()
    site.network.isCut = true
    clock.advance(8000)
    deepEqual(site.states, UP)
    clock.advance(4000)
    ok(one.news.includes('down: nothing came from the peer for 9 s'), one.news.join())
    equal(one.session.counters.lastDown!.cause, 'hold-expired')
    equal(one.session.counters.flaps, 1)
    site.network.isCut = false
    clock.advance(5 * MINUTE_MS)
    deepEqual(site.states, UP)
    equal(two.news.filter((line) => line === 'up').length, 2)
  })

  test('not by a stall of its own: what has come is read before the silence is believed', () => {
    const site = new Speakers({ offerA: { holdTime_s: 9 } })
    site.up()
    const ours = site.openEnds().find(({ local }) => local === site.one.address)!
    ours.stalled = true
    site.clock.advance(MINUTE_MS)
    equal(ours.stalled, false)
    equal(site.one.session.counters.flaps, 0)
  })

  test('not while there is more than can be taken: that silence is its own altogether', () => {
    const site = new Speakers({ offerA: { holdTime_s: 9 } })
    site.up()
    const ours = site.openEnds().find(({ local }) => local === site.one.address)!
    ours.reads = false
    site.clock.advance(MINUTE_MS)
    equal(site.one.session.counters.flaps, 0)
  })

  test('when the peer reads nothing for the send hold time, although it talks (RFC 9687)', () => {
    const site = new Speakers({ network: { bufferBytes: 4096 }, a: { sendHold_ms: 20_000 } })
    site.up()
    for (const end of site.openEnds()) if (end.local === site.two.address) end.reads = false
    for (let i = 0; i < 400; i++) site.one.session.send(update)
    site.clock.advance(19_000)
    equal(site.one.session.state, 'established')
    site.clock.advance(2000)
    const said = 'down: the peer took nothing of what was sent for 20 s'
    ok(site.one.news.includes(said), site.one.news.join('\n'))
  })

  test('by order, with words for the other operator, and starts only when told to', () => {
    const site = new Speakers()
    const { one, two, clock } = site
    site.up()
    one.session.stop(ceaseWithText(CEASE.shutdown, 'fibre works until 18:00'))
    clock.advance(10)
    equal(one.session.state, 'idle')
    const said = 'down: the peer closed it: cease, administrative shutdown: "fibre works until 18:00"'
    ok(two.news.includes(said), two.news.join('\n'))
    clock.advance(10 * MINUTE_MS)
    equal(one.session.state, 'idle')
    ok(one.session.counters.connectsRefused > 0)
    one.session.start()
    clock.advance(3 * MINUTE_MS)
    deepEqual(site.states, UP)
  })

  test('by order for a while: too many prefixes, say', () => {
    const site = new Speakers()
    site.up()
    site.one.session.stop(notification(CEASE.code, CEASE.maximumPrefixes), { startAfter_ms: 5 * MINUTE_MS })
    site.clock.advance(4 * MINUTE_MS)
    equal(site.one.session.state, 'idle')
    site.clock.advance(3 * MINUTE_MS)
    deepEqual(site.states, UP)
  })

  test('and begins again at once when it is reset', () => {
    const site = new Speakers()
    site.up()
    site.one.session.reset(notification(CEASE.code, CEASE.reset))
    site.clock.advance(3000)
    deepEqual(site.states, UP)
    equal(site.two.session.counters.flaps, 1)
  })

  test('for what a message of the peer said, as is found out later, and waits longer each time (RFC 4271 event 28)', () => {
    const site = new Speakers()
    const { one, two, clock } = site
    site.up()
    const error = notification(UPDATE_ERROR.code, UPDATE_ERROR.malformedList)
    for (let i = 0; i < 10 * 60; i++, clock.advance(1000)) one.session.fail(error)
    const { flaps, lastDown } = one.session.counters
    deepEqual(lastDown, downByError(error))
    equal(two.session.counters.lastDown?.cause, 'notification')
    ok(flaps > 5 && flaps < 30, `${flaps} times in ten minutes`)
    clock.advance(2 * MINUTE_MS)
    deepEqual(site.states, UP)
  })

  test('from within its own events, without losing its way', () => {
    for (const how of ['stop', 'reset'] as const) {
      const site = new Speakers()
      const { one, two, clock } = site
      site.up()
      two.update = () => two.session[how](shutdown)
      for (let i = 0; i < 3; i++) one.session.send(update)
      clock.advance(10)
      equal(two.session.counters.flaps, 1)
      clock.advance(MINUTE_MS)
      equal(two.session.state, how === 'stop' ? 'idle' : 'established')
    }
  })
})

suite('a session that cannot come up', () => {
  test('tries to connect less and less often, never in step, and takes the peer at once when it is there', () => {
    const site = new Speakers()
    const { one, two, clock } = site
    two.listens = false
    one.session.start()
    const times_ms = [0]
    for (let at_ms = 0; at_ms < 20 * MINUTE_MS; at_ms += 100) {
      const before = one.session.counters.connectsOut
      clock.advance(100)
      if (one.session.counters.connectsOut > before) times_ms.push(at_ms)
    }
    const gaps_ms = times_ms.slice(1).map((at_ms, i) => at_ms - times_ms[i]!)
    ok(gaps_ms[0]! >= 3700 && gaps_ms[0]! <= 5100, `${gaps_ms}`)
    ok(gaps_ms.at(-1)! >= 89_000 && gaps_ms.at(-1)! <= 120_100, `${gaps_ms}`)
    ok(new Set(gaps_ms.slice(-5)).size > 2, 'jitter')
    equal(one.session.state, 'active')
    equal(one.session.counters.lastDown!.sentence, 'the peer refuses connections')
    two.listens = true
    two.session.start()
    clock.advance(100)
    deepEqual(site.states, UP)
  })

  test('waits longer after each failure, tells both operators why, and comes up when it is put right', () => {
    const site = new Speakers({ offerA: { remoteAs: [{ from: 1, to: 1 }] } })
    const { one, two, clock } = site
    site.start()
    clock.advance(30 * MINUTE_MS)
    equal(one.session.counters.lastDown!.sentence, 'we closed it: OPEN message error, bad peer AS')
    equal(two.session.counters.lastDown!.sentence, 'the peer closed it: OPEN message error, bad peer AS')
    const tries = one.session.counters.connectsOut + one.session.counters.connectsIn
    ok(tries > 20 && tries < 200, `${tries} tries in half an hour`)
    one.session.options = { ...one.session.options, offer: offerOf(1, 2) }
    clock.advance(2 * MINUTE_MS)
    deepEqual(site.states, UP)
  })

  test('lets a connection of the peer wait in the idle hold time, and the newest of several', () => {
    const site = new Speakers({ a: { passive: true, idleHoldMin_ms: 10_000 } })
    const { one, clock } = site
    one.session.start()
    const first = site.connectTo(one)
    clock.advance(10)
    first.send(messageOf(MESSAGE.update, new Uint8Array(4)))
    clock.advance(10)
    equal(one.session.state, 'idle')
    const waiting = [site.connectTo(one), site.connectTo(one)]
    clock.advance(1000)
    deepEqual(
      waiting.map(({ peer }) => [peer.isClosed, peer.sent.length]),
      [
        [true, 0],
        [false, 0],
      ],
    )
    clock.advance(10_000)
    equal(one.session.state, 'openSent')
    equal(waiting[1]!.peer.sent.length, 1)
  })

  test('gives up a peer that answers no OPEN, after four minutes', () => {
    const site = new Speakers({ a: { passive: true } })
    site.one.session.start()
    site.connectTo(site.one)
    site.clock.advance(239_000)
    equal(site.one.session.state, 'openSent')
    site.clock.advance(2000)
    equal(site.one.session.counters.lastDown!.cause, 'hold-expired')
  })

  test('is over after one connection when it was made for one', () => {
    const site = new Speakers({ a: { passive: true, once: true } })
    const { one, clock } = site
    one.session.start()
    const only = site.connectTo(one)
    clock.advance(10)
    only.close()
    clock.advance(10 * MINUTE_MS)
    deepEqual(one.news, ['idle active', 'active openSent', 'openSent idle connection-failed'])
    const next = site.connectTo(one)
    clock.advance(10)
    equal(next.peer.isClosed, false)
  })
})

suite('a second connection of the peer', () => {
  test('is refused while the session is established', () => {
    const site = new Speakers()
    site.up()
    site.clock.advance(MINUTE_MS)
    const second = site.connectTo(site.one)
    site.clock.advance(10)
    deepEqual([...second.peer.sent[0]!.subarray(18)], [MESSAGE.notification, CEASE.code, CEASE.collision])
    equal(second.peer.isClosed, true)
    equal(site.one.session.counters.flaps, 0)
  })

  test('is a restart when the peer has said that it can restart gracefully (RFC 4724)', () => {
    const gracefulRestart = { restartTime_s: 120, restarting: false, notification: true, forwarding: 1 }
    for (const passive of ['a', 'b'] as const) {
      const site = new Speakers({
        offerA: { gracefulRestart },
        offerB: { gracefulRestart },
        [passive]: { passive: true },
      })
      const { one, two, clock } = site
      site.up()
      clock.advance(MINUTE_MS)
      // The second one's machine goes down without a word, and comes back.
      for (const end of site.openEnds()) if (end.local === two.address) end.isClosed = true
      site.begin(two, { offer: { ...offerOf(2, 1), gracefulRestart } })
      two.session.start()
      clock.advance(1000)
      deepEqual(site.states, UP, passive)
      equal(one.session.counters.lastDown!.cause, 'peer-restarted')
    }
  })

  test('in the first seconds is one that both ends were opening, graceful or not', () => {
    const gracefulRestart = { restartTime_s: 120, restarting: false, notification: true, forwarding: 1 }
    const site = new Speakers({ offerA: { gracefulRestart }, offerB: { gracefulRestart } })
    site.up()
    site.connectTo(site.one)
    site.clock.advance(MINUTE_MS)
    equal(site.one.session.counters.flaps, 0)
  })
})

test('a connection to a session that was not started is refused with a word and closed', () => {
  const site = new Speakers()
  const stranger = site.connectTo(site.one)
  site.clock.advance(10)
  deepEqual([...stranger.peer.sent[0]!.subarray(18)], [MESSAGE.notification, CEASE.code, CEASE.rejected])
  equal(stranger.peer.isClosed, true)
})
