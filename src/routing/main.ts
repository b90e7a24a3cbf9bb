/**
 * The routing module as a process (DSR section 3.2.2): the BGP speaker, alone on the kernel's TCP. It needs no other
 * module.
 */

import type { Logger } from '../base/log.ts'
import type { Site } from '../config/site.ts'
import { Speaker } from './bgp/speaker.ts'

export interface RunOptions {
  readonly site: Site
  readonly name: string
  readonly log: Logger
}

export interface RoutingModule {
  close(): Promise<void>
  /** Another site file: of what changed in it, policies take effect at once and cost nobody a session. */
  reload(site: Site): Promise<void>
}

export async function runRouting({ site, log }: RunOptions): Promise<RoutingModule> {
  const { routing } = site
  if (!routing) throw new Error(`site ${site.site} has no routing`)
  const speaker = await Speaker.start({
    routing,
    event({ peer, remote, from, to, reason }) {
      if (to === 'established' || from === 'established')
        log.info({ peer, remote, from, to, reason: reason?.sentence }, 'session')
    },
    onDeath(error) {
      log.error({ error: error.stack }, 'the BGP speaker failed')
      process.exit(1)
    },
  })
  log.info({ as: routing.as, neighbours: routing.neighbours.length }, 'ready')
  return {
    close: () => speaker.close(),
    async reload({ routing: changed }) {
      if (!changed) return
      const { imports, exports, tables, sessionsReset } = await speaker.reloadPolicies(changed)
      log.info({ imports, exports, tables, 'sessions reset': sessionsReset }, 'policies reloaded')
    },
  }
}
