/** The choice among paths, with news of probes as routing nodes tell it, on a clock that is advanced by hand. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ManualClock } from '../base/clock.ts'
import { freshSeed, Random } from '../base/random.ts'
import type { Criterion } from '../config/tenant.ts'
import { type Path, PathOrder, RETURN_MS, STEADY_MS } from './path-order.ts'
import { SmoothedDelay } from './path-quality.ts'

const NEWS_EVERY_MS = 250
const PROBE_EVERY_MS = 1000
const SEEDS = Number(process.env['FUZZ_N'] ?? 40)
const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())

/** A way that a probe takes: its delay is what the scene says it is. */
class Probed {
  delay_us = 20_000
  isDown = false
  readonly name: string
  readonly #smoothed = new SmoothedDelay()
  readonly #totals = { ended: 0, answered: 0, delaySum_us: 0 }

  constructor(name: string, clock: ManualClock, random: Random, jitter: (random: Random) => number) {
    this.name = name
    const send = (): void => {
      const took_us = this.delay_us * jitter(random)
      clock.after(took_us / 1000, () => {
        this.#totals.ended++
        this.#totals.answered++
        this.#totals.delaySum_us += took_us
      })
    }
    clock.after(random.below(PROBE_EVERY_MS), () => {
      send()
      clock.every(PROBE_EVERY_MS, send)
    })
  }

  path(): Path {
    this.#smoothed.take({ ...this.#totals, delayAverage_us: 0 })
    return pathOf(this.name, { latency_us: this.#smoothed.value_us, isDown: this.isDown })
  }
}

function pathOf(name: string, over: Partial<Path> = {}): Path {
  return {
    ...{ name, preference: 100, cost: 0, isProbed: true, isDown: false, latency_us: undefined },
    ...{ loss_ppm: undefined, probes: 60, bandwidth_kbps: undefined, ...over },
  }
}

const uniform = (random: Random): number => 0.9 + 0.2 * (random.u32() / 2 ** 32)

/** `mpls`, `internet`, `lte`, as many as are wanted, and every move of the best place with its time in milliseconds. */
function scene(random: Random, count: number, jitter = uniform) {
  const clock = new ManualClock()
  const order = new PathOrder()
  const probed = ['mpls', 'internet', 'lte'].slice(0, count).map((name) => new Probed(name, clock, random, jitter))
  const moves: { to: string; at_ms: number }[] = []
  const look = (): void => {
    const before = order.paths[0]?.name
    order.take(
      probed.map((one) => one.path()),
      ['latency'],
      clock.now_us(),
    )
    const [best] = order.paths
    if (before !== undefined && best!.name !== before) moves.push({ to: best!.name, at_ms: clock.now_us() / 1000 })
  }
  clock.after(random.below(NEWS_EVERY_MS), () => clock.every(NEWS_EVERY_MS, look))
  return { clock, order, probed, moves }
}

suite('damping', () => {
  test(`jitter of a tenth for ten minutes moves nothing, ${SEEDS} seeds, FUZZ_SEED=${seed}`, () => {
    for (let run = 0; run < SEEDS; run++) {
      const random = new Random(seed + run)
      const { clock, probed, moves } = scene(random, 2 + random.below(2))
      const delay_us = 500 + random.below(200_000)
      for (const one of probed) one.delay_us = delay_us
      clock.advance(600_000)
      deepEqual(moves, [], `seed ${seed + run}`)
    }
  })

  test(`a lasting change of twice moves once, within five seconds, ${SEEDS} seeds, FUZZ_SEED=${seed}`, () => {
    for (let run = 0; run < SEEDS; run++) {
      const random = new Random(seed + run)
      const { clock, probed, order, moves } = scene(random, 2)
      const delay_us = 1000 + random.below(200_000)
      for (const one of probed) one.delay_us = delay_us
      clock.advance(20_000 + random.below(5000))
      const changed_ms = clock.now_us() / 1000
      const best = order.paths[0]!.name
      // The one that is used becomes twice as bad, or the other twice as good.
      const isWorse = random.chance(0.5)
      const other = probed.find(({ name }) => (name === best) === isWorse)!
      other.delay_us = isWorse ? delay_us * 2 : delay_us / 2
      clock.advance(600_000)
      equal(moves.length, 1, `seed ${seed + run}: ${JSON.stringify(moves)}`)
      ok(moves[0]!.at_ms - changed_ms <= 5000, `seed ${seed + run}: ${moves[0]!.at_ms - changed_ms} ms`)
    }
  })

  test('one answer that is late by far moves nothing, and neither does a second of them', () => {
    const { clock, probed, moves } = scene(new Random(1), 2)
    clock.advance(10_000)
    probed[0]!.delay_us = 200_000
    clock.advance(1000)
    probed[0]!.delay_us = 20_000
    clock.advance(60_000)
    deepEqual(moves, [])
  })

  test('a path that is somewhat better is taken when that goes on', () => {
    const { clock, probed, moves } = scene(new Random(1), 2, () => 1)
    clock.advance(10_000)
    probed[0]!.delay_us = 26_000
    clock.advance(STEADY_MS - 5000)
    deepEqual(moves, [])
    clock.advance(15_000)
    equal(moves.length, 1)
  })

  test('a path that was left is taken again when it has been clearly better for half a minute, and not before', () => {
    const { clock, probed, moves } = scene(new Random(1), 2)
    probed[1]!.delay_us = 60_000
    clock.advance(10_000)
    probed[0]!.delay_us = 200_000
    clock.advance(10_000)
    deepEqual(
      moves.map(({ to }) => to),
      ['internet'],
    )
    // It comes and goes, and is left alone.
    for (let i = 0; i < 10; i++) {
      probed[0]!.delay_us = i % 2 === 0 ? 20_000 : 200_000
      clock.advance(15_000)
    }
    equal(moves.length, 1)
    probed[0]!.delay_us = 20_000
    const good_ms = clock.now_us() / 1000
    clock.advance(RETURN_MS + 10_000)
    equal(moves.length, 2)
    ok(moves[1]!.at_ms - good_ms >= RETURN_MS)
  })
})

suite('a path that dies', () => {
  const take = (order: PathOrder, at_ms: number, steer: Criterion[], ...paths: Path[]) => {
    const isOther = order.take(paths, steer, at_ms * 1000)
    return { isOther, order: order.paths.map(({ name }) => name).join(' ') }
  }

  test('is the last one at once, and has to be good for a while before it is taken again', () => {
    const order = new PathOrder()
    const up = pathOf('mpls', { preference: 10 })
    const down = { ...up, isDown: true }
    const rest = [pathOf('internet'), pathOf('lte', { preference: 200 })]
    equal(take(order, 0, [], up, ...rest).order, 'mpls internet lte')
    deepEqual(take(order, 1, [], down, ...rest), { isOther: true, order: 'internet lte mpls' })
    take(order, 10, [], up, ...rest)
    deepEqual(take(order, 10 + RETURN_MS - 1, [], up, ...rest), { isOther: false, order: 'internet lte mpls' })
    // It flaps, and begins anew.
    take(order, 10 + RETURN_MS - 1, [], down, ...rest)
    take(order, 20 + RETURN_MS, [], up, ...rest)
    equal(take(order, 15 + 2 * RETURN_MS, [], up, ...rest).order, 'internet lte mpls')
    deepEqual(take(order, 20 + 2 * RETURN_MS, [], up, ...rest), { isOther: true, order: 'mpls internet lte' })
  })

  test('is taken when it has come back and all others are down', () => {
    const order = new PathOrder()
    const mpls = pathOf('mpls')
    const internet = pathOf('internet')
    take(order, 0, [], { ...mpls, isDown: true }, internet)
    take(order, 1, [], mpls, internet)
    equal(take(order, 2, [], mpls, { ...internet, isDown: true }).order, 'mpls internet')
  })
})

suite('what a tenant steers by', () => {
  /** As it is once all has been so for long. */
  function settled(steer: Criterion[], ...paths: Path[]): string {
    const order = new PathOrder()
    order.take(
      paths.map(({ name }) => pathOf(name)),
      steer,
      0,
    )
    for (const at_ms of [1, STEADY_MS + 1, 2 * STEADY_MS + 2]) order.take(paths, steer, at_ms * 1000)
    const named = order.paths.map(({ name }) => `${name}${order.placeOf(name)}`)
    return named.join(' ')
  }

  test('is asked in turn, and the first that finds one better decides', () => {
    const a = pathOf('a', { latency_us: 40_000, loss_ppm: 0, cost: 5, bandwidth_kbps: 1000 })
    const b = pathOf('b', { latency_us: 10_000, loss_ppm: 200_000, cost: 9, bandwidth_kbps: 9000 })
    const c = pathOf('c', { latency_us: 11_000, loss_ppm: 10_000, cost: 7, bandwidth_kbps: 8000 })
    equal(settled(['latency'], a, b, c), 'b0 c1 a2')
    equal(settled(['loss'], a, b, c), 'a0 c1 b2')
    equal(settled(['loss', 'latency'], a, b, c), 'c0 a1 b2')
    equal(settled(['cost'], a, b, c), 'a0 c1 b2')
    equal(settled(['latency', 'cost'], a, b, c), 'c0 b1 a2')
    equal(settled(['bandwidth'], a, b, c), 'b0 c1 a2')
  })

  test('comes after preference, and without it those of one preference share a place', () => {
    const a = pathOf('a', { latency_us: 10_000, preference: 200 })
    const b = pathOf('b', { latency_us: 40_000 })
    const c = pathOf('c', { latency_us: 10_000 })
    equal(settled(['latency'], a, b, c), 'c0 b1 a2')
    equal(settled([], a, b, c), 'b0 c0 a1')
  })

  test('a path of which nothing is known yet keeps its place, and one that nobody measures comes last', () => {
    const unknown = pathOf('a')
    const blind = pathOf('a', { isProbed: false })
    const known = pathOf('b', { latency_us: 10_000 })
    equal(settled(['latency'], unknown, known), 'a0 b1')
    equal(settled(['latency'], blind, known), 'b0 a1')
  })

  test('two lost probes of sixty are chance', () => {
    const lossOf = (lost: number) => pathOf('a', { loss_ppm: (lost / 60) * 1e6 })
    const other = pathOf('b', { loss_ppm: 0 })
    equal(settled(['loss'], lossOf(2), other), 'a0 b1')
    equal(settled(['loss'], lossOf(3), other), 'b0 a1')
  })

  test('what is known from the beginning is chosen at once', () => {
    const order = new PathOrder()
    order.take([pathOf('a', { latency_us: 13_000 }), pathOf('b', { latency_us: 10_000 })], ['latency'], 0)
    equal(order.paths[0]!.name, 'b')
  })

  test('what somebody else had chosen is gone on with', () => {
    const [a, b] = [pathOf('a', { latency_us: 10_000 }), pathOf('b', { latency_us: 11_000 })]
    const first = new PathOrder()
    first.take([{ ...a, isDown: true }, b], ['latency'], 0)
    first.take([a, b], ['latency'], 1)
    deepEqual(first.known, [
      { name: 'b', isUp: true },
      { name: 'a', isUp: false },
    ])
    const next = new PathOrder(first.known)
    next.take([a, b], ['latency'], 0)
    deepEqual([next.paths[0]!.name, next.stateOf('a') > 0], ['b', true])
    next.take([a, b], ['latency'], RETURN_MS * 1000)
    deepEqual([next.paths[0]!.name, next.stateOf('a')], ['b', 0])
    next.take([{ ...a, latency_us: 5000 }, b], ['latency'], RETURN_MS * 1000 + 1)
    equal(next.paths[0]!.name, 'b', 'what becomes better meanwhile has to be so for a while')
  })

  test('paths that come and go leave the others in their order', () => {
    const order = new PathOrder()
    const [a, b, c] = ['a', 'b', 'c'].map((name) => pathOf(name)) as [Path, Path, Path]
    order.take([b, c], [], 0)
    equal(order.take([b, c], [], 1), false)
    order.take([a, b, c], ['cost'], 2)
    deepEqual(
      order.paths.map(({ name }) => name),
      ['b', 'c', 'a'],
    )
    order.take([a, c], ['cost'], 3)
    deepEqual(
      order.paths.map(({ name }) => name),
      ['c', 'a'],
    )
  })
})

test('why one path is before another is told as people would', () => {
  const why = (steer: Criterion[], a: Partial<Path>, b: Partial<Path>): string => {
    const order = new PathOrder()
    order.take([pathOf('a', a), pathOf('b', b)], steer, 0)
    const [first, second] = order.paths
    return `${first!.name}: ${order.why(first!.name, second!.name)}`
  }
  equal(why([], { isDown: true }, {}), 'b: a is down')
  equal(why([], { preference: 50 }, {}), 'a: preference 50 before 100')
  equal(why(['latency'], { latency_us: 40_320 }, { latency_us: 12_100 }), 'b: latency 12.1 ms before 40.32 ms')
  equal(why(['loss'], { loss_ppm: 0 }, { loss_ppm: 125_000 }), 'a: loss 0 % before 12.5 %')
  equal(why(['cost'], { cost: 10 }, { cost: 5 }), 'b: cost 5 before 10')
  const rates = [{ bandwidth_kbps: 9000 }, { isProbed: false }] as const
  equal(why(['bandwidth'], ...rates), 'a: bandwidth 9000 kbit/s before unknown')
  equal(why(['latency', 'loss'], { latency_us: 10_000 }, { latency_us: 11_000 }), 'a: as good as b')

  const order = new PathOrder()
  const [a, b] = [pathOf('a', { latency_us: 10_000 }), pathOf('b', { latency_us: 10_000 })]
  order.take([a, b], ['latency'], 0)
  order.take([{ ...a, latency_us: 30_000 }, b], ['latency'], 1)
  equal(order.why('a', 'b'), 'latency 30 ms, until b has been better for a while')
  equal(order.why('b', 'a'), 'as the route says', 'a backup by the route')
  order.take([{ ...a, isDown: true }, b], [], 2)
  order.take([a, b], [], 3)
  equal(order.why('b', 'a'), 'a has just come back')
  order.take([a, b, pathOf('c'), pathOf('d', { preference: 200 })], [], 4)
  deepEqual(order.show(), ['b', 'c (preference 100 before 200)', 'd (a has just come back)', 'a'])
})
