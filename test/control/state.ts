/**
 * What nodes, switches and hosts hold, as text by name: it does not depend on the numbers that things go by, and so two
 * sites that were told the same compare equal, whatever became of them on the way.
 */

import { BatchFollower, type FollowerCounters } from '../../src/agent/follower.ts'
import { BUCKET, fibFeed, switchFeed } from '../../src/agent/names.ts'
import { formatAddress } from '../../src/base/address.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import type { Bus, Subscription } from '../../src/bus/bus.ts'
import type { Site } from '../../src/config/site.ts'
import { HeldFib, type HeldTenant } from '../../src/control/held-fib.ts'
import { formatKey } from '../../src/control/prefix-key.ts'
import { fibBatch, type NextHop } from '../../src/wire/control/fib.ts'
import { hostBatch, type SwitchBatch, switchBatch } from '../../src/wire/control/switch.ts'

export type State = ReadonlyMap<string, string>

interface Reader {
  readonly counters: FollowerCounters
  readonly generation: number
  close(): Promise<void>
}

/** All that a site tells, followed by readers that keep what they are told in a directory. */
export class Readers {
  /** Routes, by name, that are in every state of the site: a node that is without one has been flushed. */
  keep: ReadonlySet<string> = new Set()
  readonly flushed: string[] = []
  readonly #fibs = new Map<string, HeldFib>()
  readonly #switches = new Map<string, SwitchBatch>()
  readonly #hosts = new Map<string, string>()
  readonly #readers: Reader[] = []
  readonly #hostWatch: Subscription
  #changed = (): void => {}

  constructor(bus: Bus, directory: string, site: Site) {
    for (const { name, nodes } of site.clusters) {
      for (const node of nodes) this.#readers.push(this.#followCluster(bus, directory, name, node.name))
    }
    for (const { name } of site.switches) this.#readers.push(this.#followSwitch(bus, directory, name))
    this.#hostWatch = bus.bucket(BUCKET.hosts).watch('>', ({ key, value }) => {
      const batch = value && hostBatch.decode(value)
      if (batch?.ok) this.#hosts.set(key, textOf(batch.value.exits))
      else this.#hosts.delete(key)
      this.#changed()
    })
    this.#hostWatch.ready.catch(() => {})
  }

  get state(): State {
    const state = new Map<string, string>()
    for (const [node, { tenants }] of this.#fibs) {
      for (const tenant of tenants.values()) addTenant(state, node, tenant)
    }
    for (const [name, { vips, attachments, balances }] of this.#switches) {
      state.set(name, textOf({ vips, attachments, balances }))
    }
    for (const [name, exits] of this.#hosts) state.set(name, exits)
    return state
  }

  /** So many routes are with the node; cheaper than to look at each. */
  count(node: string): number {
    const tenants = [...(this.#fibs.get(node)?.tenants.values() ?? [])]
    return tenants.reduce((sum, { routes }) => sum + routes.size, 0)
  }

  get counters(): readonly FollowerCounters[] {
    return this.#readers.map(({ counters }) => counters)
  }

  get generations(): readonly number[] {
    return this.#readers.map(({ generation }) => generation)
  }

  /** Resolves once the condition holds; rejects after a while with what `why` says. */
  until(condition: () => boolean, why: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(why())), UNTIL_MS)
      this.#changed = () => {
        if (!condition()) return
        clearTimeout(timer)
        this.#changed = () => {}
        resolve()
      }
      this.#changed()
    })
  }

  /** Resolves once all hold what is expected and nothing else. */
  async equal(expected: State): Promise<void> {
    await this.until(
      () => differenceOf(this.state, expected).length === 0,
      () => differenceOf(this.state, expected).join('\n'),
    )
  }

  async close(): Promise<void> {
    this.#hostWatch.close()
    await Promise.all(this.#readers.map((reader) => reader.close()))
  }

  #followCluster(bus: Bus, directory: string, cluster: string, node: string): Reader {
    const fib = new HeldFib()
    this.#fibs.set(node, fib)
    const options = { bus, feed: fibFeed(cluster), module: node, message: fibBatch, directory }
    const follower = new BatchFollower({
      ...options,
      clock: systemClock,
      log: silent,
      apply: (batch) => {
        fib.apply(batch)
        this.#look(node, fib)
        return undefined
      },
    })
    follower.start()
    return follower
  }

  #followSwitch(bus: Bus, directory: string, name: string): Reader {
    const options = { bus, feed: switchFeed(name), module: name, message: switchBatch, directory }
    const follower = new BatchFollower({
      ...options,
      clock: systemClock,
      log: silent,
      apply: (batch) => {
        this.#switches.set(name, batch)
        this.#changed()
        return undefined
      },
    })
    follower.start()
    return follower
  }

  #look(node: string, { tenants }: HeldFib): void {
    const state = new Map<string, string>()
    if (this.keep.size > 0) for (const tenant of tenants.values()) addTenant(state, node, tenant)
    for (const name of this.keep) {
      if (name.startsWith(`${node} `) && !state.has(name)) this.flushed.push(name)
    }
    this.#changed()
  }
}

/** Under the load of other tests; when nothing is wrong it takes a moment. */
const UNTIL_MS = 30_000

/** What to look at when two states are not the same. */
function differenceOf(found: State, expected: State): string[] {
  const names = new Set([...found.keys(), ...expected.keys()])
  return [...names]
    .filter((name) => found.get(name) !== expected.get(name))
    .map((name) => `${name}: ${found.get(name)} instead of ${expected.get(name)}`)
}

/** The routes that are in all of them, whatever their next hops. */
export function keptBy(states: readonly State[]): Set<string> {
  const [first = new Map<string, string>(), ...others] = states
  return new Set([...first.keys()].filter((name) => name.includes('/') && others.every((state) => state.has(name))))
}

function addTenant(state: Map<string, string>, node: string, { record, hops, routes }: HeldTenant): void {
  const segments = record.segments.map((segment) => ({ ...segment, id: 0 }))
  state.set(`${node} ${record.name}`, textOf({ ...record, id: 0, segments }))
  const names = new Map(record.segments.map(({ id, name }) => [id, name]))
  const describe = (id: number): string => {
    const hop = hops.get(id) as NextHop
    if (hop.kind === 'group')
      return hop.members.map(({ nextHop, weight }) => `${describe(nextHop)}*${weight}`).join(' + ')
    if (hop.kind === 'failover') return Array.from(hop.members, describe).join(' or ')
    const { id: _, tenant: __, ...rest } = hop
    return textOf('segment' in rest ? { ...rest, segment: names.get(rest.segment) } : rest)
  }
  for (const [key, id] of routes) state.set(`${node} ${record.name} ${formatKey(key)}`, describe(id))
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, inner) => (inner instanceof Uint8Array ? formatBytes(inner) : inner))
}

function formatBytes(bytes: Uint8Array): string {
  return bytes.length === 4 || bytes.length === 16 ? formatAddress(bytes) : Buffer.from(bytes).toString('hex')
}
