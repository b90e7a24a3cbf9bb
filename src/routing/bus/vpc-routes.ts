/**
 * What tenants' neighbours are told of: the virtual networks behind the gateway (DSR section 3.2.2: the control module feeds
 * VPC routes into the routing module, which conveys them to the external peer). A VPC's subnets, and machines that are in
 * none of them each as a route of its own; and public prefixes that other tenants have in its VRF. Pure: the same site gives
 * the same routes.
 */

import { type IpAddress, type Prefix, parseAddress, parsePrefix, prefixContains } from '../../base/address.ts'
import type { Site } from '../../config/site.ts'
import type { Vpc } from '../../config/tenant.ts'
import { RouteColumnsBuilder } from '../../wire/control/columns.ts'
import type { RouteBatch } from '../../wire/control/route.ts'
import { OWN_ORIGIN } from '../bgp/tables.ts'

/** The place of the only list of next hops, plus one. Peers see our own address as the next hop. */
const OURS = 1

/** Of all tenants that have neighbours or take part in a VPN, in one batch that replaces the one before. */
export function vpcRoutes({ tenants, routing }: Site): RouteBatch {
  const spoken = new Set(routing?.neighbours.map(({ tenant }) => tenant))
  const told = tenants.filter(({ name, vpn }) => vpn !== undefined || spoken.has(name))
  const routes4 = new RouteColumnsBuilder(1)
  const routes6 = new RouteColumnsBuilder(4)
  const publics = Map.groupBy(tenants, (tenant) => tenant.public?.vrf)
  for (const [table, { name, vpcs }] of told.entries()) {
    const others = publics.get(name)?.flatMap((tenant) => tenant.public!.prefixes) ?? []
    for (const { address, length } of [...vpcs.flatMap(prefixesOf), ...others.map((text) => parsePrefix(text)!)]) {
      const words = wordsOf(address)
      if (words.length === 1) routes4.add4(table, words[0]!, length, OURS)
      else routes6.add6(table, words, length, OURS)
    }
  }
  return {
    origin: OWN_ORIGIN,
    preference: 0,
    replaces: true,
    tenants: told.map(({ name }) => name),
    gateways: [[]],
    routes4: routes4.build(),
    routes6: routes6.build(),
  }
}

function prefixesOf({ subnets, machines }: Vpc): Prefix[] {
  const wide = subnets.map(({ prefix }) => parsePrefix(prefix)!)
  const hosts = machines
    .flatMap(({ address }) => address.map((text) => parseAddress(text)!))
    .filter((address) => !wide.some((prefix) => prefixContains(prefix, address)))
  return [...wide, ...hosts.map((address) => ({ address, length: address.length * 8 }))]
}

function wordsOf(address: IpAddress): number[] {
  const view = new DataView(address.buffer, address.byteOffset)
  return Array.from({ length: address.length / 4 }, (_, i) => view.getUint32(i * 4))
}
