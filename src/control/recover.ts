/**
 * Where tenants were when the control module before this one ended, as far as its last words to switches and clusters
 * say.
 */

import { formatAddress } from '../base/address.ts'
import type { Site } from '../config/site.ts'
import type { SwitchBatch } from '../wire/control/switch.ts'
import type { HeldFib } from './held-fib.ts'
import type { Placement } from './placement.ts'

export function recoverPlaces(
  site: Site,
  switches: readonly (SwitchBatch | undefined)[],
  clusters: ReadonlyMap<string, HeldFib>,
  placement: Placement,
): void {
  const vips = new Map(site.vips.map(({ name, address }) => [address, name]))
  const vipAt = (address: Uint8Array): string | undefined => vips.get(formatAddress(address))
  const clusterOf = new Map<string, string>()
  for (const { name, nodes } of site.clusters) for (const { address } of nodes) clusterOf.set(address, name)
  const owners = new Map<number, string>()
  for (const { name, vni: own, connections } of site.tenants) {
    for (const { vni } of connections) owners.set(vni ?? own, name)
  }
  for (const batch of switches) {
    for (const { vip, nodes } of batch?.balances ?? []) {
      const name = vipAt(vip)
      const known = nodes.flatMap(({ address }) => clusterOf.get(formatAddress(address)) ?? [])
      if (name !== undefined) placement.recoverVip(name, [...new Set(known)])
    }
    for (const { vni, vip } of batch?.attachments ?? []) {
      const tenant = owners.get(vni)
      const name = vipAt(vip)
      if (tenant !== undefined && name !== undefined) placement.recoverTenant(tenant, name)
    }
  }
  for (const [cluster, { tenants }] of clusters) {
    for (const { record } of tenants.values()) {
      const name = vipAt(record.vip)
      if (name !== undefined) placement.recoverHolder(record.name, cluster, name)
    }
  }
}
