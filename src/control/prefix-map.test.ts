import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { parsePrefix } from '../base/address.ts'
import { freshSeed, Random } from '../base/random.ts'
import { keyOf, type PrefixKey } from './prefix-key.ts'
import { PrefixMap } from './prefix-map.ts'

const key = (text: string): PrefixKey => keyOf(parsePrefix(text)!)
const sorted = <V>(entries: Iterable<[PrefixKey, V]>): [PrefixKey, V][] =>
  [...entries].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))

test('prefixes of all lengths and both families are told apart', () => {
  const map = new PrefixMap<string>()
  const texts = ['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/31', '10.0.0.0/32', '255.255.255.255/32', '::/0', '2001:db8::/32']
  for (const text of texts) map.set(key(text), text)
  equal(map.size, texts.length)
  for (const text of texts) equal(map.get(key(text)), text)
  equal(map.get(key('10.0.0.1/32')), undefined)
  equal(map.has(key('2001:db8::/33')), false)
  equal(map.delete(key('10.0.0.0/31')), true)
  equal(map.delete(key('10.0.0.0/31')), false)
  deepEqual([...map.values()].sort(), texts.filter((text) => text !== '10.0.0.0/31').sort())
})

const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())

test(`whatever is set and deleted, it is as a Map would be, FUZZ_SEED=${seed}`, () => {
  const random = new Random(seed)
  for (let run = 0; run < 20; run++) {
    const map = new PrefixMap<number>()
    const model = new Map<PrefixKey, number>()
    const notes = new Map<PrefixKey, number>()
    // Few keys, so that they meet again; and many, so that the table grows, and shrinks when it is emptied.
    const keys = random.pick([5, 50, 5000])
    for (let step = 0; step < 20_000; step++) {
      const chosen = step > 15_000 && random.chance(0.7) ? [...model.keys()][0] : undefined
      const one = chosen ?? key(random.chance(0.1) ? `2001:db8:${random.below(9)}::/48` : addressOf(random.below(keys)))
      if (chosen !== undefined || random.chance(0.4)) {
        equal(map.delete(one), model.delete(one))
        notes.delete(one)
      } else {
        // Now and then the value that is there already, whose note stays.
        const value = random.chance(0.2) ? (model.get(one) ?? step) : step
        if (model.get(one) !== value) notes.set(one, step)
        map.set(one, value, step)
        model.set(one, value)
      }
      equal(map.noteOf(one), notes.get(one) ?? 0)
      equal(map.size, model.size)
      equal(map.get(one), model.get(one))
    }
    deepEqual(sorted(map), sorted(model))
    const told: [PrefixKey, number][] = []
    map.forEach((value, one) => {
      told.push([one, value])
    })
    deepEqual(sorted(told), sorted(model))
    deepEqual(sorted(Array.from(map.keys(), (one) => [one, 0])), sorted(Array.from(model.keys(), (one) => [one, 0])))
  }
})

function addressOf(i: number): string {
  return i % 3 === 0 ? `10.${i >>> 8}.${i & 255}.7/32` : `10.${i >>> 8}.${i & 255}.0/24`
}
