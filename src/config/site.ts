/** A whole site: what one file describes, and one control module runs. */

import { z } from 'zod'
import { accessSwitch, bus, cluster, control, gateway, host, type Node, vip } from './fabric.ts'
import { CLUSTERS_MAX, HOSTS_MAX, REMOTE_SITES_MAX, SWITCHES_MAX, TENANTS_MAX, VIPS_MAX } from './limits.ts'
import { remoteSite } from './remote-site.ts'
import { routing } from './routing.ts'
import { listOf, name } from './scalar.ts'
import { type Connection, type Tenant, tenant, type Vpc } from './tenant.ts'

export const site = z.strictObject({
  site: name,
  gateway: gateway.prefault({}),
  control: control.prefault({}),
  bus: bus.prefault({}),
  vips: listOf('VIPs', vip, VIPS_MAX).default([]),
  clusters: listOf('clusters', cluster, CLUSTERS_MAX).default([]),
  switches: listOf('switches', accessSwitch, SWITCHES_MAX).default([]),
  hosts: listOf('hosts', host, HOSTS_MAX).default([]),
  tenants: listOf('tenants', tenant, TENANTS_MAX).default([]),
  remote_sites: listOf('other sites', remoteSite, REMOTE_SITES_MAX).default([]),
  routing: routing.optional(),
})

/** What a site file means: defaults filled in, addresses in canonical text, references known to lead somewhere. */
export type Site = z.output<typeof site>

export const connectionVni = (tenant: Tenant, connection: Connection): number => connection.vni ?? tenant.vni

export const vpcKey = (tenant: Tenant, vpc: Vpc): number => vpc.key ?? tenant.vni

/** VXLAN leaves no choice, and GRE carries bare IP unless it is said otherwise. */
export function hostPayload(host: { tunnel: string; payload?: 'ip' | 'ethernet' | undefined }): 'ip' | 'ethernet' {
  return host.payload ?? (host.tunnel === 'vxlan' ? 'ethernet' : 'ip')
}

export const RUN_ROOT = '/run/gatehouse'

/** Where the modules of the site on this host meet, unless the command line says otherwise. */
export const runDirectory = (site: Site): string => site.bus.directory ?? `${RUN_ROOT}/${site.site}`

export const STATE_ROOT = '/var/lib/gatehouse'

export interface Directories {
  /** The socket of the bus, locks, which process is which: nothing of use once the machine starts anew. */
  readonly run: string
  /** What has to last: the files of the bus, what modules were last told, their logs. */
  readonly state: string
}

/**
 * By the command line, then the file. Who says where the site runs and nothing of its state wants all of it there: /run
 * is emptied when the machine starts anew, other places are not.
 */
export function directoriesOf(site: Site, { run, state }: Partial<Directories>): Directories {
  const { bus } = site
  return {
    run: run ?? runDirectory(site),
    state: state ?? run ?? bus.state ?? bus.directory ?? `${STATE_ROOT}/${site.site}`,
  }
}

/** The control modules by name: one leads, and any of them may. */
export function controlNodesOf({ control }: Site): string[] {
  return control.nodes.length > 0 ? control.nodes.map(({ name }) => name) : ['control']
}

/** The modules of a site that are processes with a name of their own in the file, by role. */
export function nodesOf(site: Site): { cluster: string; node: Node }[] {
  return site.clusters.flatMap((cluster) => cluster.nodes.map((node) => ({ cluster: cluster.name, node })))
}
