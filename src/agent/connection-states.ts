/**
 * A host's side of what the control module says of tenants' connections (control/connections.ts): for an agent on a host, such
 * as its vSwitch, that wants to know as it happens which ways out of its VPCs there are.
 */

import type { Bus, Subscription } from '../bus/bus.ts'
import { type ConnectionState, connectionState } from '../wire/control/connection.ts'
import { BUCKET, CONNECTIONS_SUBJECT } from './names.ts'

export const connectionKey = ({ tenant, connection }: Pick<ConnectionState, 'tenant' | 'connection'>): string =>
  `${tenant}.${connection}`

export class ConnectionStates {
  readonly #known = new Map<string, ConnectionState>()
  readonly #subscriptions: readonly Subscription[]
  readonly #isWanted: (state: ConnectionState) => boolean
  readonly #heard: (state: ConnectionState) => void

  /** Of tenants with one of these VPCs, by their keys. `heard` is told of each that is new or has changed. */
  constructor(bus: Bus, keys: ReadonlySet<number>, heard: (state: ConnectionState) => void = () => {}) {
    this.#isWanted = (state) => state.keys.some((key) => keys.has(key))
    this.#heard = heard
    this.#subscriptions = [
      bus.subscribe(CONNECTIONS_SUBJECT, ({ payload }) => this.#take(payload)),
      bus.bucket(BUCKET.connections).watch('>', ({ key, value }) => {
        if (value) this.#take(value)
        else this.#known.delete(key)
      }),
    ]
    for (const { ready } of this.#subscriptions) ready.catch(() => {})
  }

  /** Resolves when what was said before is known. */
  get ready(): Promise<unknown> {
    return Promise.all(this.#subscriptions.map(({ ready }) => ready))
  }

  /** By tenant and name. */
  all(): ConnectionState[] {
    return [...this.#known.values()].sort((a, b) => (connectionKey(a) < connectionKey(b) ? -1 : 1))
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.close()
  }

  #take(payload: Uint8Array): void {
    const decoded = connectionState.decode(payload)
    if (!decoded.ok) return
    const state = decoded.value
    const key = connectionKey(state)
    if (state.since_ms <= (this.#known.get(key)?.since_ms ?? -1)) return
    if (!this.#isWanted(state)) return
    this.#known.set(key, state)
    this.#heard(state)
  }
}
