/**
 * The speaker with neighbours in many VRFs, in a process of its own: its session host and its route thread, and who takes the
 * routes of tenants in the control module's stead, or the way to it over a bus. In a gateway a neighbour's VRF is that of the
 * tunnel that it comes through; here neighbours come over TCP as they do to the other daemons, and their names say in which VRF
 * they are.
 *
 *   parent <--{ ... }-- child      `ready`, `reported`: so many changes of routes, since the beginning
 */

import { readFileSync } from 'node:fs'
import { MessageChannel, Worker } from 'node:worker_threads'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import { type BusPlace, openBus } from '../../src/bus/place.ts'
import { parseSite } from '../../src/config/load.ts'
import { PACE_WORDS, plainSettings, type RouteSettings, type ToRoutes } from '../../src/routing/bgp/messages.ts'
import type { RouteThreadSetup } from '../../src/routing/bgp/route-thread.ts'
import { routerIdOf } from '../../src/routing/bgp/router-id.ts'
import { SessionHost } from '../../src/routing/bgp/session-host.ts'
import type { Published } from '../../src/routing/bgp/speaker.ts'
import { RoutePublisher } from '../../src/routing/bus/route-publisher.ts'
import { routeBatch } from '../../src/wire/control/route.ts'

export type FromVrfSpeaker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'reported'; readonly routes: number; readonly at_ms: number }

/** The name of a neighbour; VRFs are numbered from 1. */
export function neighbourName(vrf: number, place: number): string {
  return `vrf-${vrf}-${place}`
}

export function tenantName(vrf: number): string {
  return `tenant-${vrf}`
}

const ROUTE_THREAD = new URL('../../src/routing/bgp/route-thread.ts', import.meta.url)
const SLOTS = 1 << 16

function vrfOf(name: string): number {
  return Number(name.split('-')[1])
}

function inItsVrf(message: ToRoutes): ToRoutes {
  if (message.kind !== 'up') return message
  return { ...message, handling: { ...message.handling, vrf: vrfOf(message.peer) } }
}

/** `publish` is the control module's, where there is one. */
async function run(
  site: string,
  tell: (message: FromVrfSpeaker) => void,
  publish: (batch: Uint8Array) => Promise<void>,
): Promise<void> {
  const routing = parseSite(site).site!.routing!
  const vrfs = new Set(routing.neighbours.map(({ name }) => vrfOf(name)))
  const settings: RouteSettings = {
    ...plainSettings,
    ...{ origin: 'bench', as: routing.as, routerId: routerIdOf(routing.router_id) },
    tenants: Array.from(vrfs, (vrf) => [vrf, tenantName(vrf)] as const),
  }
  const { port1, port2 } = new MessageChannel()
  const pace = new SharedArrayBuffer(SLOTS * PACE_WORDS * 4)
  const workerData: RouteThreadSetup = { settings, sessions: port1, pace }
  const routes = new Worker(ROUTE_THREAD, { workerData, transferList: [port1] })
  const ready = Promise.withResolvers<void>()
  let reported = 0
  routes.on('message', (message: { readonly kind: string; readonly batch: Uint8Array }) => {
    if (message.kind === 'ready') ready.resolve()
    if (message.kind !== 'routes') return
    void publish(message.batch).then(() => routes.postMessage({ what: 'published' } satisfies Published))
    const at_ms = performance.timeOrigin + performance.now()
    const batch = routeBatch.decode(message.batch)
    if (!batch.ok) throw new Error(batch.message)
    reported += batch.value.routes4.lengths.length
    tell({ kind: 'reported', routes: reported, at_ms })
  })
  await ready.promise
  const host = new SessionHost({
    ...{ routing, clock: systemClock, random: new Random(freshSeed()), pace: new Int32Array(pace) },
    toRoutes: (message) => port2.postMessage(inItsVrf(message)),
    event() {},
  })
  port2.on('message', (message) => host.take(message))
  host.start()
  tell({ kind: 'ready' })
}

async function publisherTo(place: BusPlace): Promise<(batch: Uint8Array) => Promise<void>> {
  const random = new Random(freshSeed())
  const bus = await openBus(place, { name: 'speaker', clock: systemClock, random })
  const publisher = new RoutePublisher({ bus, clock: systemClock, log: silent })
  publisher.settle()
  return (batch) => publisher.publish(batch)
}

if (import.meta.main) {
  const [site, bus] = process.argv.slice(2)
  process.on('disconnect', () => process.exit(0))
  const publish = bus === undefined ? () => Promise.resolve() : await publisherTo(JSON.parse(bus))
  void run(readFileSync(site!, 'utf8'), (message) => void process.send!(message), publish)
}
