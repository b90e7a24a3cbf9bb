import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ManualClock } from '../base/clock.ts'
import { Random } from '../base/random.ts'
import { BFD_AUTHENTICATION, BFD_FLAG, BFD_STATE, bfd, bfdState, checkBfd } from '../wire/bfd.ts'
import * as build from '../wire/build.ts'
import { Fault } from '../wire/fault.ts'
import type { Authentication } from './authentication.ts'
import { BfdSession, type BfdSessionOptions, defaultBfdTimers } from './session.ts'

interface Seen {
  at_ms: number
  state: number
  flags: number
  desiredMinTx_us: number
}

/** One end: its session, what it said, and what it heard. */
class End {
  readonly sent: Seen[] = []
  readonly news: string[] = []
  /** Nothing that it sends arrives. */
  mute = false
  /** While it is stalled, what arrived and was not read yet. */
  stalled: Uint8Array[] | undefined
  drains = 0
  session!: BfdSession
  other!: End

  take(packet: Uint8Array): void {
    if (this.stalled) this.stalled.push(packet)
    else this.session.receive(viewOf(packet), 0)
  }

  drain(): void {
    this.drains++
    for (const packet of this.stalled?.splice(0) ?? []) this.session.receive(viewOf(packet), 0)
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Two ends of a wire of 1 ms, on one clock. `loss` is the probability that a packet is lost. */
function pair(options: { a?: Partial<BfdSessionOptions>; b?: Partial<BfdSessionOptions>; loss?: number } = {}) {
  const clock = new ManualClock()
  const random = new Random(7)
  const make = (discriminator: number, over: Partial<BfdSessionOptions> = {}): End => {
    const end = new End()
    const events = {
      send: (packet: Uint8Array) => {
        const view = viewOf(packet)
        equal(checkBfd(view, 0, packet.length), Fault.none)
        const flags = bfd.stateFlags.get(view, 0) & 0x3f
        const desiredMinTx_us = bfd.desiredMinTx_us.get(view, 0)
        end.sent.push({ at_ms: clock.now_us() / 1000, state: bfdState(view, 0), flags, desiredMinTx_us })
        const copy = packet.slice()
        if (end.mute || random.chance(options.loss ?? 0)) return
        clock.after(1, () => end.other.take(copy))
      },
      changed: (state: string, diagnostic: string) => void end.news.push(`${state} ${diagnostic}`),
      drain: () => end.drain(),
    }
    const all = { ...defaultBfdTimers, discriminator, role: 'active', enabled: true, ...over } as const
    end.session = new BfdSession(all, events, clock, random)
    return end
  }
  const a = make(1, options.a)
  const b = make(2, options.b)
  a.other = b
  b.other = a
  return { a, b, clock }
}

suite('two BFD sessions', () => {
  test('come up within two slow intervals, and then send at the pace that both agreed on', () => {
    const { a, b, clock } = pair({ b: { requiredMinRx_us: 80_000 } })
    clock.advance(2000)
    deepEqual([a.session.state, b.session.state], ['up', 'up'])
    deepEqual(a.news.at(-1), 'up none')
    clock.advance(1000)
    const heard = (end: End) => end.sent.filter(({ at_ms }) => at_ms >= 2000).length
    // 80 ms less 0 to 25% of jitter: 13 to 17 in a second. 50 ms the other way: 20 to 27.
    ok(heard(a) >= 12 && heard(a) <= 17, `a sent ${heard(a)}`)
    ok(heard(b) >= 19 && heard(b) <= 27, `b sent ${heard(b)}`)
    equal(b.session.detectionTime_us, 3 * 80_000)
    equal(a.session.detectionTime_us, 3 * 50_000)
  })

  test('send no more than once a second until they are up', () => {
    const { a, b, clock } = pair()
    b.mute = true
    clock.advance(10_000)
    ok(a.sent.length >= 10 && a.sent.length <= 14, `a sent ${a.sent.length}`)
    ok(a.sent.every(({ desiredMinTx_us }) => desiredMinTx_us === 1_000_000))
    equal(a.session.state, 'down')
  })

  test('never fall into step: two intervals in a row differ', () => {
    const { a, clock } = pair()
    clock.advance(3000)
    const times = a.sent.filter(({ at_ms }) => at_ms > 2000).map(({ at_ms }) => at_ms)
    const gaps = new Set(times.slice(1).map((at, i) => (at - times[i]!).toFixed(2)))
    ok(gaps.size > times.length / 2, `${gaps.size} different gaps of ${times.length - 1}`)
    ok([...gaps].every((gap) => Number(gap) <= 50 && Number(gap) >= 37))
  })

  test('tell each other by poll and final that they will be faster now, and stop polling once answered', () => {
    const { a, clock } = pair()
    clock.advance(3000)
    const polls = a.sent.filter(({ flags }) => (flags & BFD_FLAG.poll) !== 0)
    ok(polls.length >= 1 && polls.length <= 2, `${polls.length} polls`)
    deepEqual(polls[0], { ...polls[0]!, state: BFD_STATE.up, desiredMinTx_us: 50_000 })
    ok(a.sent.some(({ flags }) => (flags & BFD_FLAG.final) !== 0))
    ok(a.sent.every(({ flags }) => (flags & (BFD_FLAG.poll | BFD_FLAG.final)) !== (BFD_FLAG.poll | BFD_FLAG.final)))
  })

  test('notice a silent peer within the detection time, and say why', () => {
    const { a, b, clock } = pair()
    clock.advance(3000)
    b.mute = true
    const before = a.news.length
    clock.advance(90)
    equal(a.news.length, before)
    clock.advance(70)
    equal(a.news.at(-1), 'down detectionTimeExpired')
    clock.advance(5)
    equal(b.news.at(-1), 'down neighbourSignalledDown')
    b.mute = false
    clock.advance(2000)
    deepEqual([a.session.state, b.session.state], ['up', 'up'])
  })

  test('set no timer but those that they send by, as long as they hear each other', () => {
    const { a, b, clock } = pair()
    clock.advance(3000)
    const sent = (): number => a.sent.length + b.sent.length
    const before = sent()
    let timers = 0
    const after = clock.after.bind(clock)
    clock.after = (delay_ms, run) => {
      timers++
      return after(delay_ms, run)
    }
    clock.advance(10_000)
    // One on the wire, and the next one's.
    equal(timers, 2 * (sent() - before))
  })

  test('survive the loss of every fifth packet with a multiplier of 6, and come back after each failure with 1', () => {
    const robust = pair({ a: { detectMultiplier: 6 }, b: { detectMultiplier: 6 }, loss: 0.2 })
    robust.clock.advance(60_000)
    ok(robust.a.news.filter((news) => news.startsWith('down')).length <= 2)
    const fragile = pair({ a: { detectMultiplier: 1 }, b: { detectMultiplier: 1 }, loss: 0.2 })
    fragile.clock.advance(60_000)
    ok(fragile.a.news.filter((news) => news.startsWith('up')).length > 5)
  })

  test('do not take a stall of their own for the death of the peer', () => {
    const { a, clock } = pair()
    clock.advance(3000)
    const before = a.news.length
    a.stalled = []
    clock.advance(1000)
    equal(a.news.length, before)
    ok(a.drains >= 6, `looked ${a.drains} times before it believed the silence`)
  })

  test('an end that is not ready keeps its peer down, and comes up when it is', () => {
    const { a, b, clock } = pair({ b: { enabled: false, role: 'passive' } })
    clock.advance(5000)
    deepEqual([a.session.state, b.session.state], ['down', 'adminDown'])
    b.session.enable()
    clock.advance(1100)
    deepEqual([a.session.state, b.session.state], ['up', 'up'])
  })

  test('leave-taking is told at once, and is no failure of the path', () => {
    const { a, b, clock } = pair()
    clock.advance(3000)
    b.session.disable()
    clock.advance(2)
    equal(a.news.at(-1), 'down neighbourSignalledDown')
    equal(b.news.at(-1), 'adminDown administrativelyDown')
    clock.advance(5000)
    deepEqual([a.session.state, b.session.state], ['down', 'adminDown'])
  })

  test('a passive end is silent until it is spoken to, and again after its peer has died', () => {
    const { a, b, clock } = pair({ b: { role: 'passive' } })
    a.mute = true
    clock.advance(5000)
    equal(b.sent.length, 0)
    a.mute = false
    clock.advance(3000)
    equal(b.session.state, 'up')
    a.mute = true
    clock.advance(1000)
    const said = b.sent.length
    clock.advance(5000)
    equal(b.sent.length, said)
  })

  test('a peer that restarts under another discriminator is met anew', () => {
    const { a, b, clock } = pair()
    clock.advance(3000)
    const again = pair().b
    b.session.close()
    b.session = again.session
    clock.advance(200)
    equal(a.session.state, 'down')
  })

  test('a peer in demand mode hears nothing but polls while both are up', () => {
    const { a, b, clock } = pair()
    clock.advance(3000)
    b.session.close()
    b.take = () => {}
    clock.advance(2)
    const demand = build.bfd({
      state: BFD_STATE.up,
      flags: BFD_FLAG.demand,
      myDiscriminator: 2,
      yourDiscriminator: 1,
      desiredMinTx_us: 1_000_000,
    })
    a.take(demand)
    const said = a.sent.length
    clock.advance(900)
    ok(a.sent.length <= said + 1, `${a.sent.length - said} packets`)
    const poll = demand.slice()
    poll[1] = (poll[1] ?? 0) | BFD_FLAG.poll
    a.take(poll)
    equal(a.sent.at(-1)!.flags, BFD_FLAG.final)
  })

  test('a peer that wants to hear nothing hears nothing', () => {
    const { a, b, clock } = pair()
    clock.advance(3000)
    b.session.close()
    clock.advance(2)
    const said = (): number => a.sent.length
    a.take(build.bfd({ myDiscriminator: 2, yourDiscriminator: 1, desiredMinTx_us: 1_000_000, requiredMinRx_us: 0 }))
    const before = said()
    clock.advance(2500)
    equal(said(), before)
  })

  test('a peer that asks for longer pauses gets them from the next packet on', () => {
    const { a, clock } = pair()
    clock.advance(3000)
    a.other.session.close()
    a.other.take = () => {}
    clock.advance(2)
    const slow = { myDiscriminator: 2, yourDiscriminator: 1, desiredMinTx_us: 500_000, requiredMinRx_us: 300_000 }
    a.take(build.bfd(slow))
    const before = a.sent.length
    clock.advance(1400)
    const sent = a.sent.length - before
    ok(sent >= 4 && sent <= 7, `${sent} packets in 1.4 s at 300 ms`)
    equal(a.session.detectionTime_us, 1_500_000)
    equal(a.session.state, 'up')
    clock.advance(150)
    equal(a.session.state, 'down')
  })
})

suite('BFD authentication', () => {
  const keyed = (type: keyof typeof BFD_AUTHENTICATION, key = 'secret'): Authentication => ({
    type,
    keyId: 3,
    key: build.text(key),
  })

  for (const type of Object.keys(BFD_AUTHENTICATION) as (keyof typeof BFD_AUTHENTICATION)[]) {
    test(`${type}: with the same key they come up, with another they do not`, () => {
      const same = pair({ a: { authentication: keyed(type) }, b: { authentication: keyed(type) } })
      same.clock.advance(3000)
      deepEqual([same.a.session.state, same.b.session.state], ['up', 'up'])
      const other = pair({ a: { authentication: keyed(type) }, b: { authentication: keyed(type, 'secreT') } })
      other.clock.advance(5000)
      deepEqual([other.a.session.state, other.b.session.state], ['down', 'down'])
    })
  }

  test('one end without a key does not come up with one that has', () => {
    const { a, b, clock } = pair({ a: { authentication: keyed('sha1') } })
    clock.advance(5000)
    deepEqual([a.session.state, b.session.state], ['down', 'down'])
  })

  test('an old packet is refused: repeated at once by the meticulous kinds, far behind by all', () => {
    for (const [type, repeats] of [
      ['meticulousSha1', false],
      ['sha1', true],
    ] as const) {
      const { a, b, clock } = pair({ a: { authentication: keyed(type) }, b: { authentication: keyed(type) } })
      clock.advance(3000)
      const recorded: Uint8Array[] = []
      const take = a.take.bind(a)
      a.take = (packet) => {
        recorded.push(packet)
        take(packet)
      }
      clock.advance(60)
      equal(a.session.receive(viewOf(recorded.at(-1)!), 0), repeats, type)
      clock.advance(1000)
      equal(a.session.receive(viewOf(recorded[0]!), 0), false, type)
      equal(b.session.state, 'up')
    }
  })

  test('a digest follows RFC 5880 section 6.7: the key stands in the place of the digest while it is made', async () => {
    const { createHash } = await import('node:crypto')
    const { AuthenticationState } = await import('./authentication.ts')
    const state = new AuthenticationState(keyed('sha1'), 41)
    const packet = new Uint8Array(24 + state.bytes)
    packet.set(build.bfd({ flags: BFD_FLAG.authentication }))
    packet[3] = packet.length
    state.sign(viewOf(packet), 0)
    deepEqual([...packet.subarray(24, 32)], [4, 28, 3, 0, 0, 0, 0, 42])
    const keyedPacket = packet.slice()
    keyedPacket.fill(0, 32)
    keyedPacket.set(build.text('secret'), 32)
    deepEqual(Buffer.from(packet.subarray(32)), createHash('sha1').update(keyedPacket).digest())
  })
})
