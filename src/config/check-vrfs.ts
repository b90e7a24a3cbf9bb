/**
 * Checks of what leads from one tenant's VRF to another's: routes into it, and public prefixes in it. A packet changes VRFs once,
 * and on nodes that hold both tenants.
 */

import { type Prefix, parseAddress, parsePrefix, prefixContains } from '../base/address.ts'
import { type Complain, each } from './complain.ts'
import type { Loose } from './loose.ts'
import { formatPath, type Path } from './position.ts'
import type { Site } from './site.ts'
import { Subnets } from './subnets.ts'
import { suggest } from './suggestion.ts'
import type { Tenant } from './tenant.ts'

interface Entry {
  readonly prefix: Prefix
  readonly owner: { readonly vrf: string; readonly path: Path }
}

export function checkVrfs(site: Loose<Site>, complain: Complain): void {
  const tenants = new Map<string, Loose<Tenant>>()
  each(site.tenants, (tenant) => void (tenant.name !== undefined && tenants.set(tenant.name, tenant)))
  const clusters = clustersByVip(site)
  const entries: Entry[] = []
  each(site.tenants, (tenant, i) => {
    const path = ['tenants', i]
    const lead = (name: string | undefined, at: Path): void => {
      const wrong = name === undefined ? undefined : wrongVrf(name, tenant, tenants, clusters)
      if (wrong) complain(at, wrong)
    }
    each(tenant.routes, ({ vrf }, j) => lead(vrf, [...path, 'routes', j, 'vrf']))
    const { vrf, prefixes } = tenant.public ?? {}
    lead(vrf, [...path, 'public', 'vrf'])
    each(prefixes, (text, j) => {
      const at = [...path, 'public', 'prefixes', j]
      const prefix = parsePrefix(text)!
      if (!isInVpc(prefix, tenant)) complain(at, `${text} has no machine and no subnet of the tenant's VPCs in it`)
      if (vrf !== undefined) entries.push({ prefix, owner: { vrf, path: at } })
    })
  })
  checkOverlaps(entries, complain)
}

function wrongVrf(
  name: string,
  from: Loose<Tenant>,
  tenants: ReadonlyMap<string, Loose<Tenant>>,
  clusters: (vip: string | undefined) => string,
): string | undefined {
  const to = tenants.get(name)
  if (!to) return `there is no tenant ${JSON.stringify(name)}${suggest(name, tenants.keys())}`
  if (to === from) return 'this is the tenant itself'
  const onward = to.routes?.findIndex((route) => route?.vrf !== undefined) ?? -1
  if (onward >= 0) return `a packet changes VRFs once: routes[${onward}] of tenant ${name} leads on to another`
  if (from.vip === undefined || to.vip === undefined || clusters(from.vip) === clusters(to.vip)) return undefined
  return `nodes have to hold both tenants: VIP ${from.vip} is behind ${clusters(from.vip)}, and VIP ${to.vip} of ${name} behind ${clusters(to.vip)}`
}

function clustersByVip(site: Loose<Site>): (vip: string | undefined) => string {
  return (vip) => {
    const serving = site.clusters?.filter((cluster) => cluster?.vips?.includes(vip)).map((cluster) => cluster?.name)
    return `${serving?.length === 1 ? 'cluster' : 'clusters'} ${serving?.join(', ')}`
  }
}

function isInVpc(prefix: Prefix, { vpcs }: Loose<Tenant>): boolean {
  const isRead = (value: unknown): boolean => value !== undefined
  const subnets = vpcs?.flatMap((vpc) => vpc?.subnets?.map((subnet) => subnet?.prefix) ?? []) ?? []
  const machines =
    vpcs?.flatMap((vpc) => vpc?.machines?.flatMap((machine) => machine?.address ?? [undefined]) ?? []) ?? []
  if (!subnets.every(isRead) || !machines.every(isRead)) return true
  const meets = subnets.some((text) => {
    const subnet = parsePrefix(text!)!
    return prefixContains(subnet, prefix.address) || prefixContains(prefix, subnet.address)
  })
  return meets || machines.some((text) => prefixContains(prefix, parseAddress(text!)!))
}

/** In one VRF a prefix is one tenant's, and told once. */
function checkOverlaps(entries: readonly Entry[], complain: Complain): void {
  for (const ofVrf of Map.groupBy(entries, ({ owner }) => owner.vrf).values()) {
    for (const pair of new Subnets(ofVrf).overlaps()) {
      const [first, second] = pair.sort((a, b) => ofVrf.indexOf(a as Entry) - ofVrf.indexOf(b as Entry))
      complain(second.owner.path, `this overlaps ${formatPath(first.owner.path)}, in the same VRF`)
    }
  }
}
