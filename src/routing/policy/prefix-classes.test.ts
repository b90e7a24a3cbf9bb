import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { formatPrefix, masked, parsePrefix, prefixContains } from '../../base/address.ts'
import { freshSeed, Random } from '../../base/random.ts'
import { PrefixClasses, wordsOf } from './prefix-classes.ts'

type Entry = { prefix: string; ge: number; le: number }

/** The class says of each condition what a look at each of its entries says. */
function agrees(classes: PrefixClasses, conditions: readonly (readonly Entry[])[], text: string): void {
  const prefix = parsePrefix(text)!
  const name = classes.classOf(wordsOf(prefix), prefix.length)
  for (const [condition, entries] of conditions.entries()) {
    const isIn = entries.some(
      ({ prefix: of, ge, le }) =>
        prefixContains(parsePrefix(of)!, prefix.address) && prefix.length >= ge && prefix.length <= le,
    )
    equal(classes.holds(name, condition), isIn, `${text} in ${JSON.stringify(entries)}`)
  }
}

test('a prefix is in the lists whose entries it lies in, by length', () => {
  const conditions = [
    [{ prefix: '10.0.0.0/8', ge: 16, le: 24 }],
    [
      { prefix: '10.1.0.0/16', ge: 16, le: 16 },
      { prefix: '0.0.0.0/0', ge: 0, le: 0 },
    ],
    [{ prefix: '2001:db8::/32', ge: 32, le: 48 }],
    [
      { prefix: '255.255.255.255/32', ge: 32, le: 32 },
      { prefix: '128.0.0.0/1', ge: 1, le: 32 },
    ],
  ]
  const classes = new PrefixClasses(conditions, false)
  for (const text of [
    '10.0.0.0/8',
    '10.0.0.0/16',
    '10.1.0.0/16',
    '10.1.2.0/24',
    '10.1.2.0/25',
    '0.0.0.0/0',
    '11.0.0.0/16',
  ])
    agrees(classes, conditions, text)
  for (const text of ['255.255.255.255/32', '128.0.0.0/1', '192.0.0.0/2', '0.0.0.0/1', '10.1.0.0/15', '9.0.0.0/8'])
    agrees(classes, conditions, text === '10.1.0.0/15' ? '10.0.0.0/15' : text)
})

test('a chain without prefix conditions of this IP version has one class', () => {
  const classes = new PrefixClasses([[{ prefix: '10.0.0.0/8', ge: 8, le: 32 }]], true)
  equal(classes.classOf(Uint32Array.of(0x20010db8, 0, 0, 0), 32), 0)
})

test('random lists and prefixes, as a look at each entry has it', (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const random = new Random(seed)
  for (let round = 0; round < 60; round++) {
    const isIpv6 = round % 2 === 1
    const bits = isIpv6 ? 128 : 32
    // Few addresses, so that prefixes lie in one another, at the ends of the address space too.
    const prefixText = (): string => {
      const length = random.below(bits + 1)
      const fill = random.pick([0, 255, 10])
      const bytes = new Uint8Array(bits / 8).fill(fill)
      bytes[random.below(bytes.length)] = random.pick([0, 1, 128, 255])
      return formatPrefix({ address: masked(bytes, length), length })
    }
    const entry = (): Entry => {
      const prefix = prefixText()
      const ge = parsePrefix(prefix)!.length + random.below(bits + 1 - parsePrefix(prefix)!.length)
      return { prefix, ge, le: ge + random.below(bits + 1 - ge) }
    }
    const conditions = Array.from({ length: 1 + random.below(40) }, () =>
      Array.from({ length: random.below(12) }, entry),
    )
    const classes = new PrefixClasses(conditions, isIpv6)
    for (let i = 0; i < 100; i++) agrees(classes, conditions, prefixText())
    for (const { prefix } of conditions.flat()) agrees(classes, conditions, prefix)
  }
})
