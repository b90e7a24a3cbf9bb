/**
 * Random announcements, withdrawals, peers that come, go and fall behind, beside a model that knows every route of every
 * peer: in the end each peer has been told just what the model says. FUZZ_N operations, FUZZ_SEED to repeat a run.
 */

import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../../../base/random.ts'
import { attributeBytes, type HarnessPeer, LOCAL_AS, RibHarness, type RouteText } from './rib-harness.ts'

const OPERATIONS = Number(process.env['FUZZ_N'] ?? 20_000)
const PER_RUN = 2000
const PREFIXES = Array.from({ length: 40 }, (_, i) => `10.${i}.0.0/${16 + (i % 9)}`)

interface Known extends HarnessPeer {
  readonly routes: Map<string, RouteText>
}

class Run {
  readonly #random: Random
  readonly #rib = new RibHarness()
  readonly #peers: Known[] = []
  #nextAs = 65_100

  constructor(random: Random) {
    this.#random = random
    for (let i = 0; i < 3; i++) this.#connect()
  }

  operate(): void {
    const random = this.#random
    const peer = random.pick(this.#peers)
    const prefixes = Array.from({ length: 1 + random.below(4) }, () => random.pick(PREFIXES))
    const dice = random.below(1000)
    if (dice < 500) this.#announce(peer, [...new Set(prefixes)])
    else if (dice < 800) this.#withdraw(peer, [...new Set(prefixes)])
    else if (dice < 810) this.#connect()
    else if (dice < 820 && this.#peers.length > 2) this.#disconnect(peer)
    else if (dice < 840) peer.room = random.chance(0.5) ? 0 : Number.POSITIVE_INFINITY
    else if (dice < 860) peer.group.detach(peer.number)
    else if (dice < 870) this.#rib.flush()
  }

  finish(): void {
    for (const peer of this.#peers) peer.room = Number.POSITIVE_INFINITY
    this.#rib.flush()
    this.#rib.flush()
    for (const peer of this.#peers) this.#agrees(peer)
    for (const peer of [...this.#peers]) this.#disconnect(peer)
    const { table, sets } = this.#rib
    deepEqual([table.prefixes.count, table.paths, sets.count, sets.arena.used], [0, 0, 0, 0])
  }

  #connect(): void {
    this.#peers.push(Object.assign(this.#rib.connect(this.#nextAs++), { routes: new Map<string, RouteText>() }))
  }

  #disconnect(peer: Known): void {
    this.#peers.splice(this.#peers.indexOf(peer), 1)
    this.#rib.disconnect(peer)
  }

  #announce(peer: Known, prefixes: readonly string[]): void {
    // Lengths differ between peers, so that the model needs no tie-breakers but the first one.
    const path = [peer.as, ...Array.from({ length: this.#random.below(5) }, () => 1 + this.#random.below(9))]
    const route = { path, ...(this.#random.chance(0.5) ? { med: this.#random.below(3) } : {}) }
    equal(this.#rib.announce(peer, prefixes, route, this.#random.chance(0.5)), 0)
    for (const prefix of prefixes) peer.routes.set(prefix, route)
  }

  #withdraw(peer: Known, prefixes: readonly string[]): void {
    equal(this.#rib.withdraw(peer, prefixes), 0)
    for (const prefix of prefixes) peer.routes.delete(prefix)
  }

  #agrees(peer: Known): void {
    const expected = new Map<string, string>()
    for (const prefix of PREFIXES) {
      const best = this.#best(prefix)
      if (!best || best === peer) continue
      const { path } = best.routes.get(prefix)!
      expected.set(prefix, Buffer.from(attributeBytes({ path: [LOCAL_AS, ...path] })).toString('hex'))
    }
    deepEqual(new Map([...peer.received].sort()), new Map([...expected].sort()))
  }

  // All are external and of different ASes: the shortest path, then the lowest router ID, which is by age.
  #best(prefix: string): Known | undefined {
    const having = this.#peers.filter(({ routes }) => routes.has(prefix))
    const length = (peer: Known): number => peer.routes.get(prefix)!.path.length
    return having.sort((a, b) => length(a) - length(b) || a.as - b.as)[0]
  }
}

test(`${OPERATIONS} operations leave every peer told what the model says`, (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const random = new Random(seed)
  for (let done = 0; done < OPERATIONS; done += PER_RUN) {
    const run = new Run(random)
    for (let i = 0; i < PER_RUN; i++) run.operate()
    run.finish()
  }
})
