/**
 * Checks of what tells tenants apart on the wire: VNIs and keys, which are one space, since a host that speaks VXLAN
 * takes a VPC's key as its VNI; and ports and VLANs, which may lead to one tenant each.
 */

import { type Complain, each, Unique } from './complain.ts'
import type { Loose } from './loose.ts'
import type { Path } from './position.ts'
import { formatPath } from './position.ts'
import type { Site } from './site.ts'
import type { Tenant } from './tenant.ts'

interface Use {
  readonly tenant: number
  readonly path: Path
}

export function checkTunnelIds(site: Loose<Site>, complain: Complain): void {
  const owners = new Map<number, Use>()
  const claim = (id: number | undefined, path: Path, tenant: number, what: string): void => {
    if (id === undefined) return
    const owner = owners.get(id)
    if (!owner) owners.set(id, { tenant, path })
    else if (owner.tenant !== tenant) complain(path, `${what} ${id} is already in use at ${formatPath(owner.path)}`)
  }
  // First what tenants are told apart by as a whole, so that it is the exception that is complained about.
  each(site.tenants, (tenant, i) => claim(tenant.vni, ['tenants', i, 'vni'], i, 'VNI'))
  each(site.tenants, (tenant, i) => {
    each(tenant.connections, ({ vni }, j) => claim(vni, ['tenants', i, 'connections', j, 'vni'], i, 'VNI'))
    each(tenant.vpcs, ({ key }, j) => claim(key, ['tenants', i, 'vpcs', j, 'key'], i, 'key'))
    checkKeys(tenant, i, complain)
  })
  checkNames(site, complain)
  checkAttachments(site, complain)
}

function checkNames(site: Loose<Site>, complain: Complain): void {
  const names = new Unique(complain)
  each(site.tenants, ({ name }, i) => names.add(name, ['tenants', i, 'name'], undefined))
}

/** A key names one VPC. */
function checkKeys(tenant: Loose<Tenant>, index: number, complain: Complain): void {
  const keys = new Map<number, Path>()
  each(tenant.vpcs, (vpc, j) => {
    const key = vpc.key ?? tenant.vni
    if (key === undefined) return
    const path = ['tenants', index, 'vpcs', j, ...(vpc.key === undefined ? [] : ['key'])]
    const first = keys.get(key)
    if (first) complain(path, `key ${key} is already that of ${formatPath(first)}; each VPC needs its own`)
    else keys.set(key, path)
  })
}

function checkAttachments(site: Loose<Site>, complain: Complain): void {
  const wires = new Map<string, Path>()
  const segments = new Map<string, Path>()
  const claim = (seen: Map<string, Path>, key: string, path: Path, sentence: (first: string) => string): void => {
    const first = seen.get(key)
    if (first) complain(path, sentence(formatPath(first)))
    else seen.set(key, path)
  }
  each(site.tenants, (tenant, i) =>
    each(tenant.connections, (connection, j) => {
      const path = ['tenants', i, 'connections', j]
      const { switch: at, port, vlan } = connection
      const vni = connection.vni ?? tenant.vni
      if (at === undefined) return
      if (port !== undefined) {
        const wire = vlan === undefined ? `untagged port ${port}` : `VLAN ${vlan} of port ${port}`
        claim(wires, `${at} ${wire}`, path, (first) => `${wire} of switch ${at} is already attached at ${first}`)
      }
      if (vni !== undefined) {
        claim(segments, `${at} ${i} ${vni}`, path, (first) => {
          return `switch ${at} has an attachment for VNI ${vni} at ${first}; give this one a vni of its own`
        })
      }
    }),
  )
}
