/**
 * What a VRF is told of other tenants that have public prefixes in it: routes to their machines, each by one finished action, so
 * that what comes in there is looked up once. The rest of a public prefix is discarded: it is nobody else's, and would go in
 * circles by the default route.
 */

import { masked, type Prefix, parseAddress, parseMac, parsePrefix, prefixContains } from '../base/address.ts'
import type { Host } from '../config/fabric.ts'
import { hostPayload, vpcKey } from '../config/site.ts'
import type { Tenant, Vpc } from '../config/tenant.ts'
import type { SingleHop } from './hop.ts'
import { hostHopOf, type MachineAddress } from './host-hop.ts'
import { hostKey, keyOf, type PrefixKey } from './prefix-key.ts'

export interface PublicPlace {
  readonly hosts: ReadonlyMap<string, Host>
  /** The numbers of a tenant, and of a VPC of it. */
  tenantId(name: string): number
  segmentId(tenant: string, vpc: string): number
}

/** Of one tenant that has some. */
export function publicRoutes(tenant: Tenant, place: PublicPlace): Map<PrefixKey, SingleHop> {
  const routes = new Map<PrefixKey, SingleHop>()
  const prefixes = tenant.public?.prefixes.map((text) => parsePrefix(text)!) ?? []
  for (const prefix of prefixes) routes.set(keyOf(prefix), { kind: 'discard' })
  for (const vpc of tenant.vpcs) addSubnets(routes, tenant, vpc, prefixes, place)
  for (const vpc of tenant.vpcs) addMachines(routes, tenant, vpc, prefixes, place)
  return routes
}

function addSubnets(
  routes: Map<PrefixKey, SingleHop>,
  tenant: Tenant,
  vpc: Vpc,
  prefixes: Prefix[],
  place: PublicPlace,
) {
  for (const { prefix: text, host } of vpc.subnets) {
    const subnet = parsePrefix(text)!
    for (const prefix of prefixes) {
      const part = commonPart(subnet, prefix)
      if (part && host !== undefined) routes.set(keyOf(part), subnetHop(tenant, vpc, place.hosts.get(host)!, place))
    }
  }
}

// Whoever has to be asked for is known to the tenant's own VRF: the destination is looked up again there.
function subnetHop(tenant: Tenant, vpc: Vpc, host: Host, place: PublicPlace): SingleHop {
  if (hostPayload(host) === 'ethernet') return { kind: 'vrf', into: place.tenantId(tenant.name) }
  return publicHop(tenant, vpc, host, place)
}

function addMachines(
  routes: Map<PrefixKey, SingleHop>,
  tenant: Tenant,
  vpc: Vpc,
  prefixes: Prefix[],
  place: PublicPlace,
) {
  for (const { address: addresses, host, mac } of vpc.machines) {
    for (const text of addresses) {
      const address = parseAddress(text)!
      if (!prefixes.some((prefix) => prefixContains(prefix, address))) continue
      const machine = { address, mac: mac === undefined ? undefined : parseMac(mac) }
      routes.set(hostKey(address), publicHop(tenant, vpc, place.hosts.get(host)!, place, machine))
    }
  }
}

function publicHop(tenant: Tenant, vpc: Vpc, host: Host, place: PublicPlace, machine?: MachineAddress): SingleHop {
  const hop = hostHopOf(host, place.segmentId(tenant.name, vpc.name), vpcKey(tenant, vpc), machine)
  return { ...hop, kind: 'public', owner: place.tenantId(tenant.name) }
}

/** The longer of two prefixes, if it lies in the other. */
function commonPart(a: Prefix, b: Prefix): Prefix | undefined {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a]
  return prefixContains(short, masked(long.address, long.length)) ? long : undefined
}
