/**
 * Other sites whose gateways this one's tenants are reached at, too (DSR section 6, "customizing egress routing"): what a
 * tenant of the same name and VNI has there, an orchestrator says on the bus, and here stands what the path between the two
 * sites is worth. A tenant's packets go there where the other site has the better way, or the only one.
 *
 *   remote_sites:
 *     - { name: west, cost: 10, probe: to-west }
 */

import { z } from 'zod'
import { type Complain, each, Unique } from './complain.ts'
import { CONNECTION_MTU, COST_MAX, REMOTE_STALE_DEFAULT_S, REMOTE_STALE_MAX_S } from './limits.ts'
import type { Loose } from './loose.ts'
import { mtu, name, whole } from './scalar.ts'
import type { Site } from './site.ts'
import { suggest } from './suggestion.ts'

export const remoteSite = z.strictObject({
  /** As its own file calls it. */
  name,
  /** Of the path between the sites, which is added to that of the other site's connection. */
  cost: whole('cost', 0, COST_MAX).default(0),
  /** As a connection's. Where that of the other site's connection is higher, it is that. */
  preference: whole('preference', 0, 65_535).default(100),
  /** The largest IP packet that is sent there. */
  mtu: mtu.default(CONNECTION_MTU),
  /** What measures the path between the sites: while it is down, the other site's ways are the last choice. */
  probe: name.optional(),
  /** How long its routes are kept while nobody says what has become of them: no orchestrator, or one that cannot reach it. */
  stale_routes_s: whole('time', 0, REMOTE_STALE_MAX_S).default(REMOTE_STALE_DEFAULT_S),
})
export type RemoteSite = z.output<typeof remoteSite>

/** What a tenant's way by another site is called among its connections. */
export const pathTo = (remote: string): string => `site-${remote}`

export function checkRemoteSites(site: Loose<Site>, complain: Complain): void {
  const names = new Unique(complain)
  const probes = new Set(site.routing?.probes?.flatMap((probe) => probe?.name ?? []))
  each(site.remote_sites, ({ name, probe }, i) => {
    const path = ['remote_sites', i]
    if (name !== undefined && name === site.site) complain([...path, 'name'], `${name} is this site itself`)
    names.add(name, [...path, 'name'], undefined)
    if (probe !== undefined && !probes.has(probe))
      complain([...path, 'probe'], `there is no probe ${JSON.stringify(probe)}${suggest(probe, probes)}`)
  })
  const taken = new Map(names.keys().map((name) => [pathTo(name), name]))
  if (taken.size === 0) return
  // Whoever carries the site's offer holds a lease, as routing nodes do.
  each(site.routing?.nodes, ({ name }, i) => {
    const remote = name === undefined ? undefined : taken.get(name)
    if (remote !== undefined)
      complain(['routing', 'nodes', i, 'name'], `${name} is what the way by site ${remote} is called`)
  })
  each(site.tenants, (tenant, i) =>
    each(tenant.connections, ({ name }, j) => {
      const remote = name === undefined ? undefined : taken.get(name)
      if (remote === undefined) return
      complain(['tenants', i, 'connections', j, 'name'], `${name} is what the way by site ${remote} is called`)
    }),
  )
}
