/**
 * Checks of what tenants choose their paths by: probes that a connection names are there, measure the path over it and
 * nobody else's, and say what the tenant steers by.
 */

import { masked, parseAddress, parseInterface, prefixContains } from '../base/address.ts'
import { type Complain, each, Unique } from './complain.ts'
import type { Loose } from './loose.ts'
import type { Path } from './position.ts'
import type { Probe } from './probe.ts'
import type { Site } from './site.ts'
import { suggest } from './suggestion.ts'
import type { Connection, Criterion, Tenant } from './tenant.ts'

type Probes = ReadonlyMap<string, Loose<Probe>>

export function checkPaths(site: Loose<Site>, complain: Complain): void {
  const probes = new Map<string, Loose<Probe>>()
  each(site.routing?.probes, (probe) => {
    if (probe.name !== undefined && !probes.has(probe.name)) probes.set(probe.name, probe)
  })
  const between = site.remote_sites?.flatMap((remote) => remote?.probe ?? []) ?? []
  each(site.tenants, (tenant, i) => {
    const path = ['tenants', i]
    each(tenant.connections, (connection, j) => {
      const named = new Unique(complain)
      each(connection.probes, (name, k) => {
        const at = [...path, 'connections', j, 'probes', k]
        if (!named.add(name, at, undefined)) return
        const probe = probes.get(name)
        const wrong = probe ? wrongProbe(probe, connection, tenant) : missing(name, probes)
        if (wrong) complain(at, wrong)
      })
    })
    checkSteer(tenant, { probes, between }, path, complain)
  })
}

function missing(name: string, probes: Probes): string {
  return `there is no probe ${JSON.stringify(name)}${suggest(name, probes.keys())}`
}

/** One without a tenant is the site's own, and whoever writes the file says what it stands for. */
function wrongProbe({ name, tenant, to }: Loose<Probe>, on: Loose<Connection>, of: Loose<Tenant>): string | undefined {
  if (tenant === undefined || of.name === undefined) return undefined
  if (tenant !== of.name) return `probe ${name} is in the network of tenant ${tenant}`
  if (to === undefined || !on.gateway?.every((text) => text !== undefined)) return undefined
  const target = parseAddress(to)!
  const isHere = on.gateway.some((text) => {
    const { address, length } = parseInterface(text!)!
    return prefixContains({ address: masked(address, length), length }, target)
  })
  return isHere ? undefined : `probe ${name} goes to ${to}, which is in no subnet of this connection`
}

interface Measures {
  readonly probes: Probes
  /** Of paths to other sites. */
  readonly between: readonly string[]
}

function checkSteer(tenant: Loose<Tenant>, { probes, between }: Measures, path: Path, complain: Complain): void {
  const { steer, connections } = tenant
  const criteria = new Unique(complain)
  const named = [...(connections?.flatMap((connection) => connection?.probes ?? []) ?? []), ...between]
  each(steer, (criterion, i) => {
    const at = [...path, 'steer', i]
    if (!criteria.add(criterion, at, undefined) || criterion === 'cost') return
    const measure = named.filter((name) => name !== undefined && isMeasured(probes.get(name), criterion))
    if (measure.length > 0) return
    const what = criterion === 'bandwidth' ? 'probes with bandwidth: {}' : 'probes'
    complain(at, `nothing tells the ${criterion} of any path: no connection of the tenant has ${what}`)
  })
}

/** One that is not there has been complained about. */
function isMeasured(probe: Loose<Probe> | undefined, criterion: Criterion): boolean {
  return !probe || criterion !== 'bandwidth' || probe.bandwidth !== undefined
}
