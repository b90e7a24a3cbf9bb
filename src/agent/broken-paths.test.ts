import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatAddress } from '../base/address.ts'
import { ManualClock } from '../base/clock.ts'
import type { Bus } from '../bus/bus.ts'
import { type BrokenPath, brokenPaths } from '../wire/control/liveness.ts'
import { BrokenPathsKnown, BrokenPathsTeller } from './broken-paths.ts'

const EDGE = Uint8Array.of(10, 0, 0, 1)
const OTHER_EDGE = Uint8Array.of(10, 0, 0, 2)
const PEER = Uint8Array.of(192, 168, 1, 2)
const wire = (vni: number): BrokenPath => ({ vni, remote: EDGE, peer: undefined })
const path = (vni: number): BrokenPath => ({ vni, remote: undefined, peer: PEER })

suite('who says what is broken', () => {
  function scene() {
    const clock = new ManualClock()
    const said: string[] = []
    const publish = (_: string, payload: Uint8Array): void => {
      const news = brokenPaths.decode(payload)
      const text = (one: BrokenPath): string => `${one.vni} ${formatAddress(one.remote ?? one.peer!)}`
      said.push(news.ok ? `${news.value.source}: ${news.value.broken.map(text).join(', ')}` : news.message)
    }
    const teller = new BrokenPathsTeller({ publish } as unknown as Bus, clock, 'edge-1')
    return { clock, teller, heard: () => said.splice(0) }
  }

  test('says it at once, and again every second while it is so', () => {
    const { clock, teller, heard } = scene()
    teller.are([wire(7), path(8)])
    deepEqual(heard(), ['edge-1: 7 10.0.0.1, 8 192.168.1.2'])
    teller.are([path(8), wire(7)])
    deepEqual(heard(), [], 'nothing new')
    for (let second = 0; second < 20; second++) clock.advance(1000)
    equal(heard().length, 20)
    teller.are([wire(7)])
    deepEqual(heard(), ['edge-1: 7 10.0.0.1'])
  })

  test('says a few times that all is well again, and then nothing', () => {
    const { clock, teller, heard } = scene()
    for (let second = 0; second < 3; second++) clock.advance(1000)
    deepEqual(heard(), [], 'it has looked at nothing yet')
    teller.are([wire(7)])
    teller.are([])
    for (let second = 0; second < 20; second++) clock.advance(1000)
    deepEqual(heard(), ['edge-1: 7 10.0.0.1', ...new Array(5).fill('edge-1: ')])
  })

  test('says first that all is well, for another life may have said otherwise', () => {
    const { teller, heard } = scene()
    teller.are([])
    deepEqual(heard(), ['edge-1: '])
  })

  test('takes back what it has said when it ends', () => {
    const { clock, teller, heard } = scene()
    teller.are([wire(7)])
    teller.close()
    deepEqual(heard(), ['edge-1: 7 10.0.0.1', 'edge-1: '])
    clock.advance(1000)
    deepEqual(heard(), [])
  })
})

suite('who is told what is broken', () => {
  const says = (known: BrokenPathsKnown, source: string, ...broken: BrokenPath[]): number[] => [
    ...known.hear(brokenPaths.encode({ source, broken })),
  ]

  test('knows wires by switch, and neighbours by segment', () => {
    const known = new BrokenPathsKnown(new ManualClock())
    deepEqual(says(known, 'edge-1', wire(7)), [7])
    equal(known.isBroken(7, EDGE), true)
    equal(known.isBroken(7, EDGE, PEER), true)
    equal(known.isBroken(7, OTHER_EDGE, PEER), false)
    equal(known.isBroken(8, EDGE), false)
    deepEqual(says(known, 'routing-1', path(8)), [8])
    equal(known.isBroken(8, EDGE, PEER), true)
    equal(known.isBroken(8, EDGE), false)
    equal(known.isBroken(8, EDGE, Uint8Array.of(192, 168, 1, 3)), false)
  })

  test('hears what is new, and of what is mended', () => {
    const known = new BrokenPathsKnown(new ManualClock())
    says(known, 'edge-1', wire(7))
    deepEqual(says(known, 'edge-1', wire(7)), [], 'said again')
    deepEqual(says(known, 'edge-1', wire(7), wire(8)), [7, 8])
    deepEqual(says(known, 'edge-1'), [7, 8])
    equal(known.isBroken(7, EDGE), false)
  })

  test('believes each of several sources', () => {
    const known = new BrokenPathsKnown(new ManualClock())
    says(known, 'edge-1', wire(7))
    says(known, 'routing-1', path(7))
    says(known, 'edge-1')
    equal(known.isBroken(7, EDGE, PEER), true)
  })

  test('forgets what a source says of neighbours that has been silent for a minute in which it could be heard', () => {
    const clock = new ManualClock()
    const known = new BrokenPathsKnown(clock)
    says(known, 'routing-1', path(7))
    says(known, 'routing-2', path(8))
    clock.advance(59_000)
    says(known, 'routing-2', path(8))
    deepEqual([...known.expire()], [])
    clock.advance(1000)
    deepEqual([...known.expire()], [7])
    equal(known.isBroken(7, EDGE, PEER), false)
    equal(known.isBroken(8, EDGE, PEER), true)
    clock.advance(300_000)
    known.forgive()
    deepEqual([...known.expire()], [], 'nobody could be heard meanwhile')
  })

  test('believes a switch of its wires until it says otherwise', () => {
    const clock = new ManualClock()
    const known = new BrokenPathsKnown(clock)
    says(known, 'edge-1', wire(7), path(8))
    clock.advance(3_600_000)
    deepEqual([...known.expire()], [7, 8])
    equal(known.isBroken(7, EDGE), true)
    equal(known.isBroken(8, EDGE, PEER), false)
    deepEqual([...known.expire()], [])
    deepEqual(says(known, 'edge-1'), [7])
  })

  test('passes over what is no such message', () => {
    const known = new BrokenPathsKnown(new ManualClock())
    says(known, 'edge-1', wire(7))
    deepEqual([...known.hear(Uint8Array.of(1, 2, 3))], [])
    equal(known.isBroken(7, EDGE), true)
  })
})
