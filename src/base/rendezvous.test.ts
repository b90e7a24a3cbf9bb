import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { ipv4Bytes } from './address.ts'
import { rendezvous, sessionKey } from './rendezvous.ts'

const KEYS = Array.from({ length: 10_000 }, (_, i) => sessionKey(1 + i, ipv4Bytes(0xc0a80102)))
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `routing-${i + 1}`)

function placed(members: readonly string[]): (string | undefined)[] {
  return KEYS.map((key) => rendezvous(key, members))
}

test('a key has one member, whatever the order of the list, and none where there are none', () => {
  const members = names(5)
  deepEqual(placed(members.toReversed()), placed(members))
  equal(rendezvous(KEYS[0]!, []), undefined)
  equal(rendezvous(KEYS[0]!, ['only']), 'only')
})

test('members have equal shares', () => {
  const members = names(8)
  const places = placed(members)
  for (const member of members) {
    const share = places.filter((place) => place === member).length
    ok(Math.abs(share - KEYS.length / 8) < KEYS.length / 80, `${member} has ${share}`)
  }
})

test('one that leaves gives its own keys away, and takes them back when it joins', () => {
  const all = names(4)
  const before = placed(all)
  const after = placed(all.slice(0, 3))
  for (const [i, place] of before.entries()) if (place !== 'routing-4') equal(after[i], place)
  const moved = before.filter((place) => place === 'routing-4').length
  ok(Math.abs(moved - KEYS.length / 4) < KEYS.length / 40, `${moved} have moved`)
})

test('segments and peers are told apart', () => {
  const same = ipv4Bytes(0x0a000001)
  const members = names(16)
  const bySegment = new Set(Array.from({ length: 64 }, (_, vni) => rendezvous(sessionKey(vni, same), members)))
  const byPeer = new Set(Array.from({ length: 64 }, (_, i) => rendezvous(sessionKey(7, ipv4Bytes(i)), members)))
  ok(bySegment.size > 8 && byPeer.size > 8)
})
