/**
 * Routers that announce and withdraw at random out of one small stock of prefixes, so that several often announce the same
 * one; and what each of them must have been told then, from nothing but what all of them announce.
 */

import {
  type BgpFamily,
  type BgpOrigination,
  type BgpRoute,
  type BgpRouter,
  familyOfPrefix,
  linesOf,
  untilTable,
} from '../../lab/peers/bgp-router.ts'
import { parseAddress } from '../../src/base/address.ts'
import type { Random } from '../../src/base/random.ts'

export interface Member {
  readonly router: BgpRouter
  readonly routerId: string
  readonly nextHops: Readonly<Record<BgpFamily, string>>
}

/** What becomes of a route on its way through us. */
export type Passage = (route: BgpRoute, to: Member) => BgpRoute

const PREFIXES = 24
const ORIGINS = ['igp', 'egp', 'incomplete'] as const

export class Churn {
  readonly #members: readonly Member[]
  readonly #random: Random
  readonly #passage: Passage
  readonly #announced = new Map<Member, Map<string, BgpOrigination>>()

  constructor(members: readonly Member[], random: Random, passage: Passage) {
    this.#members = members
    this.#random = random
    this.#passage = passage
    for (const member of members) this.#announced.set(member, new Map())
  }

  /** All at once: each withdraws some, and announces some anew or otherwise. */
  async round(): Promise<void> {
    await Promise.all(this.#members.map((member) => this.#change(member)))
  }

  async #change(member: Member): Promise<void> {
    const mine = this.#announced.get(member)!
    const gone = [...mine.keys()].filter(() => this.#random.chance(0.4))
    for (const prefix of gone) mine.delete(prefix)
    const prefixes = new Set(Array.from({ length: 6 }, () => this.#prefix()))
    const fresh = [...prefixes].filter((prefix) => !gone.includes(prefix)).map((prefix) => this.#route(member, prefix))
    for (const route of fresh) mine.set(route.prefix, route)
    if (gone.length > 0) await member.router.withdraw(gone)
    await member.router.announce(fresh)
  }

  #prefix(): string {
    const n = this.#random.below(PREFIXES)
    return this.#random.chance(0.5) ? `20.${n}.0.0/${16 + (n % 9)}` : `2001:db8:${(n + 1).toString(16)}::/48`
  }

  #route({ router }: Member, prefix: string): BgpOrigination {
    const random = this.#random
    const hops = random.below(3)
    const some = <T>(limit: number, make: () => T): T[] => [
      ...new Set(Array.from({ length: random.below(limit) }, make)),
    ]
    const path = Array.from({ length: hops }, () => (router.setsAnyPath ? this.#as() : router.as))
    return {
      prefix,
      asPath: path,
      origin: router.setsAnyPath ? random.pick(ORIGINS) : 'igp',
      med: random.chance(0.5) ? 1 + random.below(1000) : undefined,
      communities: some(4, () => `${1 + random.below(65_000)}:${random.below(65_536)}`),
      largeCommunities: some(3, () => `${1 + random.u32() / 2}:${random.u32()}:${random.u32()}`.replace(/\.5/, '')),
    }
  }

  #as(): number {
    return this.#random.chance(0.3) ? 4_200_100_000 + this.#random.below(1000) : 30_000 + this.#random.below(1000)
  }

  /** Waits until every router has what it must have. Throws with what is wrong when that does not come about. */
  async agree(): Promise<void> {
    for (const member of this.#members)
      for (const family of ['ipv4', 'ipv6'] as const)
        await untilTable(member.router, family, linesOf(this.#expected(member, family)))
  }

  #expected(to: Member, family: BgpFamily): BgpRoute[] {
    const prefixes = new Set(this.#members.flatMap((member) => [...this.#announced.get(member)!.keys()]))
    return [...prefixes]
      .filter((prefix) => familyOfPrefix(prefix) === family)
      .flatMap((prefix) => {
        const best = this.#members.flatMap((member) => this.#heard(member, prefix)).reduce(better)
        return best.from === to ? [] : [this.#passage(best.route, to)]
      })
  }

  #heard(from: Member, prefix: string): { from: Member; route: BgpRoute }[] {
    const route = this.#announced.get(from)!.get(prefix)
    if (!route) return []
    const nextHop = from.nextHops[familyOfPrefix(prefix)]
    return [{ from, route: { ...route, nextHop, asPath: [from.router.as, ...route.asPath] } }]
  }
}

interface Heard {
  readonly from: Member
  readonly route: BgpRoute
}

/** RFC 4271 section 9.1.2.2, as far as it can come to it here: no two of these routers are of one AS. */
function better(a: Heard, b: Heard): Heard {
  const ranks = [
    a.route.asPath.length - b.route.asPath.length,
    ORIGINS.indexOf(a.route.origin) - ORIGINS.indexOf(b.route.origin),
    Buffer.compare(parseAddress(a.from.routerId)!, parseAddress(b.from.routerId)!),
  ]
  return (ranks.find((rank) => rank !== 0) ?? 0) <= 0 ? a : b
}
