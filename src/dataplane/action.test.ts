import { deepEqual, equal, notEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../base/random.ts'
import {
  ActionKind,
  type ActionLimits,
  Actions,
  ActionWriter,
  createActionMemory,
  EMPTY_SLOT,
  NO_ROUTE_SLOT,
  TEMPLATE_MAX,
} from './action.ts'
import { Drop } from './drop.ts'
import { createQsbrMemory, QsbrReader, QsbrWriter } from './qsbr.ts'
import { routedAction } from './template.ts'

const MAC = new Uint8Array(6)
const LIMITS: ActionLimits = { actions: 64, slots: 32, members: 64 }

class Table {
  readonly memory
  readonly qsbrMemory = createQsbrMemory(1)
  readonly qsbr = new QsbrWriter(this.qsbrMemory)
  readonly writer: ActionWriter
  readonly actions: Actions

  constructor(limits = LIMITS) {
    this.memory = createActionMemory(limits)
    this.writer = new ActionWriter(this.memory, this.qsbr)
    this.actions = new Actions(this.memory)
  }

  port(port: number): number {
    const slot = this.writer.allocate()!
    this.writer.set(slot, routedAction({ port, source: MAC, destination: MAC, mtu: 1500 }))
    return slot
  }

  site(port: number): number {
    const slot = this.writer.allocate()!
    const action = routedAction({ port, source: MAC, destination: MAC, mtu: 1500 })
    this.writer.set(slot, action.kind === 'send' ? { ...action, toSite: true } : action)
    return slot
  }

  drop(reason: number): number {
    const slot = this.writer.allocate()!
    this.writer.set(slot, { kind: 'drop', reason })
    return slot
  }

  group(kind: 'select' | 'failover', ...members: number[]): number {
    const first = this.writer.allocateMembers(members.length)!
    members.forEach((slot, i) => void this.writer.setMember(first + i, slot))
    const slot = this.writer.allocate()!
    this.writer.set(slot, { kind, first, members: members.length })
    return slot
  }

  /** The port by which a flow leaves, or the reason for which it is dropped. */
  way(slot: number, hash = 1): number | string {
    return this.#wayOf(this.actions.resolve(slot, hash))
  }

  /** Likewise of what came from another site. */
  wayHere(slot: number, hash = 1): number | string {
    return this.#wayOf(this.actions.resolveHere(slot, hash))
  }

  #wayOf(at: number): number | string {
    const { words } = this.actions
    if (words[at] === ActionKind.send) return words[at + 1]!
    if (words[at] === ActionKind.local) return `local ${words[at + 6]}`
    return Object.entries(Drop).find(([, code]) => code === words[at + 6])![0]
  }
}

test('a slot that was never set means no route, an empty place of a group an empty group', () => {
  const table = new Table()
  equal(table.way(NO_ROUTE_SLOT), 'no-route')
  equal(table.way(EMPTY_SLOT), 'group-empty')
  equal(table.way(table.writer.allocate()!), 'no-route')
  throws(() => table.writer.set(EMPTY_SLOT, { kind: 'drop', reason: Drop['too-big'] }), /standing/)
})

test('every kind of action is found as it was laid down', () => {
  const table = new Table()
  equal(table.way(table.port(7)), 7)
  equal(table.way(table.drop(Drop['discard-route'])), 'discard-route')
  const local = table.writer.allocate()!
  table.writer.set(local, { kind: 'local', segment: 12 })
  equal(table.way(local), 'local 12')
  throws(
    () =>
      table.writer.set(local, {
        ...{ kind: 'send', port: 0, tunnel: 0, mtu: 0, etherTypeAt: 0 },
        template: new Uint8Array(TEMPLATE_MAX + 1),
      }),
    /larger than its row/,
  )
})

test('a select group spreads flows over its members, a flow always to the same', () => {
  const table = new Table()
  const group = table.group('select', table.port(1), table.port(2), table.port(3))
  const random = new Random(1)
  const counts = new Map<number | string, number>()
  for (let i = 0; i < 3000; i++) {
    const hash = random.u32()
    const way = table.way(group, hash)
    equal(table.way(group, hash), way)
    counts.set(way, (counts.get(way) ?? 0) + 1)
  }
  deepEqual([...counts.keys()].sort(), [1, 2, 3])
  for (const count of counts.values()) equal(Math.abs(count - 1000) < 120, true, `${count} of 3000`)
})

test('a second select behind the first chooses anew: no member of it is left without flows', () => {
  const table = new Table()
  const behind = [
    table.group('select', table.port(1), table.port(2)),
    table.group('select', table.port(3), table.port(4)),
  ]
  const group = table.group('select', ...behind)
  const random = new Random(2)
  const ways = Array.from({ length: 400 }, () => table.way(group, random.u32()))
  for (const port of [1, 2, 3, 4]) equal(ways.filter((way) => way === port).length > 50, true)
})

test('a failover group takes the first member that is no drop', () => {
  const table = new Table()
  const down = table.drop(Drop['port-down'])
  const first = table.port(1)
  const group = table.group('failover', first, table.port(2), down)
  equal(table.way(group), 1)
  table.writer.set(first, { kind: 'drop', reason: Drop['port-down'] })
  equal(table.way(group), 2)
  equal(table.way(table.group('failover', down, down)), 'port-down')
  equal(table.way(table.group('failover', EMPTY_SLOT)), 'group-empty')
})

test('groups nest four deep; one more, or a loop, is dropped', () => {
  const table = new Table()
  let slot = table.port(5)
  for (let depth = 0; depth < 4; depth++) slot = table.group('select', slot)
  equal(table.way(slot), 5)
  equal(table.way(table.group('select', slot)), 'group-loop')
  const loop = table.group('select', EMPTY_SLOT)
  const other = table.group('failover', loop)
  table.writer.set(loop, { kind: 'failover', first: 1, members: 1 })
  table.writer.setMember(1, other)
  equal(table.way(loop), 'group-loop')
})

/** No route, group empty, group loop, exhausted. */
const STANDING_ROWS = 9

test('a change is one store: a worker that holds the row of before still reads it whole', () => {
  const table = new Table()
  const reader = new QsbrReader(table.qsbrMemory, 0)
  reader.online()
  const slot = table.port(1)
  const held = table.actions.resolve(slot, 0)
  const before = table.actions.words.slice(held, held + 32)
  // More changes than there are rows: rows that the worker may hold are not used again.
  let taken = 0
  while (table.writer.set(slot, routedAction({ port: 2, source: MAC, destination: MAC, mtu: 1400 }))) {
    table.qsbr.reclaim()
    taken++
  }
  equal(taken, LIMITS.actions - STANDING_ROWS - 1)
  deepEqual(table.actions.words.slice(held, held + 32), before)
  const at = table.actions.resolve(slot, 0)
  notEqual(at, held)
  equal(table.actions.words[at + 6], Drop['actions-exhausted'], 'and leads nowhere else')
  reader.quiescent()
  table.qsbr.reclaim()
  equal(table.writer.set(slot, { kind: 'drop', reason: Drop['too-big'] }), true)
})

test('slots and members run out without harm, and come back when no worker can hold them', () => {
  const table = new Table()
  const slots: number[] = []
  for (let slot = table.writer.allocate(); slot !== undefined; slot = table.writer.allocate()) slots.push(slot)
  equal(new Set(slots).size, LIMITS.slots - 2)
  const run = table.writer.allocateMembers(LIMITS.members)
  equal(table.writer.allocateMembers(1), undefined)
  const reader = new QsbrReader(table.qsbrMemory, 0)
  reader.online()
  table.writer.release(slots[0]!)
  table.writer.releaseMembers(run!, LIMITS.members)
  table.qsbr.reclaim()
  equal(table.writer.allocate(), undefined)
  reader.quiescent()
  table.qsbr.reclaim()
  equal(table.writer.allocate(), slots[0])
  equal(table.writer.allocateMembers(LIMITS.members), run)
})

test('groups of many lengths come and go for ever in the places that there are', () => {
  const table = new Table()
  const random = new Random(3)
  const groups: { first: number; members: number }[] = []
  const taken = new Set<number>()
  const give = (): void => {
    const [{ first, members }] = groups.splice(random.below(groups.length), 1) as [(typeof groups)[number]]
    for (let i = 0; i < members; i++) taken.delete(first + i)
    table.writer.releaseMembers(first, members)
    table.qsbr.reclaim()
  }
  for (let round = 0; round < 2000; round++) {
    const members = 1 + random.below(16)
    for (let first = table.writer.allocateMembers(members); ; first = table.writer.allocateMembers(members)) {
      if (first === undefined) {
        give()
        continue
      }
      groups.push({ first, members })
      for (let i = 0; i < members; i++) {
        equal(taken.has(first + i), false, 'a place was given out twice')
        taken.add(first + i)
      }
      break
    }
  }
  while (groups.length > 0) give()
  equal(table.writer.allocateMembers(LIMITS.members), 0, 'all of it is one again')
})

test('what came from another site leaves by a way of this one, whatever is preferred', () => {
  const table = new Table()
  const [here, other, site] = [table.port(1), table.port(2), table.site(9)]
  const down = table.drop(Drop['underlay-unresolved'])
  const shared = table.group('select', here, other)
  const preferred = table.group('failover', site, shared)
  equal(table.way(preferred), 9)
  equal(table.wayHere(preferred), table.way(shared), 'of those that share packets the one that the flow has anyway')
  equal(table.wayHere(table.group('failover', site, down, other)), 2)
  equal(table.wayHere(here), 1)
  equal(table.wayHere(table.group('failover', site, down)), 'underlay-unresolved', 'and not what it was sent here for')
  equal(table.wayHere(table.group('failover', site, table.site(8))), 'site-loop')
  equal(table.wayHere(table.group('failover', down, site)), 'underlay-unresolved')
  equal(table.wayHere(site), 'site-loop')
  equal(table.wayHere(NO_ROUTE_SLOT), 'no-route')
})
