/**
 * Which of tenants' connections are up, and why not: what switches say of their wires and routing nodes of BFD
 * (agent/broken-paths.ts) and of probes (tracks.ts), joined with the site. A connection is down while its wire is, and while
 * all whom BFD or its probes watch on it are. Every change is published at once for tenants' hosts, and the latest is kept on
 * the bus, for those who come later and for the next leader.
 */

import { BrokenPathsKnown } from '../agent/broken-paths.ts'
import { connectionKey } from '../agent/connection-states.ts'
import { BROKEN_SUBJECT, BUCKET, CONNECTIONS_SUBJECT } from '../agent/names.ts'
import { equalBytes, type IpAddress, masked, parseAddress, parseInterface } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { type Bus, BusError } from '../bus/bus.ts'
import { connectionVni, type Site, vpcKey } from '../config/site.ts'
import type { Connection, Tenant } from '../config/tenant.ts'
import { type ConnectionState, connectionState } from '../wire/control/connection.ts'

/** What is broken is said every second: before that, a leader that begins does not know that all is well. */
const SETTLED_ms = 2500
const EXPIRE_ms = 1000
const RECONNECT_WITHIN_ms = 60_000

export interface ConnectionsOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  /** Probes and BFD sessions that are down. */
  down(): ReadonlySet<string>
  /** One is up or down that was not. */
  changed?(): void
}

interface Watched {
  readonly tenant: string
  readonly connection: string
  readonly keys: readonly number[]
  readonly vni: number
  readonly remote: IpAddress
  /** Neighbours that BFD watches. */
  readonly neighbours: readonly { readonly name: string; readonly address: IpAddress }[]
  readonly probes: readonly string[]
}

export class Connections {
  readonly #options: ConnectionsOptions
  readonly #broken: BrokenPathsKnown
  readonly #closers: { close(): void }[] = []
  #watched: readonly Watched[] = []
  #byVni: ReadonlyMap<number, readonly Watched[]> = new Map()
  #byName: ReadonlyMap<string, readonly Watched[]> = new Map()
  readonly #states = new Map<string, ConnectionState>()
  /** Those that are not kept as they are; undefined: gone. */
  readonly #unkept = new Map<string, Uint8Array | undefined>()
  readonly #revisions = new Map<string, number>()
  #keeping: Promise<void> | undefined
  #isSettled = false
  #isClosed = false

  constructor(options: ConnectionsOptions) {
    this.#options = options
    const { bus, clock } = options
    this.#broken = new BrokenPathsKnown(clock)
    const heard = bus.subscribe(BROKEN_SUBJECT, ({ payload }) => this.#pathsChanged(this.#broken.hear(payload)))
    heard.ready.catch(() => {})
    const expire = clock.every(EXPIRE_ms, () => bus.connected && this.#pathsChanged(this.#broken.expire()))
    const settled = clock.after(SETTLED_ms, () => {
      this.#isSettled = true
      this.#look(this.#watched)
    })
    this.#closers = [
      heard,
      { close: () => expire.cancel() },
      { close: () => settled.cancel() },
      { close: bus.onConnection((isConnected) => isConnected && this.#broken.forgive()) },
    ]
  }

  /** What the leader before has said. */
  async load(): Promise<void> {
    for (const { key, value, revision } of await this.#options.bus.bucket(BUCKET.connections).entries('>')) {
      const decoded = connectionState.decode(value)
      this.#revisions.set(key, revision)
      if (decoded.ok) this.#states.set(key, decoded.value)
    }
  }

  setSite(site: Site): void {
    this.#watched = site.tenants.flatMap((tenant) => watchedOf(site, tenant))
    this.#byVni = Map.groupBy(this.#watched, ({ vni }) => vni)
    const names = this.#watched.flatMap((one) =>
      [...one.neighbours.map(({ name }) => name), ...one.probes].map((name) => ({ name, one })),
    )
    const grouped = Map.groupBy(names, ({ name }) => name)
    this.#byName = new Map(Array.from(grouped, ([name, found]) => [name, found.map(({ one }) => one)]))
    const wanted = new Set(this.#watched.map(connectionKey))
    for (const key of new Set([...this.#states.keys(), ...this.#revisions.keys()]))
      if (!wanted.has(key)) this.#forget(key)
    this.#look(this.#watched)
  }

  /** These probes and BFD sessions are down now, or not any more. */
  turned(names: Iterable<string>): void {
    const due = new Set<Watched>()
    for (const name of names) for (const one of this.#byName.get(name) ?? []) due.add(one)
    this.#look(due)
  }

  /** Of which nothing is known it is. */
  isUp(tenant: string, connection: string): boolean {
    return this.#states.get(connectionKey({ tenant, connection }))?.isUp ?? true
  }

  /** Of one tenant, or of all. */
  tell(tenant: string): { tenant: string; connection: string; state: string; since: string; reason: string }[] {
    return this.#watched
      .filter((one) => tenant === '' || one.tenant === tenant)
      .flatMap((one) => this.#states.get(connectionKey(one)) ?? [])
      .map(({ tenant: of, connection, isUp, since_ms, reason }) => {
        return { tenant: of, connection, state: isUp ? 'up' : 'down', since: new Date(since_ms).toISOString(), reason }
      })
  }

  close(): void {
    this.#isClosed = true
    for (const closer of this.#closers) closer.close()
  }

  #pathsChanged(vnis: ReadonlySet<number>): void {
    for (const vni of vnis) this.#look(this.#byVni.get(vni) ?? [])
  }

  #look(due: Iterable<Watched>): void {
    for (const one of due) {
      const reason = this.#reasonOf(one)
      const isUp = reason === ''
      if (isUp && !this.#isSettled) continue
      const { tenant, connection, keys } = one
      const before = this.#states.get(connectionKey(one))
      const isSame = before?.isUp === isUp
      if (isSame && before.reason === reason && before.keys.join() === keys.join()) continue
      const since_ms = Math.max(Math.round(this.#options.clock.wall_ms()), (before?.since_ms ?? 0) + 1)
      this.#say({ tenant, connection, keys, isUp, since_ms, reason })
    }
  }

  #reasonOf({ vni, remote, neighbours, probes }: Watched): string {
    if (this.#broken.isBroken(vni, remote)) return 'carrier'
    if (neighbours.length + probes.length === 0) return ''
    const down = this.#options.down()
    const isSilent = neighbours.every(
      ({ name, address }) => down.has(name) || this.#broken.isBroken(vni, remote, address),
    )
    if (!isSilent || !probes.every((name) => down.has(name))) return ''
    return neighbours.length > 0 ? 'bfd' : 'probe'
  }

  #say(state: ConnectionState): void {
    const { bus, log } = this.#options
    const { tenant, connection, isUp, reason } = state
    const key = connectionKey(state)
    const bytes = connectionState.encode(state)
    bus.publish(CONNECTIONS_SUBJECT, bytes)
    this.#states.set(key, state)
    if (!isUp) log.warn({ tenant, connection, reason }, 'a connection is down')
    this.#keep(key, bytes)
    this.#options.changed?.()
  }

  #forget(key: string): void {
    this.#states.delete(key)
    this.#keep(key, undefined)
  }

  #keep(key: string, bytes: Uint8Array | undefined): void {
    this.#unkept.set(key, bytes)
    this.#keeping ??= this.#keepAll().finally(() => {
      this.#keeping = undefined
    })
  }

  // What was to be kept meanwhile is kept in the same go. Nobody waits for it.
  async #keepAll(): Promise<void> {
    const { bus, log } = this.#options
    while (this.#unkept.size > 0 && !this.#isClosed) {
      const [key, bytes] = this.#unkept.entries().next().value!
      this.#unkept.delete(key)
      try {
        await this.#put(key, bytes)
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        // Somebody else leads and has said otherwise, or this one ends.
        if (error.code === 'wrong-revision' || error.code === 'closed') continue
        if (error.code !== 'timeout' && error.code !== 'disconnected') {
          log.warn({ connection: key, reason: error.message }, 'the state of a connection is not kept')
          continue
        }
        if (!this.#unkept.has(key)) this.#unkept.set(key, bytes)
        await bus.whenConnected(RECONNECT_WITHIN_ms).catch(() => {})
      }
    }
  }

  async #put(key: string, bytes: Uint8Array | undefined): Promise<void> {
    const bucket = this.#options.bus.bucket(BUCKET.connections)
    if (!bytes) {
      await bucket.delete(key)
      this.#revisions.delete(key)
      return
    }
    const stored = this.#revisions.has(key) ? undefined : await bucket.get(key)
    const revision = this.#revisions.get(key) ?? stored?.revision ?? 0
    // Also where the answer is lost: what is there is looked at again before the next attempt.
    this.#revisions.delete(key)
    this.#revisions.set(key, await bucket.put(key, bytes, { revision }))
  }
}

function watchedOf(site: Site, tenant: Tenant): Watched[] {
  const remotes = new Map(site.switches.map(({ name, address }) => [name, parseAddress(address)!]))
  const keys = tenant.vpcs.map((vpc) => vpcKey(tenant, vpc))
  const neighbours = (site.routing?.neighbours ?? []).flatMap(({ name, tenant: of, address, bfd }) =>
    of === tenant.name && address !== undefined && bfd ? [{ name, address: parseAddress(address)! }] : [],
  )
  return tenant.connections.flatMap((connection) => {
    const remote = remotes.get(connection.switch)
    if (!remote) return []
    return {
      ...{ tenant: tenant.name, connection: connection.name, keys, remote },
      vni: connectionVni(tenant, connection),
      neighbours: neighbours.filter(({ address }) => isOn(connection, address)),
      probes: connection.probes,
    }
  })
}

function isOn({ gateway }: Connection, neighbour: IpAddress): boolean {
  return gateway.some((text) => {
    const { address, length } = parseInterface(text)!
    if (address.length !== neighbour.length) return false
    return equalBytes(masked(address, length), masked(neighbour, length))
  })
}
