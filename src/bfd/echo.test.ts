import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ManualClock } from '../base/clock.ts'
import { Random } from '../base/random.ts'
import { bfd } from '../wire/bfd.ts'
import { BfdSession, type BfdSessionOptions } from './session.ts'

const TIMERS = { desiredMinTx_us: 50_000, requiredMinRx_us: 50_000, detectMultiplier: 3 }
const ECHO = { desiredEchoTx_us: 10_000, requiredMinEchoRx_us: 10_000 }

class End {
  readonly news: string[] = []
  readonly sent_ms: number[] = []
  readonly echoes: Uint8Array[] = []
  /** What it last promised: how often it listens. */
  minRx_us = 0
  /** Whether the other's forwarding plane sends the n-th of its echo packets back. */
  comesBack = (_: number): boolean => true
  session!: BfdSession
}

/** Two ends of a wire of 1 ms, on one clock. Echo packets are back after 2 ms, past all that the other end does. */
function pair(a: Partial<BfdSessionOptions> = {}, b: Partial<BfdSessionOptions> = {}) {
  const clock = new ManualClock()
  const random = new Random(7)
  const ends = [new End(), new End()] as const
  for (const [i, end] of ends.entries()) {
    const other = ends[1 - i]!
    const events = {
      send(packet: Uint8Array) {
        const copy = packet.slice()
        end.minRx_us = bfd.requiredMinRx_us.get(viewOf(copy), 0)
        end.sent_ms.push(clock.now_us() / 1000)
        clock.after(1, () => other.session.receive(viewOf(copy), 0))
      },
      sendEcho(packet: Uint8Array) {
        const copy = packet.slice()
        end.echoes.push(copy)
        if (end.comesBack(end.echoes.length))
          clock.after(2, () => end.session.receiveEcho(viewOf(copy), 0, copy.length))
      },
      changed: (state: string, diagnostic: string) => void end.news.push(`${state} ${diagnostic}`),
      drain: () => {},
    }
    const more = i === 0 ? a : b
    const options = { ...TIMERS, discriminator: i + 1, role: 'active', enabled: true, ...more } as const
    end.session = new BfdSession(options, events, clock, random)
  }
  return { a: ends[0], b: ends[1], clock }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

suite('the echo function', () => {
  test('is used while the session is up and the peer sends echoes back, at the slower of both paces', () => {
    const { a, b, clock } = pair(ECHO, { ...ECHO, requiredMinEchoRx_us: 25_000 })
    clock.advance(3000)
    deepEqual([a.session.state, b.session.state], ['up', 'up'])
    const before = [a.echoes.length, b.echoes.length]
    clock.advance(1000)
    deepEqual([a.echoes.length - before[0]!, b.echoes.length - before[1]!], [40, 100])
    equal(a.session.echo_us, 2000)
  })

  test('is not used with a peer that sends none back', () => {
    const { a, clock } = pair(ECHO)
    clock.advance(3000)
    deepEqual([a.session.state, a.echoes.length, a.session.echo_us], ['up', 0, undefined])
  })

  test('lets the peer send control packets once a second, after it has been told', () => {
    const { a, b, clock } = pair(ECHO, { requiredMinEchoRx_us: 10_000 })
    clock.advance(3000)
    equal(a.minRx_us, 1_000_000)
    equal(a.session.detectionTime_us, 3_000_000)
    const before = b.sent_ms.length
    clock.advance(5000)
    ok(b.sent_ms.length - before <= 7, `${b.sent_ms.length - before} control packets in 5 s`)
    equal(a.session.state, 'up')
  })

  test('finds a broken path in its detection time, and says so', () => {
    const { a, b, clock } = pair(ECHO, { requiredMinEchoRx_us: 10_000 })
    clock.advance(3000)
    a.comesBack = () => false
    const before = a.news.length
    clock.advance(25)
    equal(a.news.length, before)
    clock.advance(20)
    equal(a.news.at(-1), 'down echoFailed')
    clock.advance(5)
    ok(b.news.includes('down neighbourSignalledDown'))
    // Control packets still get through and bring it up again, but not at once, and echoes take it down.
    clock.advance(900)
    equal(a.session.state, 'down')
    clock.advance(9000)
    const failures = a.news.filter((line) => line === 'down echoFailed').length
    ok(failures >= 4 && failures <= 10, `${failures} failures in 10 s`)
    a.comesBack = () => true
    clock.advance(3000)
    equal(a.session.state, 'up')
  })

  test('lives with the loss of two of three, and of every second one', () => {
    const { a, clock } = pair(ECHO, { requiredMinEchoRx_us: 10_000 })
    a.comesBack = (n) => n % 3 === 0
    clock.advance(10_000)
    deepEqual(a.news, ['init none', 'up none'].slice(a.news[0] === 'init none' ? 0 : 1))
  })

  test('believes none but its own: neither invented nor old ones', () => {
    const { a, clock } = pair(ECHO, { requiredMinEchoRx_us: 10_000 })
    clock.advance(3000)
    const good = a.echoes.at(-1)!
    const receives = (packet: Uint8Array): boolean => a.session.receiveEcho(viewOf(packet), 0, packet.length)
    equal(receives(good), true)
    for (let at = 4; at < 20; at++) {
      const wrong = good.slice()
      wrong[at] = wrong[at]! ^ 0x40
      equal(receives(wrong), false, `byte ${at}`)
    }
    equal(receives(good.subarray(0, 19)), false)
    clock.advance(60)
    equal(receives(good), false)
  })

  test('ends with the session', () => {
    const { a, clock } = pair(ECHO, { requiredMinEchoRx_us: 10_000 })
    clock.advance(3000)
    a.session.disable()
    clock.advance(5)
    const before = a.echoes.length
    clock.advance(1000)
    equal(a.echoes.length, before)
    equal(a.minRx_us, 50_000)
  })
})
