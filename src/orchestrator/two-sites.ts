/** For tests: two sites, east and west, whose buses are of this process, and orchestrators of both. */

import type { TestContext } from 'node:test'
import { type BusHere, busHere } from '../agent/bus-here.ts'
import { putSite } from '../agent/site-store.ts'
import { systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { Random } from '../base/random.ts'
import type { Bus } from '../bus/bus.ts'
import { busSocket } from '../bus/embedded/main.ts'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { type TenantDocument, tenantDocument } from '../config/tenant-document.ts'
import { Sites } from './sites.ts'
import { Tenants } from './tenants.ts'

export const SITE_NAMES = ['east', 'west'] as const
export type SiteName = (typeof SITE_NAMES)[number]

/** A rack with a port for tenants, a host, and a tenant of the file's own with VNI 1 on VLAN 1. */
export function siteText(name: string, { vni = 1, hosts = ['h1'] } = {}): string {
  return `
site: ${name}
vips: [{ name: v1, address: 10.255.0.1 }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [a] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [p], balances: [{ vip: v1 }] }]
hosts: [${hosts.map((host, i) => `{ name: ${host}, address: 10.0.2.${i + 1}, tunnel: gre }`).join(', ')}]
tenants: [{ name: own, vni: ${vni}, vip: v1, connections: [{ name: c, switch: edge, port: p, vlan: 1, gateway: [10.1.0.1/24] }] }]
`
}

export function siteOf(name: string, options = {}): Site {
  const { site, errors } = parseSite(siteText(name, options))
  if (!site) throw new Error(JSON.stringify(errors))
  return site
}

/** A tenant at both sites, or at those that are said, with a machine that is at all of them. */
export function documentText(name: string, vni: number, sites: readonly string[] = SITE_NAMES): object {
  return {
    ...{ name, vni, vip: 'v1' },
    connections: sites.map((site, i) => ({
      ...{ site, name: `dc-${site}`, switch: 'edge', port: 'p', vlan: vni, gateway: [`192.168.${i}.1/24`] },
    })),
    vpcs: [{ name: 'prod', machines: [{ name: 'web', address: '172.16.0.5', host: 'h1' }] }],
  }
}

export const documentOf = (name: string, vni: number, sites?: readonly string[]): TenantDocument =>
  tenantDocument.parse(documentText(name, vni, sites))

export interface TwoSites {
  readonly buses: Readonly<Record<SiteName, BusHere>>
  /** A connection of its own to each. */
  readonly clients: Readonly<Record<SiteName, Bus>>
  /** Another orchestrator of both, which has read those. */
  orchestrator(
    name: string,
    read?: readonly SiteName[],
  ): Promise<{ sites: Sites; tenants: Tenants; close(): Promise<void> }>
}

export async function twoSites(t: TestContext): Promise<TwoSites> {
  const buses = { east: await busHere(t), west: await busHere(t) }
  const clients = { east: await buses.east.join('up'), west: await buses.west.join('up') }
  for (const name of SITE_NAMES) await putSite(clients[name], siteOf(name))
  let made = 0
  return {
    buses,
    clients,
    async orchestrator(name, read = SITE_NAMES) {
      const [clock, random] = [systemClock, new Random(made++)]
      const places = SITE_NAMES.map((site) => ({ name: site, place: { socketPath: busSocket(buses[site].directory) } }))
      const sites = await Sites.open({ name, sites: places, clock, random, log: silent })
      const tenants = new Tenants({ name, sites, clock, log: silent, newId: () => `${name}-${random.u32()}` })
      let isClosed = false
      const close = async (): Promise<void> => {
        if (isClosed) return
        isClosed = true
        await tenants.close()
        await sites.close()
      }
      buses.east.atEnd(close)
      await until(sites, () => read.every((site) => sites.get(site)!.contents !== undefined))
      await tenants.settled()
      return { sites, tenants, close }
    },
  }
}

/** Resolves once it holds, looked at after every change. */
export function until(sites: Sites, holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!holds()) return
      stop()
      resolve()
    }
    const stop = sites.onChange(look)
    look()
  })
}

export async function untilParted(sites: Sites, name: SiteName): Promise<void> {
  await until(sites, () => !sites.get(name)!.state.connected)
}
