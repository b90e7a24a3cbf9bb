import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { freshSeed, Random } from '../../base/random.ts'
import { type NeighbourText, PolicyBed, policiesOf, prefixNumbered, term } from './policy-bed.ts'

const GRACEFUL_SHUTDOWN = 0xffff_0000
const [FIRST, SECOND, THIRD] = ['10.0.1.0/24', '10.0.2.0/24', '10.0.3.0/24'] as const
const PREFIXES = [FIRST, SECOND, THIRD]

/** The list and the policies that most of these tests use. */
const PARTS = {
  prefix_lists: [{ name: 'first', prefixes: [FIRST] }],
  policies: [
    { name: 'no-first', terms: [term('reject', { match: { prefix_list: 'first' } })] },
    { name: 'prefer', terms: [term('accept', { set: { local_preference: 200 } })] },
    {
      name: 'mark',
      terms: [{ set: { med: 7, next_hop: '192.0.2.99', prepend: 2, communities: { add: ['65001:1'] } } }],
    },
  ],
}

function bedOf(neighbours: readonly NeighbourText[], parts: object = PARTS): PolicyBed {
  const bed = new PolicyBed(policiesOf(neighbours, parts))
  for (const neighbour of neighbours) bed.up(neighbour)
  bed.run()
  return bed
}

const told = (bed: PolicyBed, session: number): Record<string, string> =>
  Object.fromEntries([...bed.told.get(session)!].sort())

suite('policies', () => {
  test('keep routes out and change them on their way in, and change them on their way out', () => {
    const bed = bedOf([
      { number: 1, import: ['no-first', 'prefer'] },
      { number: 2, export: ['mark'] },
      { number: 3, internal: true },
    ])
    bed.announce(1, PREFIXES, { path: [65_101], med: 5 })
    bed.run()
    // MED and next hop are what policy says, in spite of what external peers are told otherwise.
    const marked = '65001 65001 65001 65101 via 192.0.2.99 med 7 with 65001:1'
    deepEqual(told(bed, 2), { [SECOND]: marked, [THIRD]: marked })
    const inside = '65101 via 192.0.2.1 med 5 preference 200'
    deepEqual(told(bed, 3), { [SECOND]: inside, [THIRD]: inside })
  })

  test('ask whose route it is, on its way out too', () => {
    const parts = {
      policies: [{ name: 'of-1', terms: [term('accept', { match: { peer: 'peer-1' } }), term('reject')] }],
    }
    const bed = bedOf([{ number: 1 }, { number: 2 }, { number: 3, export: ['of-1'] }], parts)
    bed.announce(1, [FIRST], { path: [7] })
    bed.announce(2, [SECOND], { path: [7] })
    bed.run()
    deepEqual(Object.keys(told(bed, 3)), [FIRST])
  })

  test('are needed from and to external peers where the site says so (RFC 8212)', () => {
    const parts = { ...PARTS, require_policy: true }
    const bed = bedOf(
      [{ number: 1 }, { number: 2, import: ['prefer'] }, { number: 3, internal: true }, { number: 4 }],
      parts,
    )
    bed.announce(1, [FIRST], { path: [65_101] })
    bed.announce(2, [SECOND], { path: [65_102] })
    bed.announce(3, [THIRD], { path: [65_103] })
    bed.run()
    deepEqual(Object.keys(told(bed, 3)), [SECOND])
    deepEqual(told(bed, 4), {})
  })

  test('make what is about to go the last choice (RFC 8326), from external peers', () => {
    const bed = bedOf([{ number: 1 }, { number: 2 }, { number: 3, internal: true }, { number: 4, internal: true }])
    bed.announce(1, [FIRST], { path: [65_101], communities: [GRACEFUL_SHUTDOWN] })
    bed.announce(3, [SECOND], { path: [], communities: [GRACEFUL_SHUTDOWN], localPref: 70 })
    bed.run()
    equal(told(bed, 3)[FIRST], '65101 via 192.0.2.1 preference 0 with graceful-shutdown')
    ok(told(bed, 1)[SECOND]!.includes('graceful-shutdown'))
    bed.announce(2, [FIRST], { path: [65_102, 7, 8, 9] })
    bed.run()
    equal(told(bed, 3)[FIRST], '65102 7 8 9 via 192.0.2.1 preference 100')
  })
})

suite('other policies', () => {
  const neighbours = (first: Partial<NeighbourText>, others: Partial<NeighbourText> = {}): NeighbourText[] => [
    { number: 1, ...first },
    { number: 2, ...others },
    { number: 3, ...others },
    { number: 4, internal: true },
  ]

  test('that say the same touch nothing', () => {
    const bed = bedOf(neighbours({ import: ['prefer'] }, { export: ['mark'] }))
    bed.announce(1, PREFIXES, { path: [65_101] })
    bed.run()
    const before = new Map(bed.changes)
    const same = policiesOf(neighbours({ import: ['prefer'] }, { export: ['mark'] }), structuredClone(PARTS))
    deepEqual(bed.engine.reloadPolicies(same), { imports: 0, exports: 0, tables: 0, sessionsReset: 0 })
    bed.run()
    deepEqual(bed.changes, before)
  })

  test('on the way in are met by what was received, and who is concerned is told the difference', () => {
    const bed = bedOf(neighbours({}))
    bed.announce(1, PREFIXES, { path: [65_101] })
    bed.announce(2, [FIRST], { path: [65_102, 7, 7] })
    bed.run()
    const before = new Map(bed.changes)
    const reload = bed.engine.reloadPolicies(policiesOf(neighbours({ import: ['no-first'] }), PARTS))
    deepEqual(reload, { imports: 1, exports: 0, tables: 1, sessionsReset: 0 })
    bed.run()
    equal(told(bed, 3)[FIRST], '65001 65102 7 7 via 192.0.2.1')
    deepEqual(bed.changes.get(3)! - before.get(3)!, 1)
    // And back: nobody asks the peer for its routes again.
    bed.engine.reloadPolicies(policiesOf(neighbours({}), PARTS))
    bed.run()
    equal(told(bed, 3)[FIRST], '65001 65101 via 192.0.2.1')
    equal(bed.resets, 0)
  })

  test('change with the contents of the lists that they name', () => {
    const bed = bedOf(neighbours({ import: ['no-first'] }, { export: ['mark'] }))
    bed.announce(1, PREFIXES, { path: [65_101] })
    bed.run()
    const parts = { ...PARTS, prefix_lists: [{ name: 'first', prefixes: [SECOND] }] }
    const reload = bed.engine.reloadPolicies(
      policiesOf(neighbours({ import: ['no-first'] }, { export: ['mark'] }), parts),
    )
    deepEqual(reload, { imports: 1, exports: 0, tables: 1, sessionsReset: 0 })
    bed.run()
    deepEqual(Object.keys(told(bed, 3)), [FIRST, THIRD])
  })

  test('on the way out are told to those who have them, as far as they make a difference, and to nobody else', () => {
    const bed = bedOf(neighbours({}))
    bed.announce(1, PREFIXES, { path: [65_101] })
    bed.run()
    const before = new Map(bed.changes)
    const only2 = neighbours({}).map((one) => (one.number === 2 ? { ...one, export: ['no-first'] } : one))
    const reload = bed.engine.reloadPolicies(policiesOf(only2, PARTS))
    deepEqual(reload, { imports: 0, exports: 1, tables: 0, sessionsReset: 0 })
    bed.run()
    deepEqual(Object.keys(told(bed, 2)), [SECOND, THIRD])
    deepEqual(Object.keys(told(bed, 3)), PREFIXES)
    deepEqual(
      [2, 3, 4].map((session) => bed.changes.get(session)! - before.get(session)!),
      [1, 0, 0],
    )
    // Together again, they are told together.
    bed.engine.reloadPolicies(policiesOf(neighbours({}, { export: ['mark'] }), PARTS))
    bed.run()
    deepEqual(told(bed, 2), told(bed, 3))
    ok(told(bed, 2)[FIRST]!.includes('med 7'))
  })

  test('may have two groups of peers change places', () => {
    const one = [{ number: 1 }, { number: 2, export: ['mark'] }, { number: 3 }]
    const bed = bedOf(one)
    bed.announce(1, PREFIXES, { path: [65_101] })
    bed.run()
    const [marked, bare] = [told(bed, 2), told(bed, 3)]
    const other = [{ number: 1, export: ['mark'] }, { number: 2 }, { number: 3, export: ['mark'] }]
    deepEqual(bed.engine.reloadPolicies(policiesOf(other, PARTS)), {
      imports: 0,
      exports: 3,
      tables: 0,
      sessionsReset: 0,
    })
    bed.run()
    deepEqual([told(bed, 2), told(bed, 3)], [bare, marked])
    bed.announce(1, [FIRST], { path: [65_101, 9] })
    bed.run()
    ok(told(bed, 2)[FIRST]!.includes('65101 9') && told(bed, 3)[FIRST]!.includes('65101 9'))
  })

  test('meet a table in pieces, and sessions that come and go meanwhile', () => {
    const bed = bedOf(neighbours({}))
    const many = Array.from({ length: 9000 }, (_, i) => prefixNumbered(i))
    for (let i = 0; i < many.length; i += 500) bed.announce(1, many.slice(i, i + 500), { path: [65_101] })
    bed.announce(2, [FIRST], { path: [65_102, 7] })
    bed.run()
    bed.engine.reloadPolicies(policiesOf(neighbours({ import: ['prefer'] }), PARTS))
    bed.engine.step()
    bed.down(1)
    bed.engine.step()
    bed.up({ number: 1 })
    bed.announce(1, [FIRST], { path: [65_101] })
    bed.run()
    equal(told(bed, 4)[FIRST], '65101 via 192.0.2.1 preference 200')
    equal(bed.told.get(4)!.size, 1)
    bed.engine.reloadPolicies(policiesOf(neighbours({ import: ['no-first'] }), PARTS))
    bed.run()
    equal(told(bed, 4)[FIRST], '65102 7 via 192.0.2.1 preference 100')
  })

  test('that lead routes elsewhere ask whether one gets there', () => {
    const bed = bedOf(neighbours({}))
    bed.announce(1, [FIRST], { path: [65_101] })
    bed.announce(2, [FIRST], { path: [65_102, 7] })
    bed.run()
    const reload = (names: readonly string[]): void => {
      bed.engine.reloadPolicies(policiesOf(neighbours({ import: names }), PARTS))
      bed.run()
    }
    reload(['mark'])
    equal(bed.asked.at(-1), '192.0.2.99')
    bed.engine.nextHopChanged(Uint8Array.of(192, 0, 2, 99), undefined)
    bed.run()
    equal(told(bed, 4)[FIRST], '65102 7 via 192.0.2.1 preference 100')
    reload([])
    equal(told(bed, 4)[FIRST], '65101 via 192.0.2.1 preference 100')
    reload(['mark'])
    equal(told(bed, 4)[FIRST], '65102 7 via 192.0.2.1 preference 100')
  })
})

test('after any reloads every peer has what it would have had from the beginning', (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const random = new Random(seed)
  for (let round = 0; round < 15; round++) {
    const names = (): string[] => PARTS.policies.map(({ name }) => name).filter(() => random.chance(0.4))
    const anyPolicies = (): NeighbourText[] =>
      [1, 2, 3, 4, 5].map((number) => ({ number, internal: number > 3, import: names(), export: names() }))
    const anyParts = (): object => ({
      ...PARTS,
      require_policy: random.chance(0.2),
      prefix_lists: [{ name: 'first', prefixes: PREFIXES.filter(() => random.chance(0.5)) }],
    })
    const bed = bedOf(anyPolicies(), anyParts())
    let last = policiesOf(anyPolicies(), anyParts())
    let known = new Map<string, { session: number; prefix: string; path: number[] }>()
    for (let i = 0; i < 60; i++) {
      const session = 1 + random.below(5)
      const prefix = random.pick(PREFIXES)
      const key = `${session} ${prefix}`
      if (random.chance(0.2)) {
        last = policiesOf(anyPolicies(), anyParts())
        equal(bed.engine.reloadPolicies(last).sessionsReset, 0)
      } else if (random.chance(0.3)) {
        bed.withdraw(session, [prefix])
        known.delete(key)
      } else {
        // Of no two the same length, so that it does not matter which came first.
        const path = Array(1 + 5 * random.below(3) + session).fill(7)
        bed.announce(session, [prefix], { path })
        known = new Map([...known, [key, { session, prefix, path }]])
      }
      if (random.chance(0.1)) bed.waiting.set(2, random.chance(0.5) ? 1 << 30 : 0)
      if (random.chance(0.5)) bed.engine.step()
    }
    bed.engine.reloadPolicies(last)
    bed.waiting.set(2, 0)
    bed.run()
    const fresh = new PolicyBed(last)
    for (const number of [1, 2, 3, 4, 5]) fresh.up({ number, internal: number > 3 })
    for (const { session, prefix, path } of known.values()) fresh.announce(session, [prefix], { path })
    fresh.run()
    for (const number of [1, 2, 3, 4, 5]) deepEqual(told(bed, number), told(fresh, number), `peer-${number}`)
    equal(bed.resets, 0)
    for (const number of [1, 2, 3, 4, 5]) bed.down(number)
    bed.run()
    deepEqual(bed.engine.counts(), { sessions: 0, tables: 1, prefixes: 0, paths: 0, attributeSets: 0 })
  }
})
