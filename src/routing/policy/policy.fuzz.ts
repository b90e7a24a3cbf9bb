/**
 * Random policies and random routes: what the evaluator makes of a route's set is what a plain walk over objects makes of
 * the route, the first time and from memory, with and without its prefix, and told term by term. FUZZ_N rounds, FUZZ_SEED
 * to repeat a run.
 */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress, formatPrefix, masked, type Prefix, parseAddress } from '../../base/address.ts'
import { freshSeed, Random } from '../../base/random.ts'
import { parsePathPattern } from '../../config/as-path-pattern.ts'
import { parseSite } from '../../config/load.ts'
import { SEGMENT, type Segment } from '../../wire/bgp/as-path.ts'
import { FAMILY, type Family, families } from '../../wire/bgp/family.ts'
import { AttributeSets, NO_SET } from '../bgp/rib/attribute-sets.ts'
import { PrefixTable4 } from '../bgp/rib/prefix-table.ts'
import { RibPeers } from '../bgp/rib/rib-peers.ts'
import { ASK_ROUTE } from '../bgp/rib/route-policy.ts'
import { PrefixTable6 } from '../bgp/rib/wide-prefix-table.ts'
import { naiveOutcome } from './naive.ts'
import { PolicyBook, policySourceOf } from './policy-book.ts'
import { wordsOf } from './prefix-classes.ts'
import { internRoute, type RouteAttributes, routeOf } from './route-attributes.ts'
import { Workbench } from './workbench.ts'

const ROUNDS = Number(process.env['FUZZ_N'] ?? 150)
const ROUTES = 60
const PEERS = ['left', 'right', 'third']
const AS_NUMBERS = [1, 2, 3, 65_001, 4_200_000_000]

class Maker {
  readonly random: Random

  constructor(random: Random) {
    this.random = random
  }

  some<T>(max: number, make: () => T): T[] {
    return Array.from({ length: this.random.below(max + 1) }, make)
  }

  maybe<T>(probability: number, make: () => T): T | undefined {
    return this.random.chance(probability) ? make() : undefined
  }

  prefix(isIpv6 = this.random.chance(0.3)): Prefix {
    const length = this.random.below(isIpv6 ? 65 : 33)
    const bytes = new Uint8Array(isIpv6 ? 16 : 4).fill(this.random.pick([10, 11]))
    return { address: masked(bytes, length), length }
  }

  as = (): number => this.random.pick(AS_NUMBERS)

  standard = (): string => `${this.random.pick(['1', '65001'])}:${this.random.below(3)}`
  large = (): string => `${this.random.pick(['1', '65001'])}:${this.random.below(3)}:${this.random.below(2)}`
  extended = (): string => this.random.pick(['rt:65001:1', 'rt:65001:2', 'color:7', 'ro:192.0.2.1:7'])
  wild = (text: string): string => (this.random.chance(0.5) ? text : text.replace(/:\d+$/, ':*').replace(/^1:/, '*:'))

  pattern(depth = 0): string {
    const { random } = this
    const one = (): string => {
      const dice = random.below(10)
      const atom =
        dice < 4
          ? String(this.as())
          : dice < 6
            ? '.'
            : dice < 8 || depth > 2
              ? '2-65000'
              : `(${this.pattern(depth + 1)})`
      return `${atom}${random.pick(['', '', '', '*', '+', '?', '{1,2}', '{2}', '{0,}'])}`
    }
    return [this.some(3, one).join(' '), ...this.some(1, () => this.some(2, one).join(' '))].join('|')
  }

  change(exact: () => string, isExtended: boolean): unknown {
    if (this.random.chance(0.3)) return { replace: this.some(2, exact) }
    return { add: this.some(2, exact), remove: this.some(2, () => (isExtended ? exact() : this.wild(exact()))) }
  }

  term(): unknown {
    const { random } = this
    const names = (kind: string): string[] => [
      `${kind}${random.below(3)}`,
      ...this.some(1, () => `${kind}${random.below(3)}`),
    ]
    const range = (max: number): unknown =>
      random.pick([random.below(max), { from: random.below(max) }, { to: random.below(max) }])
    return {
      match: {
        prefix_list: this.maybe(0.3, () => names('p')),
        as_path_list: this.maybe(0.2, () => names('a')),
        community_list: this.maybe(0.2, () => names('c')),
        next_hop: this.maybe(0.1, () => random.pick(['10.0.0.1', '10.0.0.0/24', '::/0', 'fd00::1'])),
        origin: this.maybe(0.1, () => random.pick(['igp', 'egp', ['egp', 'incomplete']])),
        med: this.maybe(0.1, () => range(4)),
        local_preference: this.maybe(0.1, () => range(201)),
        path_length: this.maybe(0.1, () => range(5)),
        family: this.maybe(0.1, () => random.pick(['ipv4-unicast', 'ipv6-unicast'])),
        peer: this.maybe(0.15, () => random.pick(PEERS)),
      },
      set: {
        local_preference: this.maybe(0.2, () => random.pick([0, 100, 200])),
        med: this.maybe(0.2, () => random.pick([0, 3, 'none'])),
        origin: this.maybe(0.1, () => random.pick(['igp', 'egp', 'incomplete'])),
        next_hop: this.maybe(0.1, () => random.pick(['10.0.0.1', '10.9.9.9', 'fd00::9'])),
        prepend: this.maybe(0.2, () => random.pick([1, 32, { as: this.as(), times: 2 }])),
        communities: this.maybe(0.2, () => this.change(this.standard, false)),
        extended_communities: this.maybe(0.1, () => this.change(this.extended, true)),
        large_communities: this.maybe(0.1, () => this.change(this.large, false)),
      },
      // biome-ignore lint/suspicious/noThenProperty: it is what people write
      then: random.pick(['accept', 'reject', 'next', 'next', undefined]),
    }
  }

  site(): unknown {
    const { random } = this
    const entry = (): unknown => {
      const { address, length } = this.prefix()
      const ge = this.maybe(0.5, () => length + random.below(address.length * 8 - length + 1))
      const le = this.maybe(0.5, () => (ge ?? length) + random.below(address.length * 8 - (ge ?? length) + 1))
      return { prefix: formatPrefix({ address, length }), ge, le }
    }
    const lists = <T>(make: (i: number) => T): T[] => [0, 1, 2].map(make)
    const community = (): string => random.pick([this.wild(this.standard()), this.wild(this.large()), this.extended()])
    const names = (): string[] => this.some(2, () => `policy${random.below(3)}`)
    return {
      site: 's',
      routing: {
        as: 65_001,
        router_id: '10.0.0.1',
        require_policy: random.chance(0.3),
        prefix_lists: lists((i) => ({ name: `p${i}`, prefixes: this.some(6, entry) })),
        as_path_lists: lists((i) => ({ name: `a${i}`, paths: this.some(2, () => this.pattern()).filter(isPattern) })),
        community_lists: lists((i) => ({
          name: `c${i}`,
          communities: this.some(3, community),
          all: random.chance(0.3),
        })),
        policies: lists((i) => ({ name: `policy${i}`, terms: this.some(4, () => this.term()) })),
        neighbours: PEERS.map((name, i) => ({
          name,
          address: `127.0.0.${i + 2}`,
          as: 65_002,
          import: names(),
          export: names(),
        })),
      },
    }
  }

  segment = (): Segment => ({
    type: this.random.pick([SEGMENT.sequence, SEGMENT.sequence, SEGMENT.set, SEGMENT.confederationSequence]),
    numbers: Array.from({ length: this.random.chance(0.05) ? 250 : 1 + this.random.below(3) }, this.as),
  })

  route(isIpv6: boolean): RouteAttributes {
    const { random } = this
    return {
      origin: random.below(3),
      path: this.some(2, this.segment),
      nextHop: parseAddress(isIpv6 ? random.pick(['fd00::1', 'fd00::2']) : random.pick(['10.0.0.1', '10.0.1.1']))!,
      med: this.maybe(0.4, () => random.below(4)),
      localPref: this.maybe(0.4, () => random.pick([0, 100, 200])),
      communities: this.some(3, () => random.pick([65_536, 65_537, 0xfde9_0000, 0xfde9_0001, 0xffff_0000])),
      extendedCommunities: this.some(2, () =>
        random.pick([
          { high: 0x0002_fde9, low: 1 },
          { high: 0x030b_0000, low: 7 },
        ]),
      ),
      largeCommunities: this.some(2, () => ({ global: random.pick([1, 65_001]), local1: random.below(3), local2: 0 })),
    }
  }
}

test(`${ROUNDS} sites' policies make of routes what a plain walk makes of them`, (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const maker = new Maker(new Random(seed))
  const { random } = maker
  for (let round = 0; round < ROUNDS; round++) {
    const { site, errors } = parseSite(JSON.stringify(maker.site()))
    equal(errors, undefined)
    const routing = site!.routing!
    const sets = new AttributeSets()
    const peers = new RibPeers()
    const numbers = PEERS.map((name, i) =>
      peers.add({
        name,
        address: Uint8Array.of(127, 0, 0, i + 2),
        as: 65_002,
        routerId: 1,
        external: true,
        client: false,
      }),
    )
    const book = new PolicyBook(new Workbench(sets, peers), policySourceOf(routing))
    const tables = [new PrefixTable4(), new PrefixTable6()] as const
    for (let i = 0; i < ROUTES; i++) {
      const isIpv6 = random.chance(0.3)
      const family: Family = isIpv6 ? FAMILY.ipv6Unicast : FAMILY.ipv4Unicast
      const prefix = maker.prefix(isIpv6)
      const words = wordsOf(prefix)
      const table = tables[family]
      const number = isIpv6
        ? tables[1].find(words, prefix.length, true)
        : tables[0].find(words[0]!, prefix.length, true)
      const route = maker.route(isIpv6)
      const set = internRoute(sets, route)
      sets.use(set)
      const [neighbour, source] = [random.pick(PEERS), random.below(PEERS.length)]
      const direction = random.pick(['in', 'out'] as const)
      const external = random.chance(0.7)
      const subject = { route, prefix, family: families[family]!.name, peer: PEERS[source]! }
      const expected = naiveOutcome(routing, { direction, neighbour, external }, subject)
      const evaluator = book.chainFor(direction, neighbour, external).evaluator(family)
      const check = (result: number): void => {
        const outcome = result === NO_SET ? undefined : routeOf(sets, result)
        deepEqual(
          outcome,
          expected,
          JSON.stringify({ neighbour, direction, external, subject: formatSubject(subject) }),
        )
      }
      const common = evaluator.ofSet(set)
      if (common !== ASK_ROUTE) check(common)
      for (let time = 0; time < 2; time++) check(evaluator.ofRoute(table, number, set, numbers[source]!))
      check(evaluator.explain(set, prefix, PEERS[source]!).result)
      // Numbers of sets are given again, to others than those that are remembered.
      if (random.chance(0.5)) sets.drop(set)
    }
  }
})

/** Some are too much. */
function isPattern(text: string): boolean {
  return typeof parsePathPattern(text) !== 'string'
}

function formatSubject({ route, prefix, peer }: { route: RouteAttributes; prefix: Prefix; peer: string }): unknown {
  return {
    ...route,
    nextHop: formatAddress(route.nextHop),
    prefix: formatPrefix(prefix),
    peer,
  }
}
