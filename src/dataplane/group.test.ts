import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { Random } from '../base/random.ts'
import { ActionKind, Actions, ActionWriter, createActionMemory } from './action.ts'
import { Drop } from './drop.ts'
import { FailoverGroup, type Member, openSelectGroup, PLACES, type Selection } from './group.ts'
import { createQsbrMemory, QsbrWriter } from './qsbr.ts'
import { routedAction } from './template.ts'

const MAC = new Uint8Array(6)
const LIMITS = { actions: 4096, slots: 1024, members: 1 << 16 }

/** Actions in memory, and flows that are sent through a slot. */
class Table {
  readonly memory = createActionMemory(LIMITS)
  readonly qsbr = new QsbrWriter(createQsbrMemory(1))
  readonly writer = new ActionWriter(this.memory, this.qsbr)
  readonly #actions = new Actions(this.memory)

  /** A slot that sends by the port of this number. */
  port(port: number): number {
    const slot = this.writer.allocate()!
    this.writer.set(slot, routedAction({ port, source: MAC, destination: MAC, mtu: 1500 }))
    return slot
  }

  /** Members `n-PORT`, all alive with weight 1. */
  members(ports: readonly number[]): Member[] {
    return ports.map((port) => ({ name: `n-${port}`, slot: this.port(port), weight: 1, alive: true }))
  }

  /** Where a flow leaves, or the name of its drop. */
  way(slot: number, flow: number): number | string {
    const at = this.#actions.resolve(slot, flow)
    const words = this.#actions.words
    if (words[at] === ActionKind.send) return words[at + 1]!
    return Object.entries(Drop).find(([, code]) => code === words[at + 6])![0]
  }

  ways(slot: number, flows: readonly number[]): (number | string)[] {
    return flows.map((flow) => this.way(slot, flow))
  }
}

const random = new Random(11)
const FLOWS = Array.from({ length: 20_000 }, () => random.u32())

function shareOf(ways: readonly (number | string)[], port: number): number {
  return ways.filter((way) => way === port).length / ways.length
}

const selections: Selection[] = ['modulo', 'two-stage', 'resilient']

for (const selection of selections) {
  suite(`a select group, ${selection}`, () => {
    test('spreads flows evenly over its members', () => {
      const table = new Table()
      const group = openSelectGroup(table.writer, selection)!
      group.update(table.members([1, 2, 3, 4]))
      const ways = table.ways(group.slot, FLOWS)
      for (const port of [1, 2, 3, 4]) {
        const share = shareOf(ways, port)
        ok(share > 0.23 && share < 0.27, `port ${port} has ${share}`)
      }
    })

    test('gives each member its weight', () => {
      const table = new Table()
      const group = openSelectGroup(table.writer, selection)!
      const [a, b, c] = table.members([1, 2, 3])
      group.update([
        { ...a!, weight: 1 },
        { ...b!, weight: 2 },
        { ...c!, weight: 5 },
      ])
      const ways = table.ways(group.slot, FLOWS)
      for (const [port, weight] of [
        [1, 1],
        [2, 2],
        [3, 5],
      ] as const) {
        const share = shareOf(ways, port)
        ok(Math.abs(share - weight / 8) < 0.02, `port ${port} has ${share}`)
      }
    })

    test('chooses alike in two switches, in whatever order they learnt of the members', () => {
      const [one, two] = [new Table(), new Table()]
      two.port(99)
      const groups = [one, two].map((table) => openSelectGroup(table.writer, selection)!)
      groups[0]!.update(one.members([1, 2, 3, 4, 5]))
      groups[1]!.update(two.members([5, 3]))
      groups[1]!.update(two.members([4, 1, 5, 3, 2]))
      deepEqual(one.ways(groups[0]!.slot, FLOWS), two.ways(groups[1]!.slot, FLOWS))
    })

    test('drops as group-empty without a live member, and comes back with one', () => {
      const table = new Table()
      const group = openSelectGroup(table.writer, selection)!
      equal(table.way(group.slot, 1), 'group-empty')
      const members = table.members([1, 2])
      group.update(members)
      group.update(members.map((member) => ({ ...member, alive: false })))
      equal(table.way(group.slot, 1), 'group-empty')
      group.update(members.map((member, i) => ({ ...member, alive: i === 1 })))
      deepEqual(new Set(table.ways(group.slot, FLOWS)), new Set([2]))
    })

    test('stays as it was when there is no room for its members', () => {
      const table = new Table()
      const group = openSelectGroup(table.writer, selection)!
      const fillers = Array.from({ length: LIMITS.members / PLACES }, () => openSelectGroup(table.writer, 'resilient')!)
      for (const filler of fillers) equal(filler.update(table.members([1])), true)
      equal(group.update(table.members([2, 3])), false)
      equal(table.way(group.slot, 1), 'group-empty')
    })

    test('gives all back: it can be opened and closed for ever', () => {
      const table = new Table()
      for (let i = 0; i < LIMITS.slots * 2; i++) {
        const group = openSelectGroup(table.writer, selection)!
        const members = table.members([1, 2, 3])
        ok(group.update(members), `round ${i}`)
        ok(group.update(members.slice(0, 2)))
        group.close()
        for (const { slot } of members) table.writer.release(slot)
        table.qsbr.reclaim()
        table.qsbr.reclaim()
      }
    })
  })
}

const names = fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { minLength: 2, maxLength: 12 })

for (const selection of ['two-stage', 'resilient'] as const)
  test(`a ${selection} group moves the flows of a member that dies, and no others; back with it they come back`, () => {
    fc.assert(
      fc.property(names, fc.nat(), (ports, pick) => {
        const table = new Table()
        const group = openSelectGroup(table.writer, selection)!
        const members = table.members(ports)
        group.update(members)
        const before = table.ways(group.slot, FLOWS.slice(0, 2000))
        const gone = ports[pick % ports.length]!
        group.update(members.map((member) => ({ ...member, alive: member.name !== `n-${gone}` })))
        const after = table.ways(group.slot, FLOWS.slice(0, 2000))
        for (const [i, way] of before.entries()) if (way !== gone) equal(after[i], way)
        ok(!after.includes(gone))
        group.update(members)
        deepEqual(table.ways(group.slot, FLOWS.slice(0, 2000)), before)
      }),
      { numRuns: 30 },
    )
  })

test('a two-stage group spreads the flows of the dead evenly over the living (TRIPOD figure 3)', () => {
  const table = new Table()
  const group = openSelectGroup(table.writer, 'two-stage')!
  const members = table.members([1, 2, 3, 4])
  group.update(members)
  const before = table.ways(group.slot, FLOWS)
  group.update(members.map((member) => ({ ...member, alive: member.name !== 'n-3' })))
  const moved = table.ways(group.slot, FLOWS).filter((_, i) => before[i] === 3)
  for (const port of [1, 2, 4]) ok(Math.abs(shareOf(moved, port) - 1 / 3) < 0.03)
})

suite('a resilient group', () => {
  test('moves about 1/n of the flows to a member that comes, and to it alone', () => {
    fc.assert(
      fc.property(names, fc.integer({ min: 201, max: 300 }), (ports, fresh) => {
        const table = new Table()
        const group = openSelectGroup(table.writer, 'resilient')!
        const members = table.members(ports)
        group.update(members)
        const before = table.ways(group.slot, FLOWS.slice(0, 4000))
        group.update([...members, ...table.members([fresh])])
        const after = table.ways(group.slot, FLOWS.slice(0, 4000))
        for (const [i, way] of before.entries()) ok(after[i] === way || after[i] === fresh)
        const share = shareOf(after, fresh) * (ports.length + 1)
        ok(share > 0.7 && share < 1.35, `${share} of its share of 1/${ports.length + 1}`)
      }),
      { numRuns: 30 },
    )
  })

  test('moves flows only to a member that becomes heavier', () => {
    const table = new Table()
    const group = openSelectGroup(table.writer, 'resilient')!
    const members = table.members([1, 2, 3])
    group.update(members)
    const before = table.ways(group.slot, FLOWS)
    group.update(members.map((member, i) => ({ ...member, weight: i === 0 ? 2 : 1 })))
    const after = table.ways(group.slot, FLOWS)
    for (const [i, way] of before.entries()) ok(after[i] === way || after[i] === 1)
    ok(Math.abs(shareOf(after, 1) - 0.5) < 0.03)
  })

  test('follows a member to its new slot without moving a flow of another', () => {
    const table = new Table()
    const group = openSelectGroup(table.writer, 'resilient')!
    const members = table.members([1, 2, 3])
    group.update(members)
    const before = table.ways(group.slot, FLOWS)
    group.update(members.map((member, i) => (i === 1 ? { ...member, slot: table.port(22) } : member)))
    deepEqual(
      table.ways(group.slot, FLOWS),
      before.map((way) => (way === 2 ? 22 : way)),
    )
  })
})

suite('a failover group', () => {
  test('takes the first member that is not a drop, and returns to a better one', () => {
    const table = new Table()
    const [first, second] = [table.port(1), table.port(2)]
    const group = FailoverGroup.open(table.writer, [first, second])!
    equal(table.way(group.slot, 5), 1)
    table.writer.set(first, { kind: 'drop', reason: Drop['port-down'] })
    equal(table.way(group.slot, 5), 2)
    table.writer.set(second, { kind: 'drop', reason: Drop['port-down'] })
    equal(table.way(group.slot, 5), 'port-down')
    table.writer.set(first, routedAction({ port: 3, source: MAC, destination: MAC, mtu: 1500 }))
    equal(table.way(group.slot, 5), 3)
  })

  test('passes over a select group that has nobody left', () => {
    const table = new Table()
    const inner = openSelectGroup(table.writer, 'modulo')!
    const group = FailoverGroup.open(table.writer, [inner.slot, table.port(9)])!
    const members = table.members([1])
    inner.update(members)
    equal(table.way(group.slot, 5), 1)
    inner.update([])
    equal(table.way(group.slot, 5), 9)
  })

  test('groups that lead to each other end in a drop', () => {
    const table = new Table()
    const slot = table.writer.allocate()!
    table.writer.set(slot, { kind: 'drop', reason: Drop['no-route'] })
    const group = FailoverGroup.open(table.writer, [slot])!
    const first = table.writer.allocateMembers(1)!
    table.writer.setMember(first, group.slot)
    table.writer.set(slot, { kind: 'select', first, members: 1 })
    equal(table.way(group.slot, 1), 'group-loop')
  })
})
