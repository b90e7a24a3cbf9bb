/**
 * A tenant as the orchestrator's users write it: one document for all of its sites. A connection is at one site; virtual
 * networks, machines, routes and policies are at all of the tenant's sites unless they name some. What one site has of it is
 * `tenantAt`, which is the tenant of a site file (tenant.ts) and checked as such.
 *
 *   name: acme
 *   vni: 1001
 *   vip: { east: v1, west: v7 }          or the name that it has at all of them
 *   connections:
 *     - { site: east, name: dc-east, switch: edge, port: acme, gateway: [192.168.1.1/24], peers: [192.168.1.2] }
 *     - { site: west, name: dc-west, switch: edge, port: acme, gateway: [192.168.2.1/24] }
 *   vpcs: [{ name: prod, machines: [{ name: web, address: 172.16.0.5, host: h1, sites: [east] }] }]
 *   routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.2], sites: [east] }]
 *
 * VPN membership (`vpn`) is the site files' alone: routing nodes are started with it.
 */

import { z } from 'zod'
import { type Complain, each, Unique } from './complain.ts'
import { CONNECTIONS_MAX, MACHINES_MAX, STATIC_ROUTES_MAX, TRAFFIC_POLICIES_MAX, VPCS_MAX } from './limits.ts'
import type { Finding, Path } from './position.ts'
import { listOf, name } from './scalar.ts'
import { connection, machine, type Tenant, tenant, vpc } from './tenant.ts'
import { trafficPolicy } from './traffic-policy.ts'

/** Of an orchestrator: a connection, a watch and the whole of a site in memory each. */
export const SITES_MAX = 64

const sites = listOf('sites', name, SITES_MAX).min(1, { error: 'without a site it would be nowhere' }).optional()

export const documentConnection = connection.extend({ site: name })
export const documentMachine = machine.extend({ sites })
export const documentVpc = vpc.extend({
  sites,
  machines: listOf('machines', documentMachine, MACHINES_MAX).default([]),
})
export const documentRoute = tenant.shape.routes.unwrap().element.extend({ sites })
const documentPolicy = trafficPolicy.extend({ sites })

export const tenantDocument = tenant.omit({ vpn: true }).extend({
  /** Where it is. Without it, where its connections are and where its parts name. */
  sites,
  vip: z.union([name, z.record(name, name)]),
  connections: listOf('connections', documentConnection, CONNECTIONS_MAX).default([]),
  vpcs: listOf('VPCs', documentVpc, VPCS_MAX).default([]),
  routes: listOf('routes', documentRoute, STATIC_ROUTES_MAX).default([]),
  policies: listOf('policies', documentPolicy, TRAFFIC_POLICIES_MAX).default([]),
})
export type TenantDocument = z.output<typeof tenantDocument>

interface Sited {
  readonly sites?: readonly string[] | undefined
}

/** In the order of the alphabet. */
export function sitesOf(document: TenantDocument): string[] {
  return [...new Set(document.sites ?? sitesOfParts(document))].sort()
}

function sitesOfParts({ connections, vpcs, routes, policies }: TenantDocument): string[] {
  const named = ({ sites = [] }: Sited): readonly string[] => sites
  return [
    ...connections.map(({ site }) => site),
    ...vpcs.flatMap((vpc) => [...named(vpc), ...vpc.machines.flatMap(named)]),
    ...[...routes, ...policies].flatMap(named),
  ]
}

/** What a site has of it, and where that stands in the document: by list the place that each element came from. */
export interface TenantPart {
  readonly tenant: Tenant
  /** The path in the document of a path in the tenant. */
  pathOf(path: Path): Path
}

/** Undefined if the tenant is not at that site. */
export function tenantAt(document: TenantDocument, site: string): TenantPart | undefined {
  if (!sitesOf(document).includes(site)) return undefined
  const { sites: _, vip, connections, vpcs, routes, policies, ...rest } = document
  const connectionsHere = places(connections, (one) => one.site === site)
  const vpcsHere = places(vpcs, isAt(site))
  const routesHere = places(routes, isAt(site))
  const policiesHere = places(policies, isAt(site))
  const machinesHere = vpcsHere.map((i) => places(vpcs[i]!.machines, isAt(site)))
  const here: Tenant = {
    ...rest,
    vip: vipAt(vip, site) ?? '',
    connections: connectionsHere.map((i) => without('site', connections[i]!)),
    vpcs: vpcsHere.map((i, nth) => ({
      ...without('sites', vpcs[i]!),
      machines: machinesHere[nth]!.map((j) => without('sites', vpcs[i]!.machines[j]!)),
    })),
    routes: routesHere.map((i) => without('sites', routes[i]!)),
    policies: policiesHere.map((i) => without('sites', policies[i]!)),
  }
  const lists = { connections: connectionsHere, vpcs: vpcsHere, routes: routesHere, policies: policiesHere }
  return { tenant: here, pathOf: (path) => documentPath(path, lists, machinesHere) }
}

/** Names of sites may be words that every object knows. */
function vipAt(vip: TenantDocument['vip'], site: string): string | undefined {
  if (typeof vip === 'string') return vip
  return Object.hasOwn(vip, site) ? vip[site] : undefined
}

const isAt =
  (site: string) =>
  ({ sites }: Sited): boolean =>
    sites?.includes(site) ?? true

function places<T>(list: readonly T[], isHere: (one: T) => boolean): number[] {
  return list.flatMap((one, i) => (isHere(one) ? [i] : []))
}

function without<T extends object, K extends keyof T>(key: K, { [key]: _, ...rest }: T): Omit<T, K> {
  return rest
}

type Places = Readonly<Record<'connections' | 'vpcs' | 'routes' | 'policies', readonly number[]>>

/** Where an element of the site's list is in the document's; machines are in lists of their own, by virtual network. */
function documentPath(path: Path, lists: Places, machines: readonly (readonly number[])[]): Path {
  const [list, nth, inner, mth, ...rest] = path
  if (typeof list !== 'string' || typeof nth !== 'number' || !Object.hasOwn(lists, list)) return path
  const place = lists[list as keyof Places][nth]!
  if (inner !== 'machines' || typeof mth !== 'number') return [list, place, ...path.slice(2)]
  return [list, place, inner, machines[nth]![mth]!, ...rest]
}

/** What holds whatever its sites are like: the sites that it names are there, and its parts have names of their own. */
export function checkDocument(document: TenantDocument, known: readonly string[]): Finding[] {
  const findings: Finding[] = []
  const complain: Complain = (path, message) => void findings.push({ path, message })
  const all = sitesOf(document)
  const refer = (site: string, path: Path): void => {
    if (!known.includes(site)) complain(path, `there is no site ${JSON.stringify(site)}; there are ${known.join(', ')}`)
    else if (!all.includes(site)) complain(path, `${site} is not among the tenant's sites, ${all.join(', ')}`)
  }
  const referAll = ({ sites }: Sited, path: Path): void => each(sites, (site, i) => refer(site, [...path, 'sites', i]))
  if (all.length === 0) complain(['sites'], 'the tenant is at no site: it has no connections, and names none')
  referAll(document, [])
  checkVips(document, all, complain)
  const [connections, vpcs, routes] = [new Unique(complain), new Unique(complain), new Unique(complain)]
  document.connections.forEach((one, i) => {
    refer(one.site, ['connections', i, 'site'])
    connections.add(one.name, ['connections', i, 'name'], undefined)
  })
  document.vpcs.forEach((vpc, i) => {
    vpcs.add(vpc.name, ['vpcs', i, 'name'], undefined)
    referAll(vpc, ['vpcs', i])
    const machines = new Unique(complain)
    vpc.machines.forEach((one, j) => {
      machines.add(one.name, ['vpcs', i, 'machines', j, 'name'], undefined)
      referAll(one, ['vpcs', i, 'machines', j])
    })
  })
  document.policies.forEach((policy, i) => {
    referAll(policy, ['policies', i])
  })
  document.routes.forEach((route, i) => {
    referAll(route, ['routes', i])
    for (const site of route.sites ?? all) routes.add(`${route.prefix} at ${site}`, ['routes', i, 'prefix'], undefined)
  })
  return findings
}

function checkVips({ vip }: TenantDocument, sites: readonly string[], complain: Complain): void {
  if (typeof vip === 'string') return
  for (const site of sites) if (vipAt(vip, site) === undefined) complain(['vip'], `which VIP is it at ${site}?`)
  for (const site of Object.keys(vip))
    if (!sites.includes(site)) complain(['vip', site], `${site} is not among the tenant's sites, ${sites.join(', ')}`)
}
