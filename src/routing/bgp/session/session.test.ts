import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseAddress } from '../../../base/address.ts'
import { ManualClock } from '../../../base/clock.ts'
import { Random } from '../../../base/random.ts'
import { FAMILY } from '../../../wire/bgp/family.ts'
import { MESSAGE, messageOf } from '../../../wire/bgp/message.ts'
import { CEASE, ceaseWithText, notification } from '../../../wire/bgp/notification.ts'
import type { Connection } from './connection.ts'
import { MemoryNetwork, type MemoryNetworkOptions } from './memory-network.ts'
import type { Offer } from './negotiate.ts'
import { BgpSession } from './session.ts'
import { defaultSessionOptions, type SessionOptions } from './session-options.ts'

const MINUTE_MS = 60_000
const update = messageOf(MESSAGE.update, new Uint8Array(4))
const shutdown = notification(CEASE.code, CEASE.shutdown)

const offer = (number: number, other: number, over: Partial<Offer> = {}): Offer => ({
  localAs: 65_000 + number,
  localId: number,
  remoteAs: [{ from: 65_000 + other, to: 65_000 + other }],
  holdTime_s: 90,
  holdTimeMin_s: 3,
  families: [{ family: FAMILY.ipv4Unicast }],
  extendedMessages: true,
  ...over,
})

/** One speaker: its session, what it tells, and whether it accepts connections at all. */
class Speaker {
  readonly news: string[] = []
  readonly updates: number[] = []
  session!: BgpSession
  listens = true

  accept = (): ((connection: Connection) => void) | undefined =>
    this.listens ? (connection) => this.session.accept(connection) : undefined
}

interface PairOptions {
  a?: Partial<SessionOptions>
  b?: Partial<SessionOptions>
  offerA?: Partial<Offer>
  offerB?: Partial<Offer>
  network?: MemoryNetworkOptions
  seed?: number
}

/** Two speakers, 1 and 2, on one wire and one clock. Neither has started. */
function pair({ a, b, offerA, offerB, network: shape, seed = 7 }: PairOptions = {}) {
  const clock = new ManualClock()
  const random = new Random(seed)
  const network = new MemoryNetwork(clock, shape)
  const [one, two] = [new Speaker(), new Speaker()]
  const addresses = ['10.0.0.1', '10.0.0.2'].map((text) => parseAddress(text)!)
  const make = (
    speaker: Speaker,
    i: number,
    over: Partial<SessionOptions> = {},
    offered: Partial<Offer> = {},
  ): void => {
    const peer = i === 0 ? two : one
    const options = { ...defaultSessionOptions, offer: offer(i + 1, 2 - i, offered), ...over }
    const connector = network.connector(addresses[i]!, addresses[1 - i]!, () => peer.accept())
    const events = {
      stateChanged: (from: string, to: string, reason?: { cause: string }) =>
        void speaker.news.push(`${from} ${to}${reason ? ` ${reason.cause}` : ''}`),
      established: () => void speaker.news.push('up'),
      update: ({ at, end }: { at: number; end: number }) => void speaker.updates.push(end - at),
      refresh: () => void speaker.news.push('refresh'),
      down: ({ sentence }: { sentence: string }) => void speaker.news.push(`down: ${sentence}`),
    }
    speaker.session = new BgpSession({ options, connector, events, clock, random })
  }
  make(one, 0, a, offerA)
  make(two, 1, b, offerB)
  const states = () => [one.session.state, two.session.state]
  const up = (): void => {
    one.session.start()
    two.session.start()
    clock.advance(1000)
    deepEqual(states(), ['established', 'established'])
  }
  return { clock, network, one, two, states, up }
}

suite('two sessions', () => {
  test('come up within milliseconds when only one of them connects', () => {
    const { clock, one, two, states } = pair({ b: { passive: true } })
    two.session.start()
    equal(two.session.state, 'active')
    one.session.start()
    clock.advance(6)
    deepEqual(states(), ['established', 'established'])
    deepEqual(one.news, ['idle connect', 'connect openSent', 'openSent openConfirm', 'openConfirm established', 'up'])
    equal(one.session.negotiated!.remoteAs, 65_002)
    equal(two.session.negotiated!.remoteId, 1)
  })

  test('that both connect keep one connection, the one that the higher identifier opened', () => {
    for (const [idA, idB, keeper] of [
      [1, 2, '10.0.0.2'],
      [9, 2, '10.0.0.1'],
    ] as const) {
      const { network, one, up, two } = pair({ offerA: { localId: idA }, offerB: { localId: idB } })
      up()
      const open = network.connections.filter(({ isClosed, peer }) => !isClosed && !peer.isClosed)
      deepEqual(
        open.map(({ local }) => local.join('.')),
        [keeper],
      )
      deepEqual([one.session.counters.flaps, two.session.counters.flaps], [0, 0])
    }
  })

  test('with the same identifier let the higher AS decide (RFC 6286)', () => {
    const { network, up } = pair({ offerB: { localId: 1 } })
    up()
    const open = network.connections.filter(({ isClosed, peer }) => !isClosed && !peer.isClosed)
    deepEqual(
      open.map(({ local }) => local.join('.')),
      ['10.0.0.2'],
    )
  })

  test('come up whichever millisecond each starts in, and never flap', () => {
    for (let lead_ms = 0; lead_ms < 12; lead_ms++) {
      for (const pieceBytes of [1, 7, 65_536]) {
        const { clock, one, two, states } = pair({ network: { pieceBytes, latency_ms: 2 } })
        one.session.start()
        clock.advance(lead_ms)
        two.session.start()
        clock.advance(10_000)
        deepEqual(states(), ['established', 'established'], `${lead_ms} ms, ${pieceBytes} bytes`)
        deepEqual([one.session.counters.flaps, two.session.counters.flaps], [0, 0], `${lead_ms} ms`)
      }
    }
  })

  test('carry updates a byte at a time, and count them', () => {
    const { clock, one, two, up } = pair({ network: { pieceBytes: 1 } })
    up()
    for (let i = 0; i < 10; i++) one.session.send(update)
    clock.advance(100)
    deepEqual(two.updates, new Array(10).fill(update.length))
    equal(one.session.counters.messagesOut[MESSAGE.update], 10)
    equal(two.session.counters.messagesIn[MESSAGE.update], 10)
  })

  test('stay up for a day on keepalives alone, three in a hold time', () => {
    const { clock, one, two, up, states } = pair({ offerB: { holdTime_s: 30 } })
    up()
    clock.advance(24 * 60 * MINUTE_MS)
    deepEqual(states(), ['established', 'established'])
    equal(one.session.counters.flaps + two.session.counters.flaps, 0)
    // 10 s less up to a quarter of jitter: 8,640 to 11,520 a day.
    const said = one.session.counters.messagesOut[MESSAGE.keepalive]!
    ok(said > 8640 && said < 11_520, `${said}`)
  })

  test('with a hold time of 0 say nothing and wait for ever', () => {
    const { clock, network, one, up, states } = pair({ offerB: { holdTime_s: 0 } })
    up()
    network.isCut = true
    clock.advance(24 * 60 * MINUTE_MS)
    deepEqual(states(), ['established', 'established'])
    ok(one.session.counters.messagesOut[MESSAGE.keepalive]! <= 2)
  })

  test('do not send keepalives while updates say enough', () => {
    const { clock, one, up } = pair({ offerA: { holdTime_s: 9 } })
    up()
    const before = one.session.counters.messagesOut[MESSAGE.keepalive]!
    for (let i = 0; i < 60; i++) {
      one.session.send(update)
      clock.advance(1000)
    }
    equal(one.session.counters.messagesOut[MESSAGE.keepalive], before)
  })
})

suite('a session ends', () => {
  test('when the peer falls silent for the hold time, and tells it', () => {
    const { clock, network, one, two, up, states } = pair({ offerA: { holdTime_s: 9 } })
    up()
    network.isCut = true
    clock.advance(8000)
    deepEqual(states(), ['established', 'established'])
    clock.advance(4000)
    ok(one.news.includes('down: nothing came from the peer for 9 s'), one.news.join())
    equal(one.session.counters.lastDown!.cause, 'hold-expired')
    equal(one.session.counters.flaps, 1)
    network.isCut = false
    clock.advance(5 * MINUTE_MS)
    deepEqual(states(), ['established', 'established'])
    equal(two.news.filter((line) => line === 'up').length, 2)
  })

  test('not by a stall of its own: what has come is read before the silence is believed', () => {
    const { clock, network, one, up } = pair({ offerA: { holdTime_s: 9 } })
    up()
    const ours = network.connections.flatMap((end) => [end, end.peer]).filter(({ isClosed }) => !isClosed)
    const mine = ours.find(({ local }) => local.join('.') === '10.0.0.1')!
    mine.stalled = true
    clock.advance(60_000)
    equal(one.session.state, 'established')
    equal(one.session.counters.flaps, 0)
  })

  test('when the peer reads nothing for the send hold time, although it talks (RFC 9687)', () => {
    const { clock, network, one, up } = pair({ network: { bufferBytes: 4096 }, a: { sendHold_ms: 20_000 } })
    up()
    for (const end of network.connections.flatMap((near) => [near, near.peer]))
      if (end.local.join('.') === '10.0.0.2') end.reads = false
    for (let i = 0; i < 400; i++) one.session.send(update)
    clock.advance(19_000)
    equal(one.session.state, 'established')
    clock.advance(2000)
    ok(one.news.includes('down: the peer took nothing of what was sent for 20 s'), one.news.join('\n'))
  })

  test('by order, with words for the other operator, and starts only when told to', () => {
    const { clock, one, two, up, states } = pair()
    up()
    one.session.stop(ceaseWithText(CEASE.shutdown, 'fibre works until 18:00'))
    clock.advance(10)
    equal(one.session.state, 'idle')
    const [said] = two.news.filter((line) => line.startsWith('down'))
    equal(said, 'down: the peer closed it: cease, administrative shutdown: "fibre works until 18:00"')
    clock.advance(10 * MINUTE_MS)
    equal(one.session.state, 'idle')
    ok(two.session.state !== 'established')
    equal(one.session.counters.connectsRefused > 0, true)
    one.session.start()
    clock.advance(3 * MINUTE_MS)
    deepEqual(states(), ['established', 'established'])
  })

  test('by order for a while: too many prefixes, say', () => {
    const { clock, one, up, states } = pair()
    up()
    one.session.stop(notification(CEASE.code, CEASE.maximumPrefixes), { startAfter_ms: 5 * MINUTE_MS })
    clock.advance(4 * MINUTE_MS)
    equal(one.session.state, 'idle')
    clock.advance(3 * MINUTE_MS)
    deepEqual(states(), ['established', 'established'])
  })

  test('and begins again at once when it is reset', () => {
    const { clock, one, two, up, states } = pair()
    up()
    one.session.reset(notification(CEASE.code, CEASE.reset))
    clock.advance(3000)
    deepEqual(states(), ['established', 'established'])
    equal(two.session.counters.flaps, 1)
  })

  test('from within its own events, without losing its way', () => {
    const { clock, one, two, up, states } = pair()
    up()
    const updates = two.updates
    updates.push = () => {
      two.session.stop(shutdown)
      return 0
    }
    for (let i = 0; i < 3; i++) one.session.send(update)
    clock.advance(10)
    equal(two.session.state, 'idle')
    equal(two.session.counters.flaps, 1)
    deepEqual(states()[1], 'idle')
  })
})

suite('a session that cannot come up', () => {
  test('tries to connect less and less often, never in step, and at once again after success', () => {
    const { clock, network, one, two, states } = pair()
    two.listens = false
    one.session.start()
    const times = [0]
    for (let at_ms = 0; at_ms < 20 * MINUTE_MS; at_ms += 100) {
      const before = network.connections.length
      clock.advance(100)
      if (network.connections.length > before) times.push(at_ms)
    }
    const gaps = times.slice(1).map((at, i) => at - times[i]!)
    ok(gaps[0]! >= 3700 && gaps[0]! <= 5100, `${gaps}`)
    ok(gaps.at(-1)! >= 89_000 && gaps.at(-1)! <= 120_100, `${gaps}`)
    ok(new Set(gaps.slice(-5)).size > 2, 'jitter')
    equal(one.session.state, 'active')
    equal(one.session.counters.lastDown!.sentence, 'the peer refuses connections')
    two.listens = true
    two.session.start()
    clock.advance(100)
    deepEqual(states(), ['established', 'established'])
  })

  test('waits longer after each failure, tells why, and takes a connection that came meanwhile when it is over', () => {
    const { clock, one, two, states } = pair({ offerA: { remoteAs: [{ from: 1, to: 1 }] } })
    one.session.start()
    two.session.start()
    clock.advance(30 * MINUTE_MS)
    const sentence = one.session.counters.lastDown!.sentence
    equal(sentence, 'we closed it: OPEN message error, bad peer AS')
    equal(two.session.counters.lastDown!.sentence, 'the peer closed it: OPEN message error, bad peer AS')
    const tries = one.session.counters.connectsOut + one.session.counters.connectsIn
    ok(tries > 20 && tries < 200, `${tries} tries in half an hour`)
    one.session.options = { ...one.session.options, offer: offer(1, 2) }
    clock.advance(2 * MINUTE_MS)
    deepEqual(states(), ['established', 'established'])
  })

  test('gives up a peer that answers no OPEN, after four minutes', () => {
    const { clock, one, network } = pair()
    const dumb = network.connector(parseAddress('10.0.0.2')!, parseAddress('10.0.0.1')!, () => one.accept())
    one.session.options = { ...one.session.options, passive: true }
    one.session.start()
    dumb.open()
    clock.advance(239_000)
    equal(one.session.state, 'openSent')
    clock.advance(2000)
    equal(one.session.counters.lastDown!.cause, 'hold-expired')
  })
})

suite('a second connection of the peer', () => {
  const again = (speakers: ReturnType<typeof pair>, from: '10.0.0.1' | '10.0.0.2') => {
    const to = from === '10.0.0.1' ? speakers.two : speakers.one
    const connector = speakers.network.connector(parseAddress(from)!, parseAddress('10.0.0.9')!, () => to.accept())
    return connector.open()
  }

  test('is refused while the session is established', () => {
    const speakers = pair()
    speakers.up()
    speakers.clock.advance(MINUTE_MS)
    again(speakers, '10.0.0.2')
    speakers.clock.advance(MINUTE_MS)
    equal(speakers.one.session.counters.connectsRefused, 1)
    equal(speakers.one.session.counters.flaps, 0)
  })

  test('is a restart when the peer has said that it can restart gracefully (RFC 4724)', () => {
    const gracefulRestart = { restartTime_s: 120, restarting: false, notification: true, forwarding: 1 }
    for (const passive of ['a', 'b'] as const) {
      const speakers = pair({
        offerA: { gracefulRestart },
        offerB: { gracefulRestart },
        [passive]: { passive: true },
      })
      const { one, two, clock, network } = speakers
      speakers.up()
      clock.advance(MINUTE_MS)
      // The second speaker's machine goes down without a word: nothing that its connections say arrives any more.
      for (const end of network.connections.flatMap((near) => [near, near.peer])) end.isClosed = true
      two.session = new BgpSession({
        options: { ...two.session.options, passive: false },
        connector: two.session.connector,
        events: { stateChanged() {}, established() {}, update() {}, refresh() {}, down() {} },
        clock,
        random: new Random(1),
      })
      two.session.start()
      clock.advance(1000)
      equal(two.session.state, 'established', passive)
      equal(one.session.state, 'established')
      equal(one.session.counters.lastDown!.cause, 'peer-restarted')
    }
  })
})

suite('strangers', () => {
  test('a connection to a session that was not started is refused with a word and closed', () => {
    const { clock, one, network } = pair()
    const connector = network.connector(parseAddress('10.0.0.2')!, parseAddress('10.0.0.1')!, () => one.accept())
    const stranger = connector.open() as unknown as { peer: { sent: Uint8Array[]; isClosed: boolean } }
    clock.advance(10)
    deepEqual([...stranger.peer.sent[0]!.subarray(18)], [MESSAGE.notification, CEASE.code, CEASE.rejected])
    equal(stranger.peer.isClosed, true)
  })
})
