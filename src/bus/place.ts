/**
 * Where a site's bus is, as plain data that a thread can be handed, and the client that it takes. What it takes is loaded
 * when it is needed: NATS's library costs a process as much time and memory again as the rest of the bus does several
 * times over.
 */

import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Bus } from './bus.ts'
import type { NatsOptions } from './nats/client.ts'

export type NatsPlace = Omit<NatsOptions, 'name' | 'clock' | 'random'>

export type BusPlace = { readonly socketPath: string } | { readonly nats: NatsPlace }

export interface ClientOptions {
  /** What this client is called by the server: `forwarding.node1`. */
  readonly name: string
  readonly clock: Clock
  readonly random: Random
}

/** Starts to connect, and keeps connecting until it is closed. */
export async function openBus(place: BusPlace, options: ClientOptions): Promise<Bus> {
  if ('nats' in place) return (await import('./nats/client.ts')).connectNats({ ...place.nats, ...options })
  return (await import('./embedded/client.ts')).connectBus({ ...place, ...options })
}
