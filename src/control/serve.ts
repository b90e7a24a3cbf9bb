/**
 * Leading by turns: one control module leads, by a lease of the bus, and others wait to. The next one finds all on the
 * bus.
 */

import { announce } from '../agent/presence.ts'
import { showing } from '../agent/show.ts'
import { getSite, putSite } from '../agent/site-store.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { aborted } from '../base/signal.ts'
import { type Bus, BusError, campaign, type Lease } from '../bus/bus.ts'
import type { Site } from '../config/site.ts'
import { Controller } from './controller.ts'
import { tellNodes, tellRoutes, tellTenants } from './tell.ts'

/** A leader that is cut off stops believing in itself within this time; one that was killed is replaced at once. */
const LEASE_MS = 3000
const TRY_AGAIN_MS = 500

export interface ControlOptions {
  readonly name: string
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  /** What to start with if there is no site on the bus yet. */
  readonly site: Site
  newIncarnation(): string
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
  while (!signal.aborted) {
    try {
      const lease = await campaign(bus, 'control', { holder: name, ttl_ms: LEASE_MS }, signal)
      log.info({ epoch: lease.epoch }, 'leading')
      await leadUnder(lease, options, signal)
      await lease.release()
    } catch (error) {
      if (!(error instanceof BusError)) throw error
      if (signal.aborted || error.code === 'closed') return
      log.warn({ error: error.message }, 'no longer leading')
      await new Promise<void>((resolve) => void clock.after(TRY_AGAIN_MS, resolve))
    }
  }
}

async function leadUnder(lease: Lease, options: ControlOptions, signal: AbortSignal): Promise<void> {
  const { name, bus, clock, log, newIncarnation } = options
  if (!(await getSite(bus))) await putSite(bus, options.site)
  const over = new AbortController()
  void Promise.race([lease.lost, aborted(signal)]).then(() => over.abort())
  const shown: { close(): unknown }[] = []
  const since = clock.wall_ms()
  try {
    await Controller.lead({ bus, clock, log, epoch: lease.epoch, newIncarnation }, over.signal, (controller) => {
      shown.push(
        showing(bus, name, 'tenants', () => tellTenants(controller)),
        showing(bus, name, 'routes', (tenant) => tellRoutes(controller, tenant)),
        showing(bus, name, 'nodes', () => tellNodes(controller)),
        announce(bus, name, { role: 'control', pid: process.pid, ready: true, since }),
      )
    })
  } finally {
    over.abort()
    await Promise.all(shown.map((one) => one.close()))
  }
}
