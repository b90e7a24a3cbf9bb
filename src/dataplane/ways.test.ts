import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { ActionKind, type ActionLimits, Actions, ActionWriter, createActionMemory } from './action.ts'
import { createQsbrMemory, QsbrReader, QsbrWriter } from './qsbr.ts'
import { type Adjacency, routedAction } from './template.ts'
import { type Way, Ways } from './ways.ts'

const REMOTE = parseAddress('10.0.2.1')!
/** Slots that stand for good. */
const STANDING_SLOTS = 2

/** An endpoint with several paths, and room for this much. */
class Site {
  adjacencies: Adjacency[]
  readonly actions: Actions
  readonly ways: Ways
  readonly #qsbr: QsbrWriter
  readonly #reader: QsbrReader
  #changed = () => {}

  constructor(paths: number, limits: Partial<ActionLimits> = {}) {
    const memory = createActionMemory({ actions: 64, slots: 64, members: 64, ...limits })
    const qsbrMemory = createQsbrMemory(1)
    this.#qsbr = new QsbrWriter(qsbrMemory)
    this.#reader = new QsbrReader(qsbrMemory, 0)
    this.actions = new Actions(memory)
    this.adjacencies = pathsOf(paths)
    const underlay = {
      adjacencies: () => this.adjacencies,
      watch: (_: unknown, changed: () => void) => {
        this.#changed = changed
        return { close: () => {} }
      },
    }
    this.ways = new Ways(new ActionWriter(memory, this.#qsbr), underlay, () => undefined)
  }

  /** The underlay has so many paths now. */
  change(paths: number): void {
    this.adjacencies = pathsOf(paths)
    this.#changed()
    this.#reader.quiescent()
    this.#qsbr.reclaim()
  }

  /** How many of a thousand flows leave by each port; flows that are dropped are by none. */
  shares(way: Way): Map<number, number> {
    const shares = new Map<number, number>()
    for (let flow = 0; flow < 1000; flow++) {
      const at = this.actions.resolve(way.slot, Math.imul(flow, 0x9e3779b1))
      if (this.actions.words[at] !== ActionKind.send) continue
      const port = this.actions.words[at + 1]!
      shares.set(port, (shares.get(port) ?? 0) + 1)
    }
    return shares
  }
}

function pathsOf(count: number): Adjacency[] {
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 1)
  return Array.from({ length: count }, (_, port) => ({ port, source: mac, destination: mac, mtu: 1500 }))
}

test('flows spread over all paths, and over those that are left', () => {
  const site = new Site(4)
  const way = site.ways.open(REMOTE, routedAction)!
  const shares = site.shares(way)
  deepEqual([...shares.keys()].sort(), [0, 1, 2, 3])
  for (const share of shares.values()) ok(share > 200 && share < 300, `${share}`)
  site.change(1)
  deepEqual([...site.shares(way)], [[0, 1000]])
  site.change(0)
  equal(site.shares(way).size, 0)
})

for (const [what, limits] of [
  ['slots', { slots: STANDING_SLOTS + 1 + 3 }],
  ['members', { members: 3 }],
] as const)
  test(`a way with four paths and ${what} for three keeps to one, and loses nothing`, () => {
    const site = new Site(4, limits)
    const way = site.ways.open(REMOTE, routedAction)!
    deepEqual([...site.shares(way)], [[0, 1000]])
  })

test('what was taken for paths that found no room is given back', () => {
  const site = new Site(4, { slots: STANDING_SLOTS + 1 + 3 })
  const way = site.ways.open(REMOTE, routedAction)!
  for (let i = 0; i < 50; i++) site.change(4)
  site.change(3)
  deepEqual([...site.shares(way).keys()].sort(), [0, 1, 2])
})
