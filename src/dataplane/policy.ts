/**
 * Tenants' policies as workers read them: rules that a packet is held against in turn, after its route is known and only
 * where that leads to an action of the kind `policy` (action.ts). Which connections there are is in the action; a rule names
 * the way that packets take by its number, or none.
 *
 *   tenants[row] --> rule, rule, ... the last one says so           0: the tenant has none
 *                    word 0 flags      4 destination ports, from and to     8 source address     16 destination address
 *                         1 protocol   5 way, 0: drop                      12 its mask           20 its mask
 *                         2 DSCP       6 number of the policy
 *                         3 source ports
 *
 * A tenant's rules never change while they are named: others are laid down beside them, and one store makes them the
 * tenant's. Those of before are used again once every worker has passed by (qsbr.ts).
 */

import type { Prefix } from '../base/address.ts'
import type { FibPolicy, FibRule } from '../wire/control/fib.ts'
import { Fault } from '../wire/fault.ts'
import { ipv4, ipv4HeaderBytes, isIpv4Fragment, PROTOCOL } from '../wire/ipv4.ts'
import { FRAGMENT, ipv6, ipv6Walk, trafficClass, walkIpv6 } from '../wire/ipv6.ts'
import type { QsbrWriter } from './qsbr.ts'
import { Runs } from './runs.ts'

const RULE = 24
const FLAG = { ipv4: 1, ipv6: 2, last: 4, ports: 8, only: 16 } as const
const SOURCE_AT = 8
const DESTINATION_AT = 16
/** Of an address in a rule: its mask. */
const MASK = 4
const ANY = -1
const NO_RULES = 0
/** Packets and bytes. */
const COUNTERS = 2

/** What `match` answers where no policy matches. */
export const NO_POLICY = -1

export interface PolicyLimits {
  /** 96 bytes each. */
  readonly rules: number
  /** 16 bytes each and worker. */
  readonly policies: number
  /** Rows of tenants. */
  readonly tenants: number
}

/** Of a node: twice what the tenants of a cluster may have, since the new ones are in before the old ones are out. 25 MB. */
export const NODE_POLICY_LIMITS = { rules: 1 << 18, policies: 1 << 16 } as const

export interface PolicyMemory {
  readonly rules: SharedArrayBuffer
  readonly tenants: SharedArrayBuffer
  readonly counters: SharedArrayBuffer
  readonly policies: number
}

export function createPolicyMemory({ rules, policies, tenants }: PolicyLimits, workers: number): PolicyMemory {
  return {
    rules: new SharedArrayBuffer(rules * RULE * 4),
    tenants: new SharedArrayBuffer(tenants * 4),
    counters: new SharedArrayBuffer(workers * policies * COUNTERS * 8),
    policies,
  }
}

const walk = ipv6Walk()

/** What the workers read. */
export class Policies {
  readonly #words: Int32Array
  readonly #tenants: Int32Array
  readonly #counters: Float64Array
  // Of the packet that is looked at.
  #protocol = ANY
  #hasPorts = false
  #sourcePort = 0
  #destinationPort = 0

  constructor(memory: PolicyMemory, worker: number) {
    this.#words = new Int32Array(memory.rules)
    this.#tenants = new Int32Array(memory.tenants)
    const row = memory.policies * COUNTERS
    this.#counters = new Float64Array(memory.counters, worker * row * 8, row)
  }

  /** The first rule that the packet with the checked header at `l3` meets, or NO_POLICY. `end` bounds what may be read. */
  match4(tenant: number, view: DataView, l3: number, end: number): number {
    const first = this.#tenants[tenant]!
    if (first === NO_RULES) return NO_POLICY
    const protocol = ipv4.protocol.get(view, l3)
    this.#read(view, protocol, l3 + ipv4HeaderBytes(view, l3), isIpv4Fragment(view, l3), end)
    const dscp = ipv4.tos.get(view, l3) >>> 2
    const source = ipv4.source.get(view, l3) | 0
    const destination = ipv4.destination.get(view, l3) | 0
    const words = this.#words
    for (let at = first * RULE; ; at += RULE) {
      if (
        (words[at]! & FLAG.ipv4) !== 0 &&
        (source & words[at + SOURCE_AT + MASK]!) === words[at + SOURCE_AT]! &&
        (destination & words[at + DESTINATION_AT + MASK]!) === words[at + DESTINATION_AT]! &&
        this.#isMet(at, dscp)
      )
        return at
      if ((words[at]! & FLAG.last) !== 0) return NO_POLICY
    }
  }

  /** The same. A packet whose extension headers cannot be followed has no protocol and no ports. */
  match6(tenant: number, view: DataView, l3: number, end: number): number {
    const first = this.#tenants[tenant]!
    if (first === NO_RULES) return NO_POLICY
    const isRead = walkIpv6(view, l3, end, walk) === Fault.none
    this.#read(view, isRead ? walk.protocol : ANY, walk.at, walk.fragment !== FRAGMENT.none, end)
    const dscp = trafficClass(view, l3) >>> 2
    const words = this.#words
    for (let at = first * RULE; ; at += RULE) {
      if (
        (words[at]! & FLAG.ipv6) !== 0 &&
        this.#isIn6(at + SOURCE_AT, view, l3 + ipv6.source.offset) &&
        this.#isIn6(at + DESTINATION_AT, view, l3 + ipv6.destination.offset) &&
        this.#isMet(at, dscp)
      )
        return at
      if ((words[at]! & FLAG.last) !== 0) return NO_POLICY
    }
  }

  /** The way that packets take by the rule; 0 if they are dropped. */
  wayOf(rule: number): number {
    return this.#words[rule + 5]!
  }

  /** They take that way or none. */
  isOnly(rule: number): boolean {
    return (this.#words[rule]! & FLAG.only) !== 0
  }

  count(rule: number, bytes: number): void {
    const at = this.#words[rule + 6]! * COUNTERS
    this.#counters[at]! += 1
    this.#counters[at + 1]! += bytes
  }

  #read(view: DataView, protocol: number, l4: number, isFragment: boolean, end: number): void {
    this.#protocol = protocol
    const mayHavePorts = protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp || protocol === PROTOCOL.sctp
    this.#hasPorts = mayHavePorts && !isFragment && l4 + 4 <= end
    if (!this.#hasPorts) return
    this.#sourcePort = view.getUint16(l4)
    this.#destinationPort = view.getUint16(l4 + 2)
  }

  #isMet(at: number, dscp: number): boolean {
    const words = this.#words
    if (words[at + 1] !== ANY && words[at + 1] !== this.#protocol) return false
    if (words[at + 2] !== ANY && words[at + 2] !== dscp) return false
    if ((words[at]! & FLAG.ports) === 0) return true
    return (
      this.#hasPorts && isBetween(words[at + 3]!, this.#sourcePort) && isBetween(words[at + 4]!, this.#destinationPort)
    )
  }

  #isIn6(at: number, view: DataView, address: number): boolean {
    const words = this.#words
    for (let i = 0; i < 4; i++)
      if ((view.getInt32(address + i * 4) & words[at + MASK + i]!) !== words[at + i]!) return false
    return true
  }
}

function isBetween(fromTo: number, port: number): boolean {
  return port >= fromTo >>> 16 && port <= (fromTo & 0xffff)
}

interface Held {
  readonly first: number
  readonly count: number
  /** By the policy's name: its number. */
  readonly numbers: ReadonlyMap<string, number>
}

export interface PolicyCount {
  readonly name: string
  readonly packets: number
  readonly bytes: number
}

/** The agent's side: exactly one a process. */
export class PolicyWriter {
  readonly #words: Int32Array
  readonly #tenants: Int32Array
  readonly #counters: Float64Array<ArrayBufferLike>
  readonly #policies: number
  readonly #qsbr: QsbrWriter
  readonly #rules: Runs
  readonly #numbers: Runs
  readonly #held = new Map<number, Held>()

  constructor(memory: PolicyMemory, qsbr: QsbrWriter) {
    this.#words = new Int32Array(memory.rules)
    this.#tenants = new Int32Array(memory.tenants)
    this.#counters = new Float64Array(memory.counters)
    this.#policies = memory.policies
    this.#qsbr = qsbr
    // The first one stands for none.
    this.#rules = new Runs(1, this.#words.length / RULE)
    this.#numbers = new Runs(0, memory.policies)
  }

  /** These are the tenant's policies from now on, by its row. Returns why they could not be; then it has those of before. */
  set(tenant: number, policies: readonly FibPolicy[]): string | undefined {
    const before = this.#held.get(tenant)
    const count = policies.reduce((sum, { rules }) => sum + rules.length, 0)
    if (count === 0) return this.clear(tenant)
    const first = this.#rules.take(count)
    if (first === undefined) return 'rules of policies are exhausted'
    const numbers = this.#numbersFor(policies, before)
    if (!numbers) {
      this.#rules.give(first, count)
      return 'policies are exhausted'
    }
    let at = first * RULE
    for (const policy of policies)
      for (const rule of policy.rules) {
        layRule(this.#words, at, rule, policy, numbers.get(policy.name)!)
        at += RULE
      }
    this.#words[at - RULE]! |= FLAG.last
    this.#held.set(tenant, { first, count, numbers })
    Atomics.store(this.#tenants, tenant, first)
    if (before) this.#retire(before, numbers)
    return undefined
  }

  /** It has none any more. */
  clear(tenant: number): undefined {
    const held = this.#held.get(tenant)
    if (!held) return
    this.#held.delete(tenant)
    Atomics.store(this.#tenants, tenant, NO_RULES)
    this.#retire(held, new Map())
  }

  /** What each of the tenant's policies has decided, in their order; by the workers' counters, or by others of that shape. */
  counts(tenant: number, counters = this.#counters): PolicyCount[] {
    return Array.from(this.#held.get(tenant)?.numbers ?? [], ([name, number]) => {
      return { name, packets: this.#sum(counters, number, 0), bytes: this.#sum(counters, number, 1) }
    })
  }

  // A policy that was there before goes on counting.
  #numbersFor(policies: readonly FibPolicy[], before: Held | undefined): Map<string, number> | undefined {
    const numbers = new Map<string, number>()
    for (const { name } of policies) {
      const number = before?.numbers.get(name) ?? this.#numbers.take(1)
      if (number === undefined) {
        for (const [taken, one] of numbers) if (!before?.numbers.has(taken)) this.#numbers.give(one, 1)
        return undefined
      }
      numbers.set(name, number)
    }
    return numbers
  }

  #retire({ first, count, numbers }: Held, kept: ReadonlyMap<string, number>): void {
    const gone = [...numbers].flatMap(([name, number]) => (kept.has(name) ? [] : number))
    this.#qsbr.retire(() => {
      this.#rules.give(first, count)
      for (const number of gone) {
        const row = this.#policies * COUNTERS
        for (let at = number * COUNTERS; at < this.#counters.length; at += row)
          this.#counters.fill(0, at, at + COUNTERS)
        this.#numbers.give(number, 1)
      }
    })
  }

  #sum(counters: Float64Array, number: number, column: number): number {
    let sum = 0
    const row = this.#policies * COUNTERS
    for (let at = number * COUNTERS + column; at < counters.length; at += row) sum += counters[at]!
    return sum
  }
}

function layRule(words: Int32Array, at: number, rule: FibRule, policy: FibPolicy, number: number): void {
  const { source, destination, sourcePorts, destinationPorts } = rule
  words.fill(0, at, at + RULE)
  const isFamily = (bytes: number) => [source, destination].every((one) => !one || one.address.length === bytes)
  words[at] =
    (isFamily(4) ? FLAG.ipv4 : 0) |
    (isFamily(16) ? FLAG.ipv6 : 0) |
    (sourcePorts || destinationPorts ? FLAG.ports : 0) |
    (policy.only ? FLAG.only : 0)
  words[at + 1] = rule.protocol ?? ANY
  words[at + 2] = rule.dscp ?? ANY
  words[at + 3] = portsOf(sourcePorts)
  words[at + 4] = portsOf(destinationPorts)
  words[at + 5] = policy.way
  words[at + 6] = number
  if (source) layPrefix(words, at + SOURCE_AT, source)
  if (destination) layPrefix(words, at + DESTINATION_AT, destination)
}

function portsOf(ports: { from: number; to: number } | undefined): number {
  return ports ? (ports.from << 16) | ports.to : 0xffff
}

function layPrefix(words: Int32Array, at: number, { address, length }: Prefix): void {
  const view = new DataView(address.buffer, address.byteOffset, address.length)
  for (let i = 0; i < address.length / 4; i++) {
    const bits = Math.min(Math.max(length - i * 32, 0), 32)
    const mask = bits === 0 ? 0 : -1 << (32 - bits)
    words[at + MASK + i] = mask
    words[at + i] = view.getInt32(i * 4) & mask
  }
}
