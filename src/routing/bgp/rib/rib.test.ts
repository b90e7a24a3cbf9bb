import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { has, LOCAL_AS, RibHarness } from './rib-harness.ts'

const NO_EXPORT = 0xffffff01
const NO_ADVERTISE = 0xffffff02

suite('what a peer is told', () => {
  test("is another one's route with our AS in front, and not its own", () => {
    const rib = new RibHarness()
    const [left, right] = [rib.connect(65_002), rib.connect(65_003)]
    rib.announce(left, ['10.1.0.0/16', '10.2.0.0/16'], { path: [65_002, 7], med: 5 })
    rib.flush()
    has(left, {})
    const told = { path: [LOCAL_AS, 65_002, 7] }
    has(right, { '10.1.0.0/16': told, '10.2.0.0/16': told })
    rib.withdraw(left, ['10.1.0.0/16'])
    rib.flush()
    has(right, { '10.2.0.0/16': told })
  })

  test('is everything there is when it comes later, and then the end', () => {
    const rib = new RibHarness()
    const left = rib.connect(65_002)
    rib.announce(left, ['10.1.0.0/16'], { path: [65_002] })
    rib.flush()
    const right = rib.connect(65_003)
    rib.flush()
    has(right, { '10.1.0.0/16': { path: [LOCAL_AS, 65_002] } })
    equal(right.endsOfRib, 1)
    rib.announce(left, ['10.2.0.0/16'], { path: [65_002] })
    rib.flush()
    equal(right.received.size, 2)
    equal(right.endsOfRib, 1)
  })

  test('is the state when it is sent, not every state on the way', () => {
    const rib = new RibHarness()
    const [left, right] = [rib.connect(65_002), rib.connect(65_003)]
    rib.flush()
    rib.announce(left, ['10.1.0.0/16', '10.2.0.0/16'], { path: [65_002] })
    rib.announce(left, ['10.1.0.0/16'], { path: [65_002, 9] })
    rib.withdraw(left, ['10.2.0.0/16'])
    rib.flush()
    has(right, { '10.1.0.0/16': { path: [LOCAL_AS, 65_002, 9] } })
  })

  test("moves past a route's source: the one whose route wins is sent a withdrawal of the other", () => {
    const rib = new RibHarness()
    const [left, right, third] = [rib.connect(65_002), rib.connect(65_003), rib.connect(65_004)]
    rib.announce(left, ['10.1.0.0/16'], { path: [65_002, 9, 9] })
    rib.flush()
    has(right, { '10.1.0.0/16': { path: [LOCAL_AS, 65_002, 9, 9] } })
    rib.announce(right, ['10.1.0.0/16'], { path: [65_003] })
    rib.flush()
    has(left, { '10.1.0.0/16': { path: [LOCAL_AS, 65_003] } })
    has(right, {})
    has(third, { '10.1.0.0/16': { path: [LOCAL_AS, 65_003] } })
    rib.disconnect(right)
    has(left, {})
    has(third, { '10.1.0.0/16': { path: [LOCAL_AS, 65_002, 9, 9] } })
  })

  test('keeps what a route server must not touch (RFC 7947)', () => {
    const rib = new RibHarness()
    const [left, right] = [rib.connect(65_002, { transparent: true }), rib.connect(65_003, { transparent: true })]
    const route = { path: [65_002, 7], med: 5, nextHop: '192.0.2.77', communities: [0xfdea0001] }
    rib.announce(left, ['10.1.0.0/16'], route)
    rib.flush()
    has(right, { '10.1.0.0/16': route })
  })

  test('between internal peers goes by a reflector only (RFC 4456), which says whose it was', () => {
    const rib = new RibHarness()
    const [client, other] = [rib.connect(LOCAL_AS, { client: true }), rib.connect(LOCAL_AS)]
    const outside = rib.connect(65_002)
    rib.announce(other, ['10.1.0.0/16'], { path: [7], localPref: 200 })
    rib.flush()
    deepEqual([client.received.size, other.received.size, outside.received.size], [1, 0, 1])
    // LOCAL_PREF stays, ORIGINATOR_ID and CLUSTER_LIST come in.
    equal([...client.received.values()][0]!.endsWith('400504000000c8800904' + '0a000003' + '800a04' + '0a000001'), true)
    rib.withdraw(other, ['10.1.0.0/16'])
    rib.announce(outside, ['10.2.0.0/16'], { path: [65_002] })
    rib.flush()
    has(other, { '10.2.0.0/16': { path: [65_002], localPref: 100 } })
  })

  test('heeds the well-known communities (RFC 1997)', () => {
    const rib = new RibHarness()
    const [left, right, inside] = [rib.connect(65_002), rib.connect(65_003), rib.connect(LOCAL_AS)]
    rib.announce(left, ['10.1.0.0/16'], { path: [65_002], communities: [NO_EXPORT] })
    rib.announce(left, ['10.2.0.0/16'], { path: [65_002], communities: [5, NO_ADVERTISE] })
    rib.flush()
    has(right, {})
    deepEqual([...inside.received.keys()], ['10.1.0.0/16'])
  })

  test('is not lost when it is slow: it goes on alone and joins the others again', () => {
    const rib = new RibHarness()
    const [left, fast, slow] = [rib.connect(65_002), rib.connect(65_003), rib.connect(65_004)]
    rib.flush()
    slow.room = 0
    slow.group.detach(slow.number)
    for (let i = 0; i < 200; i++) rib.announce(left, [`10.${i}.0.0/16`], { path: [65_002, 1 + i] })
    for (let i = 0; i < 100; i++) rib.withdraw(left, [`10.${i}.0.0/16`])
    rib.flush()
    equal(fast.received.size, 100)
    equal(slow.received.size, 0)
    slow.room = Number.POSITIVE_INFINITY
    rib.flush()
    deepEqual(slow.received, fast.received)
    rib.announce(left, ['172.16.0.0/12'], { path: [65_002] })
    rib.flush()
    deepEqual(slow.received, fast.received)
  })
})

suite('which route is taken', () => {
  const prefix = '10.1.0.0/16'

  test('goes by LOCAL_PREF, path length, origin, MED, kind of peer and router ID, in this order', () => {
    const rib = new RibHarness()
    const [a, b, inside] = [rib.connect(65_002), rib.connect(65_003), rib.connect(LOCAL_AS)]
    const winner = (): unknown => rib.bestOf(prefix)
    rib.announce(b, [prefix], { path: [65_003, 1, 2] })
    rib.announce(a, [prefix], { path: [65_002, 1, 2] })
    equal(winner(), a, 'lowest router ID')
    rib.announce(b, [prefix], { path: [65_003, 1] })
    equal(winner(), b, 'shortest path')
    rib.announce(a, [prefix], { path: [65_002, 1], origin: 2 })
    equal(winner(), b, 'lowest origin')
    rib.announce(inside, [prefix], { path: [8, 1], localPref: 100 })
    equal(winner(), b, 'external before internal')
    rib.announce(inside, [prefix], { path: [8, 1, 2, 3, 4], localPref: 101 })
    equal(winner(), inside, 'highest LOCAL_PREF')
  })

  test('compares MEDs of one neighbouring AS only, and of all where it is told to', () => {
    for (const alwaysCompareMed of [false, true]) {
      const rib = new RibHarness({ alwaysCompareMed })
      const [a, b, c] = [rib.connect(LOCAL_AS), rib.connect(LOCAL_AS), rib.connect(LOCAL_AS)]
      rib.announce(a, [prefix], { path: [7], med: 20 })
      rib.announce(b, [prefix], { path: [8], med: 30 })
      rib.announce(c, [prefix], { path: [7], med: 10 })
      equal(rib.bestOf(prefix), alwaysCompareMed ? c : b)
    }
  })

  test("leaves out a path with our own AS in it, and one whose first AS is another than its peer's", () => {
    const rib = new RibHarness()
    const a = rib.connect(65_002)
    rib.announce(a, [prefix], { path: [65_002, LOCAL_AS] })
    equal(rib.bestOf(prefix), undefined)
    rib.announce(a, [prefix], { path: [65_002] })
    equal(rib.bestOf(prefix), a)
    rib.announce(a, [prefix], { path: [65_099] })
    equal(rib.bestOf(prefix), undefined)
  })

  test('leaves nothing behind when all is gone', () => {
    const rib = new RibHarness()
    const [a, b] = [rib.connect(65_002), rib.connect(65_003)]
    for (let i = 0; i < 50; i++)
      rib.announce(i % 2 ? a : b, [`10.${i}.0.0/16`, prefix], { path: [i % 2 ? 65_002 : 65_003, i + 1] })
    rib.flush()
    rib.disconnect(a)
    rib.disconnect(b)
    deepEqual([rib.table.prefixes.count, rib.table.paths, rib.sets.count, rib.sets.arena.used], [0, 0, 0, 0])
  })
})
