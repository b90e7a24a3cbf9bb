import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ManualClock } from '../../base/clock.ts'
import { type ProbeRules, ProbeRunner, type ProbeState } from './probe-runner.ts'
import { ProbeWindow } from './probe-window.ts'
import type { Prober } from './prober.ts'
import { BandwidthEstimate, TrainArrivals } from './train.ts'
import { Verdict } from './verdict.ts'

suite('the window of a probe', () => {
  test('tells loss, delays and jitter of the last probes and no others', () => {
    const window = new ProbeWindow(4)
    for (const delay of [900_000, 1000, 3000, undefined, 2000]) window.add(delay)
    deepEqual(window.quality(), {
      probes: 4,
      loss_percent: 25,
      ...{ delayMin_us: 1000, delayAverage_us: 2000, delayP99_us: 3000 },
      // From 1 to 3 ms, and from 3 to 2.
      jitter_us: 1500,
    })
  })

  test('p99 leaves one of a hundred out', () => {
    const window = new ProbeWindow(200)
    for (let i = 0; i < 198; i++) window.add(1000)
    window.add(70_000)
    window.add(80_000)
    equal(window.quality().delayP99_us, 1000)
    window.add(90_000)
    equal(window.quality().delayP99_us, 70_000)
  })

  test('without answers there are no delays', () => {
    const window = new ProbeWindow(3)
    deepEqual(window.quality().loss_percent, 0)
    window.add(undefined)
    const { loss_percent, delayAverage_us, delayP99_us, jitter_us } = window.quality()
    deepEqual([loss_percent, delayAverage_us, delayP99_us, jitter_us], [100, 0, 0, 0])
  })
})

const fine = { probes: 10, loss_percent: 0, delayMin_us: 1000, delayAverage_us: 1000, delayP99_us: 1000, jitter_us: 0 }

suite('the verdict', () => {
  test('takes several probes in a row to fall, and several to rise', () => {
    const verdict = new Verdict({ fall: 3, rise: 2, limits: {} })
    const after = (answers: string) =>
      [...answers].map((one) => {
        verdict.take(one === '+', fine)
        return verdict.isUp
      })
    deepEqual(after('+'), [undefined])
    deepEqual(after('+'), [true])
    deepEqual(after('--+--'), [true, true, true, true, true])
    deepEqual(after('-'), [false])
    equal(verdict.reason, '3 probes in a row had no answer')
    deepEqual(after('+-+'), [false, false, false])
    deepEqual(after('+'), [true])
    equal(verdict.reason, '')
  })

  test('falls over a limit and rises well below it, not in between', () => {
    const verdict = new Verdict({ fall: 3, rise: 1, limits: { delay_ms: { down: 100, up: 60 } } })
    const at = (delay_ms: number): boolean | undefined => {
      verdict.take(true, { ...fine, delayAverage_us: delay_ms * 1000 })
      return verdict.isUp
    }
    deepEqual([50, 100, 101, 99, 61, 60, 99, 100].map(at), [true, true, false, false, false, true, true, true])
    at(150)
    equal(verdict.reason, 'delay 150 ms')
  })

  test('holds loss, jitter and bandwidth against their limits too', () => {
    const limits = {
      loss_percent: { down: 10, up: 5 },
      jitter_ms: { down: 20, up: 10 },
      bandwidth_kbps: { down: 1000, up: 2000 },
    }
    const verdict = new Verdict({ fall: 3, rise: 1, limits })
    verdict.take(true, fine)
    equal(verdict.isUp, true)
    verdict.take(true, { ...fine, loss_percent: 11, jitter_us: 25_000, bandwidth_kbps: 999 })
    deepEqual([verdict.isUp, verdict.reason], [false, 'loss 11%, jitter 25 ms, bandwidth 999 kbit/s'])
    verdict.take(true, { ...fine, bandwidth_kbps: 1999 })
    deepEqual([verdict.isUp, verdict.reason], [false, 'bandwidth 999 kbit/s'])
    verdict.take(true, { ...fine, bandwidth_kbps: 2000 })
    equal(verdict.isUp, true)
  })
})

suite('a train', () => {
  const arrivalsOf = (bytes: number, ...pieces: [ms: number, bytes: number][]): TrainArrivals => {
    const arrivals = new TrainArrivals(bytes)
    for (const [ms, piece] of pieces) arrivals.arrived(ms * 1000, piece)
    return arrivals
  }

  test('tells the rate at which it arrived, in any order', () => {
    // 10,000 bits each millisecond.
    const arrivals = arrivalsOf(5 * 1250, [1, 1250], [3, 1250], [2, 1250], [5, 1250], [4, 1250])
    equal(arrivals.isComplete, true)
    equal(arrivals.rate_kbps(1000), 10_000)
  })

  test('of a stream tells the rate of what came behind the first piece', () => {
    const arrivals = arrivalsOf(5000, [1, 3000], [2, 1000], [3, 1000])
    equal(arrivals.isComplete, true)
    equal(arrivals.rate_kbps(1000), 8000)
  })

  test('of which less than half arrived in its time tells how much that is, if only 0, and of which all did at once nothing', () => {
    equal(arrivalsOf(5 * 1250, [1, 1250], [2, 1250]).rate_kbps(1000), 20)
    equal(arrivalsOf(5000, [1, 5000]).rate_kbps(1000), undefined)
    equal(arrivalsOf(5000).rate_kbps(1000), 0)
  })

  test('that met a moment’s burst is outvoted', () => {
    const estimate = new BandwidthEstimate()
    equal(estimate.kbps, undefined)
    for (const rate of [100, 10, 98, 102, 101, 99]) estimate.add(rate)
    equal(estimate.kbps, 99)
  })
})

suite('a probe', () => {
  const rules: ProbeRules = {
    name: 'to-dc',
    ...{ interval_ms: 1000, timeout_ms: 300, window: 10, fall: 3, rise: 2, limits: {} },
  }

  function scene(over: Partial<ProbeRules> = {}) {
    const clock = new ManualClock()
    const told: ProbeState[] = []
    const sent: number[] = []
    const way = { delay_ms: 20 as number | undefined, unread: [] as (() => void)[], isStalled: false, rate: 5000 }
    const runner = new ProbeRunner({
      rules: { ...rules, ...over },
      clock,
      changed: (state) => void told.push(state),
      open: (answered): Prober => ({
        send(sequence) {
          sent.push(clock.now_us() / 1000)
          const { delay_ms } = way
          if (delay_ms === undefined) return
          const answer = (): void => answered(sequence, delay_ms * 1000)
          clock.after(delay_ms, () => (way.isStalled ? way.unread.push(answer) : answer()))
        },
        train: async () => way.rate,
        drain() {
          for (const answer of way.unread.splice(0)) answer()
        },
        close() {},
      }),
    })
    return { clock, told, sent, way, runner, states: () => told.map(({ isUp, reason }) => `${isUp} ${reason}`.trim()) }
  }

  test('is sent at its pace, and says so when what it watches comes and goes', () => {
    const { clock, sent, way, runner, states, told } = scene()
    clock.advance(3500)
    deepEqual(sent, [0, 1000, 2000, 3000])
    deepEqual(states(), ['true'])
    deepEqual([runner.state.quality.delayAverage_us, runner.state.quality.loss_percent], [20_000, 0])
    way.delay_ms = undefined
    clock.advance(2000)
    deepEqual(states(), ['true'])
    clock.advance(1000)
    deepEqual(states().at(-1), 'false 3 probes in a row had no answer')
    ok(told.at(-1)!.quality.loss_percent > 40)
    deepEqual(told.at(-1)!.totals, { ended: 7, answered: 4, delaySum_us: 80_000 })
    way.delay_ms = 20
    clock.advance(2000)
    deepEqual(states().at(-1), 'true')
    runner.close()
    clock.advance(5000)
    equal(told.length, 3)
  })

  test('takes an answer that comes late for none', () => {
    const { clock, way, runner } = scene()
    way.delay_ms = 301
    clock.advance(4500)
    equal(runner.state.isUp, false)
    // All but the first, which went before.
    equal(runner.state.quality.loss_percent, 80)
  })

  test('does not take a stall of its own for a loss', () => {
    const { clock, way, runner } = scene()
    clock.advance(3500)
    way.isStalled = true
    clock.advance(3000)
    deepEqual([runner.state.isUp, runner.state.quality.loss_percent], [true, 0])
  })

  test('measures bandwidth with trains, and is down below its limit', async () => {
    const limits = { bandwidth_kbps: { down: 4000, up: 4500 } }
    const { clock, way, runner, states } = scene({ bandwidth: { interval_ms: 2000, packets: 50, bytes: 1400 }, limits })
    const settle = async (ms: number): Promise<void> => {
      for (let i = 0; i < ms / 1000; i++) {
        clock.advance(1000)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await settle(4000)
    deepEqual([runner.state.bandwidth_kbps, runner.state.isUp], [5000, true])
    way.rate = 3000
    await settle(12_000)
    deepEqual([runner.state.bandwidth_kbps, states().at(-1)], [3000, 'false bandwidth 3000 kbit/s'])
    runner.close()
  })
})
