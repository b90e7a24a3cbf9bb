/**
 * Does what the file asks of one switch or cluster fit into its tables? The lengths of single lists are the schema's;
 * here are the sums over several of them. The numbers and where they come from are in `limits.ts`.
 */

import { rulesIn } from './check-traffic-policy.ts'
import { type Complain, each } from './complain.ts'
import type { Cluster, Switch } from './fabric.ts'
import {
  CLUSTER_POLICIES_MAX,
  CLUSTER_RULES_MAX,
  CLUSTER_TENANTS_MAX,
  MODULE_PORTS_MAX,
  MODULE_QUEUES_MAX,
  RESILIENT_PLACES,
  SWITCH_ATTACHMENTS_MAX,
  SWITCH_PLACES_MAX,
  SWITCH_SLOTS_MAX,
} from './limits.ts'
import type { Loose } from './loose.ts'
import type { Path } from './position.ts'
import type { Site } from './site.ts'

export function checkLimits(site: Loose<Site>, complain: Complain): void {
  const tenants = countBy(site.tenants, ({ vip }) => [vip])
  const attachments = countBy(site.tenants, ({ connections }) => connections?.map((one) => one?.switch) ?? [])
  each(site.clusters, ({ vips, nodes }, i) => {
    const held = [...new Set(vips)].reduce((sum, vip) => sum + (tenants.get(vip) ?? 0), 0)
    if (held > CLUSTER_TENANTS_MAX)
      complain(
        ['clusters', i, 'vips'],
        `these VIPs have ${held} tenants; a cluster holds at most ${CLUSTER_TENANTS_MAX}`,
      )
    checkRules(site, new Set(vips), ['clusters', i, 'vips'], complain)
    each(nodes, (node, j) => checkQueues(node.ports?.length ?? 0, node, ['clusters', i, 'nodes', j], complain))
  })
  each(site.switches, (one, i) => {
    const path = ['switches', i]
    const ports = (one.uplinks?.length ?? 0) + (one.ports?.length ?? 0)
    if (ports > MODULE_PORTS_MAX)
      complain([...path, 'ports'], `with its uplinks the switch has ${ports} ports; it may have ${MODULE_PORTS_MAX}`)
    else checkQueues(ports, one, path, complain)
    const attached = attachments.get(one.name) ?? 0
    if (attached > SWITCH_ATTACHMENTS_MAX)
      complain(path, `${attached} connections are attached here; a switch takes at most ${SWITCH_ATTACHMENTS_MAX}`)
    checkBalances(site, one, [...path, 'balances'], complain)
  })
}

function checkRules(site: Loose<Site>, vips: ReadonlySet<string | undefined>, path: Path, complain: Complain): void {
  const held = site.tenants?.filter((tenant) => tenant !== undefined && vips.has(tenant.vip)) ?? []
  const policies = held.flatMap((tenant) => tenant?.policies ?? [])
  const rules = policies.reduce((sum, policy) => sum + rulesIn(policy?.match), 0)
  if (policies.length > CLUSTER_POLICIES_MAX)
    complain(path, `their tenants have ${policies.length} policies; a cluster holds at most ${CLUSTER_POLICIES_MAX}`)
  if (rules > CLUSTER_RULES_MAX)
    complain(path, `the policies of their tenants come to ${rules} rules; a cluster holds at most ${CLUSTER_RULES_MAX}`)
}

/** Frames are memory that is pinned: a share for each port and worker. */
function checkQueues(ports: number, { workers = 1 }: { workers?: number | undefined }, path: Path, complain: Complain) {
  const queues = ports * workers
  if (queues > MODULE_QUEUES_MAX)
    complain(
      [...path, 'workers'],
      `${ports} ports of ${workers} workers have ${queues} queues; there are frames for ${MODULE_QUEUES_MAX}`,
    )
}

/**
 * Each VIP has two groups: one for packets that pass, and one into the tunnel for tenants that are attached here. A
 * resilient group has a fixed number of places. A modulo group is two stages of a place a unit of weight, with a
 * failover of two places and a gate of one for each node in between. Slots: one a group, one a way to a node, two more
 * a node between stages.
 */
function checkBalances(site: Loose<Site>, { balances }: Loose<Switch>, path: Path, complain: Complain): void {
  let [places, slots] = [0, 0]
  each(balances, ({ vip, selection }) => {
    const { nodes, weight } = nodesBehind(site, vip)
    const isModulo = selection === 'modulo'
    places += 2 * (isModulo ? 2 * weight + 3 * nodes : RESILIENT_PLACES)
    slots += 2 * (isModulo ? 2 + 3 * nodes : 1 + nodes)
  })
  const advice = `a resilient VIP takes ${2 * RESILIENT_PLACES}, a modulo one four for each unit of its nodes' weight`
  if (places > SWITCH_PLACES_MAX)
    complain(path, `they take ${places} places of the ${SWITCH_PLACES_MAX} that a switch has for them: ${advice}`)
  else if (slots > SWITCH_SLOTS_MAX)
    complain(path, `with the nodes behind them they take ${slots} slots of the ${SWITCH_SLOTS_MAX} that a switch has`)
}

function nodesBehind(site: Loose<Site>, vip: string | undefined): { nodes: number; weight: number } {
  const serves = ({ vips }: Loose<Cluster>): boolean => vip !== undefined && (vips?.includes(vip) ?? false)
  const nodes = (site.clusters ?? []).flatMap((cluster) => (cluster && serves(cluster) ? (cluster.nodes ?? []) : []))
  return { nodes: nodes.length, weight: nodes.reduce((sum, node) => sum + (node?.weight ?? 1), 0) }
}

function countBy<T>(
  things: readonly (T | undefined)[] | undefined,
  keysOf: (thing: T) => readonly (string | undefined)[],
): Map<string | undefined, number> {
  const counts = new Map<string | undefined, number>()
  each(things, (thing) => {
    for (const key of keysOf(thing)) counts.set(key, (counts.get(key) ?? 0) + 1)
  })
  return counts
}
