/**
 * The switch's routes as its workers look them up: the kernel's, and above them what is the switch's own (its
 * addresses, its tunnel endpoint, the VIPs that it spreads). Given all of it anew whenever the underlay changes, it
 * changes what differs. Routes with the same next hops share a slot; several next hops are a group.
 */

import { formatMac, formatPrefix, type IpAddress, type Prefix } from '../base/address.ts'
import type { Logger } from '../base/log.ts'
import type { Action } from '../dataplane/action.ts'
import { Drop } from '../dataplane/drop.ts'
import { FibFullError } from '../dataplane/fib/fib.ts'
import { openSelectGroup, type SelectGroup, WEIGHT_MAX } from '../dataplane/group.ts'
import type { ForwardingRoute } from '../dataplane/route-choice.ts'
import { type Adjacency, routedAction } from '../dataplane/template.ts'
import type { SwitchWriters } from './memory.ts'
import { Vrf } from './shared.ts'

/** An address that is no next hop's: `local` is what the workers make of its packets (`Local`, or a group's slot). */
export interface OwnRoute {
  readonly address: IpAddress
  readonly local: number
}

/** Where routes lead, shared by all that lead there. */
interface Target {
  readonly slot: number
  readonly group: SelectGroup | undefined
  /** The targets that the group's members are. */
  readonly members: readonly string[]
  uses: number
}

interface Entry {
  readonly prefix: Prefix
  readonly target: string
}

export class UnderlayTable {
  readonly #writers: SwitchWriters
  readonly #log: Logger
  readonly #targets = new Map<string, Target>()
  #entries = new Map<string, Entry>()

  constructor(writers: SwitchWriters, log: Logger) {
    this.#writers = writers
    this.#log = log
  }

  sync(routes: Iterable<ForwardingRoute>, own: readonly OwnRoute[]): void {
    const wanted = new Map<string, { prefix: Prefix; action: () => string | undefined; key: string }>()
    for (const { prefix, resolution } of routes) {
      if (isOfTheLink(prefix.address)) continue
      const adjacencies = resolution.status === 'resolved' ? resolution.adjacencies : []
      const key = keyOf(adjacencies)
      wanted.set(formatPrefix(prefix), { prefix, key, action: () => this.#over(adjacencies) })
    }
    for (const { address, local } of own) {
      const prefix = { address, length: address.length * 8 }
      const key = `local ${local}`
      const action = { kind: 'local', segment: local } as const
      wanted.set(formatPrefix(prefix), { prefix, key, action: () => this.#leaf(key, action) })
    }
    const before = this.#entries
    this.#entries = new Map()
    for (const [name, { prefix, key, action }] of wanted) {
      const held = before.get(name)
      if (held?.target !== key && this.#insert(prefix, action)) this.#entries.set(name, { prefix, target: key })
      else if (held) this.#entries.set(name, held)
    }
    for (const [name, held] of before) {
      if (!this.#entries.has(name)) this.#writers.fib.remove(Vrf.underlay, held.prefix)
      if (this.#entries.get(name) !== held) this.#release(held.target)
    }
  }

  /** False, and said in the log, where the FIB or the slots are full: the route stays as it was. */
  #insert(prefix: Prefix, action: () => string | undefined): boolean {
    const target = action()
    if (target === undefined) {
      this.#log.error({ prefix: formatPrefix(prefix) }, 'an underlay route has no room: slots are exhausted')
      return false
    }
    try {
      this.#writers.fib.insert(Vrf.underlay, prefix, this.#targets.get(target)!.slot)
      return true
    } catch (error) {
      this.#release(target)
      if (!(error instanceof FibFullError)) throw error
      this.#log.error({ prefix: formatPrefix(prefix) }, 'an underlay route has no room: the FIB is full')
      return false
    }
  }

  // ---- targets: each call takes one use, which `#release` gives back

  #over(adjacencies: readonly Adjacency[]): string | undefined {
    const [only, ...others] = adjacencies
    if (!only) return this.#leaf(keyOf([]), { kind: 'drop', reason: Drop['underlay-unresolved'] })
    return others.length === 0 ? this.#leaf(keyOf([only]), routedAction(only)) : this.#group(adjacencies)
  }

  #leaf(key: string, action: Action): string | undefined {
    return this.#take(key) ?? this.#allocate(key, action)
  }

  #take(key: string): string | undefined {
    const known = this.#targets.get(key)
    if (!known) return undefined
    known.uses++
    return key
  }

  #allocate(key: string, action: Action): string | undefined {
    const slot = this.#writers.actions.allocate()
    if (slot === undefined) return undefined
    if (!this.#writers.actions.set(slot, action)) {
      this.#writers.actions.release(slot)
      return undefined
    }
    this.#targets.set(key, { slot, group: undefined, members: [], uses: 1 })
    return key
  }

  #group(adjacencies: readonly Adjacency[]): string | undefined {
    const key = keyOf(adjacencies)
    if (this.#take(key)) return key
    const weights = new Map<string, { adjacency: Adjacency; weight: number }>()
    for (const adjacency of adjacencies) {
      const { weight } = weights.get(keyOf([adjacency])) ?? { weight: 0 }
      weights.set(keyOf([adjacency]), { adjacency, weight: Math.min(weight + 1, WEIGHT_MAX) })
    }
    const members: string[] = []
    for (const { adjacency } of weights.values()) {
      const member = this.#leaf(keyOf([adjacency]), routedAction(adjacency))
      if (member !== undefined) members.push(member)
    }
    const group = this.#open([...weights].map(([name, { weight }]) => ({ name, weight })))
    if (!group || members.length < weights.size) {
      for (const member of members) this.#release(member)
      group?.close()
      return undefined
    }
    this.#targets.set(key, { slot: group.slot, group, members, uses: 1 })
    return key
  }

  /** Resilient where there is room: then a path that dies moves its own flows only. */
  #open(members: readonly { name: string; weight: number }[]): SelectGroup | undefined {
    if (!members.every(({ name }) => this.#targets.has(name))) return undefined
    const all = members.map((member) => ({ ...member, slot: this.#targets.get(member.name)!.slot, alive: true }))
    for (const selection of ['resilient', 'modulo'] as const) {
      const group = openSelectGroup(this.#writers.actions, selection)
      if (group?.update(all)) return group
      group?.close()
    }
    return undefined
  }

  #release(key: string): void {
    const target = this.#targets.get(key)!
    if (--target.uses > 0) return
    this.#targets.delete(key)
    if (target.group) target.group.close()
    else this.#writers.actions.release(target.slot)
    for (const member of target.members) this.#release(member)
  }
}

function keyOf(adjacencies: readonly Adjacency[]): string {
  return adjacencies
    .map(({ port, source, destination, mtu }) => `${port} ${formatMac(source)} ${formatMac(destination)} ${mtu}`)
    .sort()
    .join(', ')
}

/** Link-local and group addresses, RFC 4291 sections 2.4 and 2.7, RFC 3927: no router forwards to them. */
function isOfTheLink(address: IpAddress): boolean {
  if (address.length === 4) return address[0]! >= 224 || (address[0] === 169 && address[1] === 254)
  return address[0] === 0xff || (address[0] === 0xfe && (address[1]! & 0xc0) === 0x80)
}
