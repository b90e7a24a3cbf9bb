/** What switches and hosts are told, from the site and from where its tenants are. Pure. */

import { parseAddress } from '../base/address.ts'
import type { Host, Switch } from '../config/fabric.ts'
import { connectionVni, type Site, vpcKey } from '../config/site.ts'
import type { Tenant } from '../config/tenant.ts'
import type { Attachment, Balance, Exit, HostBatch, SwitchBatch } from '../wire/control/switch.ts'
import type { Placement } from './placement.ts'

/** Whoever sends it says when. */
export type Unsent<T> = Omit<T, 'epoch' | 'generation'>

export function switchBatchOf(site: Site, one: Switch, placement: Placement): Unsent<SwitchBatch> {
  const vips = new Map(site.vips.map(({ name, address }) => [name, parseAddress(address)!]))
  return {
    switch: one.name,
    address: parseAddress(one.address)!,
    vips: [...vips.values()],
    attachments: site.tenants.flatMap((tenant) => {
      const vip = vips.get(placement.vipOf(tenant.name) ?? '')
      return vip ? attachmentsOf(tenant, one, vip) : []
    }),
    balances: one.balances.map(({ vip, selection }): Balance => {
      const clusters = placement.clustersOf(vip)
      const nodes = site.clusters.flatMap((cluster) => (clusters.has(cluster.name) ? cluster.nodes : []))
      return {
        vip: vips.get(vip)!,
        selection,
        nodes: nodes.map(({ name, address, weight }) => ({ name, address: parseAddress(address)!, weight })),
      }
    }),
  }
}

function attachmentsOf(tenant: Tenant, one: Switch, vip: Uint8Array): Attachment[] {
  return tenant.connections
    .filter((connection) => connection.switch === one.name)
    .map((connection) => ({
      port: connection.port,
      vlan: connection.vlan ?? 0,
      vni: connectionVni(tenant, connection),
      vip,
    }))
}

/** For all hosts at once, by name: tenants are many and each is on few of them. */
export function hostBatchesOf(site: Site, placement: Placement): Map<string, Unsent<HostBatch>> {
  const vips = new Map(site.vips.map(({ name, address }) => [name, parseAddress(address)!]))
  const batches = new Map(site.hosts.map(({ name }: Host) => [name, { host: name, exits: [] as Exit[] }]))
  for (const tenant of site.tenants) {
    const vip = vips.get(placement.vipOf(tenant.name) ?? '')
    if (!vip) continue
    const accepts = placement.vipsOf(tenant.name).map((name) => vips.get(name)!)
    for (const vpc of tenant.vpcs) {
      const hosts = new Set([...vpc.machines.map(({ host }) => host), ...vpc.subnets.flatMap(({ host }) => host ?? [])])
      for (const host of hosts) batches.get(host)!.exits.push({ key: vpcKey(tenant, vpc), vip, accepts })
    }
  }
  return batches
}
