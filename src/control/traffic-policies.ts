/**
 * A tenant's policies as nodes hold them: each list of alternatives written out as rules, and each way (these connections, in
 * this order or balanced) as a number that next hops and policies share.
 */

import { parsePrefix } from '../base/address.ts'
import type { Tenant } from '../config/tenant.ts'
import type { TrafficMatch, TrafficPolicy } from '../config/traffic-policy.ts'
import type { FibPolicy, FibRule } from '../wire/control/fib.ts'
import { failoverOf, type Hop } from './hop.ts'
import { asTheyCome, type Candidate, nameOf } from './ordered-hop.ts'

/** The connections that some policies name. */
export interface PolicyWay {
  readonly number: number
  readonly connections: readonly string[]
  readonly balanced: boolean
}

/** What a way is known as to `Ids`. */
export function wayThing(
  tenant: string,
  { connections, balanced }: Pick<PolicyWay, 'connections' | 'balanced'>,
): string {
  return `${tenant} way ${connections.join(balanced ? ' + ' : ', ')}`
}

/** Each way once. `numberOf` knows what `wayThing` makes of it. */
export function waysOf({ name, policies }: Tenant, numberOf: (thing: string) => number): PolicyWay[] {
  const ways = new Map<number, PolicyWay>()
  for (const policy of policies) {
    if (!policy.by) continue
    const number = numberOf(wayThing(name, wayOf(policy)))
    ways.set(number, { number, ...wayOf(policy) })
  }
  return [...ways.values()]
}

export function fibPolicyOf(
  policy: TrafficPolicy,
  wayNumber: (way: Pick<PolicyWay, 'connections' | 'balanced'>) => number,
  segmentOf: (connection: string) => number,
): FibPolicy {
  const way = wayOf(policy)
  return {
    name: policy.name,
    rules: rulesOf(policy.match),
    way: policy.discard ? 0 : wayNumber(way),
    segments: Uint32Array.from(way.connections, segmentOf),
    balanced: way.balanced,
    only: policy.only,
  }
}

// One connection has nothing to be balanced with.
function wayOf({ by = [], balanced }: TrafficPolicy): Pick<PolicyWay, 'connections' | 'balanced'> {
  return { connections: by, balanced: balanced && by.length > 1 }
}

function rulesOf(match: TrafficMatch): FibRule[] {
  const prefixes = (list: readonly string[] | undefined) => list?.map((text) => parsePrefix(text)!)
  let rules: FibRule[] = [
    {
      ...{ source: undefined, destination: undefined, protocol: undefined },
      ...{ sourcePorts: undefined, destinationPorts: undefined, dscp: undefined },
    },
  ]
  const spread = <Key extends keyof FibRule>(key: Key, list: readonly FibRule[Key][] | undefined): void => {
    if (list) rules = rules.flatMap((rule) => list.map((value) => ({ ...rule, [key]: value })))
  }
  spread('source', prefixes(match.source))
  spread('destination', prefixes(match.destination))
  spread('protocol', match.protocol)
  spread('sourcePorts', match.source_port)
  spread('destinationPorts', match.destination_port)
  spread('dscp', match.dscp)
  return rules
}

/** The ways to one destination, of those that policies name; `choice` is what there was to choose from. */
export interface PolicedWays {
  readonly ways: readonly { readonly way: number; readonly hop: Hop }[]
  readonly choice: string
}

/** `sources` are all that say how to get there, the most preferred first. Of each connection the first one that has it counts. */
export function policedWays(
  ways: readonly PolicyWay[],
  sources: readonly (readonly Candidate[])[],
  isUp: (connection: string) => boolean,
): PolicedWays {
  const on = (connection: string): readonly Candidate[] => {
    if (!isUp(connection)) return []
    const here = sources.map((candidates) => candidates.filter((one) => one.connection === connection))
    return here.find((candidates) => candidates.length > 0) ?? []
  }
  return {
    ways: ways.flatMap(({ number, connections, balanced }) => {
      const members = connections.map(on)
      const hop = balanced ? asTheyCome(members.flat()) : failoverOf(members.map(asTheyCome))
      return hop ? [{ way: number, hop }] : []
    }),
    choice: sources.map((candidates) => candidates.map(nameOf).sort().join(', ')).join(' | '),
  }
}
