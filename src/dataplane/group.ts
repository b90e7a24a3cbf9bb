/**
 * Group tables, the one mechanism by which one of several is chosen (OpenFlow 1.3 section 5.6.1): the paths to a next
 * router, the nodes behind a VIP. A group has a slot of its own, so routes and other groups lead to it as to any action, and
 * groups may contain groups, such as TRIPOD's two-stage ECMP (figure 3): select, then fast failover per port, then select.
 *
 *   slot --> select first, count --> member, member, ...       by the flow's hash
 *   slot --> failover first, count --> member, member, ...     the first that is not a drop
 *
 * A select group is filled in one of three ways. `modulo` has a place a unit of weight: small, exact, and a change
 * moves most flows. `two-stage` is TRIPOD's: modulo over all members, the dead ones too, with modulo over the living
 * behind each; a member's death moves its own flows only, but one that joins or leaves for good moves most. `resilient`
 * has a fixed number of places, and each takes the member that draws the highest number for it (rendezvous hashing,
 * Thaler and Ravishankar 1998): a member that leaves gives up its own places and no other moves, one that comes takes
 * its share and nobody else gains. The draw depends on the member's name alone, so two switches that know the same
 * members choose alike without a word between them.
 */

import { assert } from '../base/assert.ts'
import { mix32 } from '../base/hash.ts'
import { type ActionWriter, EMPTY_SLOT } from './action.ts'
import { Drop } from './drop.ts'

export type Selection = 'modulo' | 'two-stage' | 'resilient'

export interface Member {
  /** What the resilient choice depends on; unique in its group. */
  readonly name: string
  readonly slot: number
  /** A whole number from 1 to WEIGHT_MAX. */
  readonly weight: number
  readonly alive: boolean
}

/**
 * Shares of n equal members differ from 1/n by sqrt((n - 1) / PLACES): 2% for three, 11% for 48. 16 KB a group, and 48
 * members are laid in less than a millisecond.
 */
export const PLACES = 4096

/** Each unit of weight is one more draw a place: 4,096 x 256 draws take some 10 ms, once a member. */
export const WEIGHT_MAX = 256

/** Undefined where slots or members are exhausted. */
export function openSelectGroup(writer: ActionWriter, selection: Selection): SelectGroup | undefined {
  const slot = writer.allocate()
  if (slot === undefined) return undefined
  if (selection === 'resilient') return new ResilientGroup(writer, slot)
  const group = new ModuloGroup(writer, slot)
  if (selection === 'modulo') return group
  const spare = openSelectGroup(writer, 'modulo')
  if (spare) return new TwoStageGroup(writer, group, spare)
  group.close()
  return undefined
}

export interface SelectGroup {
  /** Leads to the group; a drop `group-empty` while no member is alive, which a failover group around it sees. */
  readonly slot: number
  /** These are the members now. False where members or actions are exhausted: then the group stays as it was. */
  update(members: readonly Member[]): boolean
  /** Nothing may lead to the slot any more. */
  close(): void
}

class ModuloGroup implements SelectGroup {
  readonly slot: number
  readonly #writer: ActionWriter
  #run: { readonly first: number; readonly count: number } | undefined

  constructor(writer: ActionWriter, slot: number) {
    this.#writer = writer
    this.slot = slot
    closeGroup(writer, slot)
  }

  update(members: readonly Member[]): boolean {
    checkMembers(members)
    const places = [...members]
      .filter(({ alive }) => alive)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap(({ slot, weight }) => new Array<number>(weight).fill(slot))
    if (places.length === 0) {
      this.#adopt(undefined)
      return closeGroup(this.#writer, this.slot)
    }
    const run = layRun(this.#writer, places)
    if (!run) return false
    if (!this.#writer.set(this.slot, { kind: 'select', first: run.first, members: run.count })) {
      this.#writer.releaseMembers(run.first, run.count)
      return false
    }
    this.#adopt(run)
    return true
  }

  close(): void {
    this.#writer.release(this.slot)
    this.#adopt(undefined)
  }

  #adopt(run: { first: number; count: number } | undefined): void {
    if (this.#run) this.#writer.releaseMembers(this.#run.first, this.#run.count)
    this.#run = run
  }
}

/** A member of a two-stage group: the gate leads to it while it is alive and drops otherwise, which the failover sees. */
interface Gate {
  readonly gate: number
  readonly place: number
  readonly failover: FailoverGroup
}

class TwoStageGroup implements SelectGroup {
  readonly #writer: ActionWriter
  readonly #first: SelectGroup
  readonly #second: SelectGroup
  readonly #gates = new Map<string, Gate>()

  constructor(writer: ActionWriter, first: SelectGroup, second: SelectGroup) {
    this.#writer = writer
    this.#first = first
    this.#second = second
  }

  get slot(): number {
    return this.#first.slot
  }

  update(members: readonly Member[]): boolean {
    // The spares first: what falls back must not fall on the dead.
    if (!this.#second.update(members)) return false
    const isNobodyAlive = members.every(({ alive }) => !alive)
    const staged: Member[] = []
    for (const member of members) {
      const gate = this.#gates.get(member.name) ?? this.#openGate(member.name)
      if (!gate) return false
      this.#writer.setMember(gate.place, member.slot)
      if (member.alive) this.#writer.set(gate.gate, { kind: 'select', first: gate.place, members: 1 })
      else closeGroup(this.#writer, gate.gate)
      staged.push({ ...member, slot: gate.failover.slot, alive: !isNobodyAlive })
    }
    if (!this.#first.update(staged)) return false
    for (const name of this.#gates.keys()) if (!members.some((member) => member.name === name)) this.#closeGate(name)
    return true
  }

  close(): void {
    this.#first.close()
    for (const name of this.#gates.keys()) this.#closeGate(name)
    this.#second.close()
  }

  #openGate(name: string): Gate | undefined {
    const gate = this.#writer.allocate()
    const place = this.#writer.allocateMembers(1)
    const failover = gate === undefined ? undefined : FailoverGroup.open(this.#writer, [gate, this.#second.slot])
    if (gate !== undefined && place !== undefined && failover) {
      this.#gates.set(name, { gate, place, failover })
      return this.#gates.get(name)
    }
    failover?.close()
    if (place !== undefined) this.#writer.releaseMembers(place, 1)
    if (gate !== undefined) this.#writer.release(gate)
    return undefined
  }

  #closeGate(name: string): void {
    const { gate, place, failover } = this.#gates.get(name)!
    this.#gates.delete(name)
    failover.close()
    this.#writer.release(gate)
    this.#writer.releaseMembers(place, 1)
  }
}

class ResilientGroup implements SelectGroup {
  readonly slot: number
  readonly #writer: ActionWriter
  /** What each member drew for each place, by name and weight. */
  #draws = new Map<string, { readonly weight: number; readonly numbers: Uint32Array }>()
  /** The slot in each place, as the workers see it. */
  readonly #placed = new Int32Array(PLACES).fill(EMPTY_SLOT)
  #first: number | undefined
  #open = false

  constructor(writer: ActionWriter, slot: number) {
    this.#writer = writer
    this.slot = slot
    closeGroup(writer, slot)
  }

  update(members: readonly Member[]): boolean {
    checkMembers(members)
    this.#first ??= this.#writer.allocateMembers(PLACES)
    const first = this.#first
    if (first === undefined) return false
    this.#draw(members)
    const alive = members.filter((member) => member.alive)
    if (alive.length === 0) {
      this.#open = false
      return closeGroup(this.#writer, this.slot)
    }
    this.#place(first, alive)
    this.#open ||= this.#writer.set(this.slot, { kind: 'select', first, members: PLACES })
    return this.#open
  }

  close(): void {
    this.#writer.release(this.slot)
    if (this.#first !== undefined) this.#writer.releaseMembers(this.#first, PLACES)
    this.#first = undefined
  }

  #draw(members: readonly Member[]): void {
    const before = this.#draws
    this.#draws = new Map(
      members.map(({ name, weight }) => {
        const known = before.get(name)
        return [name, known?.weight === weight ? known : { weight, numbers: drawsOf(name, weight) }]
      }),
    )
  }

  #place(first: number, alive: readonly Member[]): void {
    // By name, so that a tie, one place in a million, is decided alike everywhere.
    const byName = [...alive].sort((a, b) => (a.name < b.name ? -1 : 1))
    const slots = byName.map(({ slot }) => slot)
    const draws = byName.map(({ name }) => this.#draws.get(name)!.numbers)
    for (let place = 0; place < PLACES; place++) {
      let best = 0
      for (let i = 1; i < draws.length; i++) if (draws[i]![place]! > draws[best]![place]!) best = i
      if (this.#placed[place] === slots[best]) continue
      this.#placed[place] = slots[best]!
      this.#writer.setMember(first + place, slots[best]!)
    }
  }
}

/** For each place the highest of as many draws as the member has weight. */
function drawsOf(name: string, weight: number): Uint32Array {
  const numbers = new Uint32Array(PLACES)
  const seed = hashOf(name)
  for (let unit = 0; unit < weight; unit++) {
    const ofUnit = mix32(seed + unit)
    for (let place = 0; place < PLACES; place++) {
      const number = mix32(ofUnit ^ mix32(place)) >>> 0
      if (number > numbers[place]!) numbers[place] = number
    }
  }
  return numbers
}

/** FNV-1a over the UTF-16 units. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return mix32(hash)
}

/** The members in the order of preference; the first whose action is not a drop takes all. */
export class FailoverGroup {
  readonly slot: number
  readonly #writer: ActionWriter
  readonly #run: { readonly first: number; readonly count: number }

  /** Undefined where slots, members or actions are exhausted. What is alive is not said here: it is what is no drop. */
  static open(writer: ActionWriter, slots: readonly number[]): FailoverGroup | undefined {
    assert(slots.length > 0, 'a failover group has members')
    const slot = writer.allocate()
    if (slot === undefined) return undefined
    const run = layRun(writer, slots)
    if (run && writer.set(slot, { kind: 'failover', first: run.first, members: run.count }))
      return new FailoverGroup(writer, slot, run)
    if (run) writer.releaseMembers(run.first, run.count)
    writer.release(slot)
    return undefined
  }

  private constructor(writer: ActionWriter, slot: number, run: { first: number; count: number }) {
    this.#writer = writer
    this.slot = slot
    this.#run = run
  }

  /** The same members, or others, in another order of preference. Who follows the slot meanwhile finds one of them. */
  reorder(slots: readonly number[]): void {
    assert(slots.length === this.#run.count, 'a failover group keeps its size')
    for (const [i, slot] of slots.entries()) this.#writer.setMember(this.#run.first + i, slot)
  }

  close(): void {
    this.#writer.release(this.slot)
    this.#writer.releaseMembers(this.#run.first, this.#run.count)
  }
}

function layRun(writer: ActionWriter, slots: readonly number[]): { first: number; count: number } | undefined {
  const first = writer.allocateMembers(slots.length)
  if (first === undefined) return undefined
  for (const [i, slot] of slots.entries()) writer.setMember(first + i, slot)
  return { first, count: slots.length }
}

function closeGroup(writer: ActionWriter, slot: number): boolean {
  return writer.set(slot, { kind: 'drop', reason: Drop['group-empty'] })
}

function checkMembers(members: readonly Member[]): void {
  const names = new Set(members.map(({ name }) => name))
  assert(names.size === members.length, 'two members of a group with the same name')
  for (const { weight } of members)
    assert(Number.isInteger(weight) && weight >= 1 && weight <= WEIGHT_MAX, `a weight of ${weight}`)
}
