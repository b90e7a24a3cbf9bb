/**
 * Leading by turns: one control module leads, by a lease of the bus, and others wait to. The next one finds all on the
 * bus. One that lost its lease and does not know it yet can write nothing that counts: it appends behind what it knows
 * of, where its successor has appended already, and readers refuse its epoch.
 */

import { Events } from '../agent/events.ts'
import { CONTROL_LEASE } from '../agent/names.ts'
import { announce } from '../agent/presence.ts'
import { showing } from '../agent/show.ts'
import { getSite, putSite } from '../agent/site-store.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { aborted, pause } from '../base/signal.ts'
import { type Bus, BusError, campaign, type Lease } from '../bus/bus.ts'
import type { Site } from '../config/site.ts'
import { Controller } from './controller.ts'
import { tellNodes, tellPaths, tellRoutes, tellTenants } from './tell.ts'

/**
 * One that is killed, stopped or cut off is replaced after this time, and a moment for the next one to read the feeds: two
 * seconds in all. It is renewed every third of it. One that was killed and is back before that leads on at once.
 */
export const LEASE_MS = 1500
const TRY_AGAIN_MS = 500

export interface ControlOptions {
  readonly name: string
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  /** What to start with if there is no site on the bus yet. */
  readonly site: Site
  newIncarnation(): string
  /** Waits for the lease; by default this thread renews it, which may be too busy for that. */
  campaign?(signal: AbortSignal): Promise<Lease>
  /** As the route log's. */
  readonly checkpointAfter_bytes?: number
}

export interface RunningControl {
  /** Rejects if it failed for good. */
  readonly ended: Promise<void>
  close(): Promise<void>
}

export function serveControl(options: ControlOptions): RunningControl {
  const stop = new AbortController()
  const ended = serve(options, stop.signal)
  return {
    ended,
    async close() {
      stop.abort()
      await ended
    },
  }
}

async function serve(options: ControlOptions, signal: AbortSignal): Promise<void> {
  const { name, bus, clock, log } = options
  const holder = { holder: name, ttl_ms: LEASE_MS }
  const turn = options.campaign ?? ((until: AbortSignal) => campaign(bus, CONTROL_LEASE, holder, until))
  const events = new Events({ bus, clock, module: name })
  const present = new Present(options)
  // Whoever waits is of use as well: nobody need wait for it to lead.
  const others = bus.watchLease(CONTROL_LEASE, (holder) => {
    if (holder && holder.holder !== name) present.announce()
  })
  others.ready.catch(() => {})
  try {
    while (!signal.aborted) {
      try {
        const lease = await turn(signal)
        log.info({ epoch: lease.epoch }, 'leading')
        events.epoch = lease.epoch
        events.tell('leading', name)
        await leadUnder(lease, { ...options, events }, signal, present).finally(() => letGo(lease))
        events.tell('not-leading', name, signal.aborted ? 'it was told to end' : 'its lease is over')
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        if (signal.aborted || error.code === 'closed') return
        log.warn({ error: error.message }, 'no longer leading')
        events.tell('not-leading', name, error.message)
        await pause(clock, TRY_AGAIN_MS, signal)
      }
    }
  } finally {
    others.close()
    await Promise.all([present.close(), events.close()])
  }
}

/** Also when it failed: another one need not wait until the lease is over. */
async function letGo(lease: Lease): Promise<void> {
  try {
    await lease.release()
  } catch (error) {
    if (!(error instanceof BusError)) throw error
  }
}

/** It says that it is there once it leads or waits for its turn, and until it ends. */
class Present {
  readonly #options: ControlOptions
  #announced: { close(): Promise<void> } | undefined

  constructor(options: ControlOptions) {
    this.#options = options
  }

  announce(): void {
    const { name, bus, clock } = this.#options
    this.#announced ??= announce(bus, name, { role: 'control', pid: process.pid, ready: true, since: clock.wall_ms() })
  }

  async close(): Promise<void> {
    await this.#announced?.close()
  }
}

async function leadUnder(
  lease: Lease,
  options: ControlOptions & { events: Events },
  signal: AbortSignal,
  present: Present,
): Promise<void> {
  const { name, bus } = options
  if (!(await getSite(bus))) await putSite(bus, options.site)
  const over = new AbortController()
  void Promise.race([lease.lost, aborted(signal)]).then(() => over.abort())
  const shown: { close(): unknown }[] = []
  try {
    await Controller.lead({ ...options, epoch: lease.epoch }, over.signal, (controller) => {
      shown.push(
        showing(bus, name, 'tenants', () => tellTenants(controller)),
        showing(bus, name, 'routes', (tenant) => tellRoutes(controller, tenant)),
        showing(bus, name, 'paths', (tenant) => tellPaths(controller, tenant)),
        showing(bus, name, 'nodes', () => tellNodes(controller)),
        showing(bus, name, 'connections', (tenant) => controller.connections.tell(tenant)),
      )
      present.announce()
    })
  } finally {
    over.abort()
    await Promise.all(shown.map((one) => one.close()))
  }
}
