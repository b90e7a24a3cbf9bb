import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ManualClock } from '../../base/clock.ts'
import { livenessNews } from '../../wire/control/liveness.ts'
import type { ProbeState } from '../sla/probe-runner.ts'
import { LivenessReporter } from './reporter.ts'

const quality = {
  ...{ probes: 60, loss_percent: 1.5, delayMin_us: 900.4, delayAverage_us: 1000.6, delayP99_us: 5000, jitter_us: 20 },
}

function scene() {
  const clock = new ManualClock()
  const told: string[] = []
  let shared = 0
  let kept = 0
  const reporter = new LivenessReporter({
    node: 'routing-1',
    clock,
    tell(news) {
      const decoded = livenessNews.decode(news)
      if (!decoded.ok) throw new Error('it can be read')
      told.push(decoded.value.things.map(({ name, isUp, reason }) => `${name} ${isUp} ${reason}`.trim()).join(', '))
    },
    share: () => void shared++,
    keep: () => void kept++,
    log: () => {},
  })
  const probe = (isUp: boolean | undefined, reason = ''): ProbeState => {
    return {
      name: 'to-dc',
      isUp,
      reason,
      quality,
      bandwidth_kbps: 5000,
      totals: { ended: 9, answered: 8, delaySum_us: 8000.4 },
    }
  }
  return { clock, told, reporter, probe, kept: () => kept, shared: () => shared }
}

suite('what a routing node says of what it watches', () => {
  test('is told when something is up or down, with all that is known, and kept when only its quality changes', () => {
    const { clock, told, reporter, probe, kept, shared } = scene()
    reporter.probes([probe(undefined)])
    deepEqual(told, [])
    clock.advance(1000)
    reporter.probes([probe(true)])
    reporter.neighbour({ name: 'acme-dc', state: 'up', reason: '' })
    clock.advance(5000)
    const before = { kept: kept(), shared: shared() }
    reporter.probes([probe(true)])
    deepEqual([kept(), shared()], [before.kept + 1, before.shared + 1])
    clock.advance(1000)
    reporter.probes([probe(true)])
    deepEqual([kept(), shared()], [before.kept + 1, before.shared + 2], 'told each time, and kept now and then')
    reporter.probes([probe(false, 'loss 30%')])
    deepEqual(told, ['to-dc true', 'acme-dc true, to-dc true', 'acme-dc true, to-dc false loss 30%'])
    const [neighbour, dc] = reporter.things
    deepEqual([neighbour!.kind, neighbour!.since_ms, dc!.since_ms], ['bfd', 1000, 7000])
    deepEqual(dc!.quality, {
      ...{ probes: 60, loss_ppm: 15_000, delayMin_us: 900, delayAverage_us: 1001, delayP99_us: 5000, jitter_us: 20 },
      bandwidth_kbps: 5000,
      ...{ ended: 9, answered: 8, delaySum_us: 8000 },
    })
  })

  test('says nothing of BFD that has not been up yet, for as long as it may take to come up', () => {
    const { clock, told, reporter } = scene()
    const down = (name: string): void => reporter.neighbour({ name, state: 'down', reason: 'no packet has come yet' })
    down('quick')
    down('never')
    clock.advance(3000)
    reporter.neighbour({ name: 'quick', state: 'init', reason: '' })
    reporter.neighbour({ name: 'quick', state: 'up', reason: '' })
    deepEqual(told, ['quick true'])
    clock.advance(7000)
    deepEqual(told.at(-1), 'never false no packet has come yet, quick true')
    reporter.neighbour({ name: 'quick', state: 'down', reason: 'nothing came within the detection time' })
    equal(told.length, 3)
  })

  test('says nothing of sessions that end because the node does', () => {
    const { told, reporter } = scene()
    reporter.neighbour({ name: 'acme-dc', state: 'up', reason: '' })
    reporter.close()
    reporter.neighbour({ name: 'acme-dc', state: 'adminDown', reason: 'it was ended here' })
    reporter.left('acme-dc')
    deepEqual(told, ['acme-dc true'])
  })

  test('knows nothing of a path whose BFD the peer has ended on purpose (RFC 5882 section 3.2)', () => {
    const { told, reporter } = scene()
    reporter.neighbour({ name: 'acme-dc', state: 'up', reason: '' })
    reporter.neighbour({ name: 'acme-dc', state: 'down', reason: 'the peer has ended it', isPeerDown: true })
    deepEqual(told, ['acme-dc true', ''])
  })

  test('says nothing of probes once it has ended', () => {
    const { told, reporter, probe } = scene()
    reporter.close()
    reporter.probes([probe(false)])
    deepEqual(told, [])
  })

  test('leaves out what another node watches now', () => {
    const { clock, told, reporter } = scene()
    reporter.neighbour({ name: 'acme-dc', state: 'up', reason: '' })
    reporter.left('acme-dc')
    deepEqual(told, ['acme-dc true', ''])
    reporter.neighbour({ name: 'other', state: 'down', reason: '' })
    reporter.left('other')
    clock.advance(60_000)
    equal(told.length, 2)
  })
})
