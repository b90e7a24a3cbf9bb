/**
 * What of a site a routing process is made by: all else it takes from another site file while it runs. `gatehouse up` starts
 * it again when something of this has changed.
 */

import type { Site } from '../config/site.ts'
import { vpnTargetsOf } from './vpn-targets.ts'

export function startPartOf(site: Site, node: string): Readonly<Record<string, unknown>> {
  const { routing, gateway } = site
  const own = routing?.nodes.find(({ name }) => name === node)
  const spoken = [...(routing?.neighbours ?? []), ...(routing?.probes ?? [])]
  const hasTenants = spoken.some(({ tenant }) => tenant !== undefined)
  return {
    as: routing?.as,
    router_id: routing?.router_id,
    cluster_id: routing?.cluster_id,
    always_compare_med: routing?.always_compare_med,
    next_hop_tracking: routing?.next_hop_tracking,
    multipath: routing?.multipath,
    aggregates: routing?.aggregates,
    listen: routing?.listen,
    history: routing?.history,
    'route targets': vpnTargetsOf(site),
    'session relay': own && hasTenants && [own.address, gateway.mac],
  }
}

/** The names of what differs. */
export function startDifference(before: Site, now: Site, node: string): string[] {
  const [was, is] = [startPartOf(before, node), startPartOf(now, node)]
  return Object.keys(is).filter((key) => JSON.stringify(was[key]) !== JSON.stringify(is[key]))
}
