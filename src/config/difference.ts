/** What changed between two sites, noun by noun and by name: what a reload has to do, and what it tells. */

import { isDeepStrictEqual } from 'node:util'
import type { Cluster, Host, Node, Switch, Vip } from './fabric.ts'
import type { Neighbour, RoutingNode } from './routing.ts'
import type { Site } from './site.ts'
import type { Tenant } from './tenant.ts'

export interface Changes<T> {
  readonly added: readonly T[]
  readonly removed: readonly T[]
  readonly changed: readonly { readonly before: T; readonly after: T }[]
}

export interface SiteDifference {
  /** The site's name, gateway, control, bus or other sites, and of routing what has no name, policies among it. */
  readonly settings: boolean
  readonly vips: Changes<Vip>
  readonly clusters: Changes<Cluster>
  readonly nodes: Changes<Node>
  readonly switches: Changes<Switch>
  readonly hosts: Changes<Host>
  readonly tenants: Changes<Tenant>
  readonly 'routing nodes': Changes<RoutingNode>
  readonly neighbours: Changes<Neighbour>
}

export function diffSites(before: Site, after: Site): SiteDifference {
  return {
    settings: !isDeepStrictEqual(settingsOf(before), settingsOf(after)),
    vips: changes(before.vips, after.vips),
    clusters: changes(before.clusters, after.clusters),
    nodes: changes(nodes(before), nodes(after)),
    switches: changes(before.switches, after.switches),
    hosts: changes(before.hosts, after.hosts),
    tenants: changes(before.tenants, after.tenants),
    'routing nodes': changes(before.routing?.nodes ?? [], after.routing?.nodes ?? []),
    neighbours: changes(before.routing?.neighbours ?? [], after.routing?.neighbours ?? []),
  }
}

export function isEmpty(difference: SiteDifference): boolean {
  const { settings, ...nouns } = difference
  return !settings && Object.values(nouns).every(isUnchanged)
}

function isUnchanged({ added, removed, changed }: Changes<unknown>): boolean {
  return added.length + removed.length + changed.length === 0
}

/** A line a noun that changed: `tenants: 2 added, 1 changed (acme, globex, initech)`. */
export function describeDifference({ settings, ...nouns }: SiteDifference): string[] {
  const lines = settings ? ['settings changed'] : []
  for (const [noun, change] of Object.entries(nouns) as [string, Changes<{ name: string }>][]) {
    if (isUnchanged(change)) continue
    const counts = [
      [change.added.length, 'added'],
      [change.removed.length, 'removed'],
      [change.changed.length, 'changed'],
    ] as const
    const said = counts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`)
    const names = [...change.added, ...change.removed, ...change.changed.map(({ after }) => after)].map(
      ({ name }) => name,
    )
    const more = names.length > 8 ? `, and ${names.length - 8} more` : ''
    lines.push(`${noun}: ${said.join(', ')} (${names.slice(0, 8).join(', ')}${more})`)
  }
  return lines
}

function settingsOf({ site, gateway, control, bus, remote_sites, routing }: Site): unknown {
  return { site, gateway, control, bus, remote_sites, routing: routing && { ...routing, nodes: [], neighbours: [] } }
}

const nodes = (site: Site): Node[] => site.clusters.flatMap((cluster) => cluster.nodes)

function changes<T extends { readonly name: string }>(before: readonly T[], after: readonly T[]): Changes<T> {
  const old = new Map(before.map((one) => [one.name, one]))
  const kept = new Set(after.map(({ name }) => name))
  return {
    added: after.filter(({ name }) => !old.has(name)),
    removed: before.filter(({ name }) => !kept.has(name)),
    changed: after.flatMap((one) => {
      const earlier = old.get(one.name)
      return earlier && !isDeepStrictEqual(earlier, one) ? [{ before: earlier, after: one }] : []
    }),
  }
}
