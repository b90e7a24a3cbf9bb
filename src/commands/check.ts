/** `gatehouse check`: is the site file right, and what would come of it? Touches nothing. */

import type { Site } from '../config/site.ts'
import { Ids } from '../control/ids.ts'
import { indexSite, networkOf } from '../control/network.ts'
import { TenantFib } from '../control/tenant-fib.ts'
import { loadOrFail } from './failure.ts'
import { table } from './table.ts'

interface ClusterSummary {
  readonly cluster: string
  readonly vips: readonly string[]
  readonly nodes: number
  readonly tenants: number
  readonly routes4: number
  readonly routes6: number
}

export function check(path: string, { json = false }: { json?: boolean }): void {
  const site = loadOrFail(path)
  const clusters = summarise(site)
  const counts = {
    site: site.site,
    tenants: site.tenants.length,
    vips: site.vips.length,
    clusters: site.clusters.length,
    nodes: site.clusters.reduce((sum, { nodes }) => sum + nodes.length, 0),
    switches: site.switches.length,
    hosts: site.hosts.length,
    ...(site.routing && { neighbours: site.routing.neighbours.length }),
  }
  if (json) {
    console.log(JSON.stringify({ ...counts, clusters }))
    return
  }
  const { site: name, ...numbers } = counts
  const said = Object.entries(numbers).map(
    ([noun, count]) => `${count} ${count === 1 ? singular[noun] : noun === 'vips' ? 'VIPs' : noun}`,
  )
  console.log(`${name}: ${said.join(', ')}`)
  const rows = clusters.map(({ cluster, vips, nodes, tenants, routes4, routes6 }) => ({
    cluster,
    nodes,
    tenants,
    'IPv4 routes': routes4,
    'IPv6 routes': routes6,
    VIPs: vips.join(' '),
  }))
  console.log(table(rows))
}

const singular: Readonly<Record<string, string>> = {
  tenants: 'tenant',
  vips: 'VIP',
  clusters: 'cluster',
  nodes: 'node',
  switches: 'switch',
  hosts: 'host',
  neighbours: 'neighbour',
}

/** What the nodes of each cluster would hold. */
function summarise(site: Site): ClusterSummary[] {
  const index = indexSite(site)
  const ids = new Ids()
  const counts = new Map<string, { tenants: number; routes4: number; routes6: number }>()
  for (const tenant of site.tenants) {
    const fib = new TenantFib(tenant.name, ids.of(tenant.name), networkOf(tenant, index, ids), ids)
    const routes4 = [...fib.routes.keys()].filter((key) => typeof key === 'number').length
    const at = counts.get(tenant.vip) ?? { tenants: 0, routes4: 0, routes6: 0 }
    at.tenants++
    at.routes4 += routes4
    at.routes6 += fib.routes.size - routes4
    counts.set(tenant.vip, at)
  }
  return site.clusters.map(({ name, vips, nodes }) => {
    const held = vips.flatMap((vip) => counts.get(vip) ?? [])
    const sum = (key: 'tenants' | 'routes4' | 'routes6'): number => held.reduce((total, one) => total + one[key], 0)
    return {
      cluster: name,
      vips,
      nodes: nodes.length,
      tenants: sum('tenants'),
      routes4: sum('routes4'),
      routes6: sum('routes6'),
    }
  })
}
