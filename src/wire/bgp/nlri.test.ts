import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parsePrefix } from '../../base/address.ts'
import { framed } from '../codec-suite.ts'
import { Reader } from '../cursor.ts'
import { drawn } from './drawn.ts'
import { FAMILY, type Family, families, familyName, familyNamed, familyOf, hasFamily, NO_FAMILY } from './family.ts'
import { decodeNlri, encodeNlri, formatNlri, type Nlri } from './nlri.ts'
import { checkNlri, readPrefix4, readPrefix6 } from './prefix.ts'

const distinguisher = { high: 0x0000_fde9, low: 100 }
const prefix = (text: string) => parsePrefix(text)!

const samples: readonly (readonly [family: Family, addPath: boolean, bytes: string, nlri: Nlri[], text: string])[] = [
  [
    FAMILY.ipv4Unicast,
    false,
    '00  08 0a  11 0a0180  18 0a0102  20 0a010203',
    ['0.0.0.0/0', '10.0.0.0/8', '10.1.128.0/17', '10.1.2.0/24', '10.1.2.3/32'].map((text) => ({
      prefix: prefix(text),
    })),
    '0.0.0.0/0, 10.0.0.0/8, 10.1.128.0/17, 10.1.2.0/24, 10.1.2.3/32',
  ],
  [
    FAMILY.ipv4Unicast,
    true,
    '00000007 18 0a0102  ffffffff 00',
    [
      { prefix: prefix('10.1.2.0/24'), pathId: 7 },
      { prefix: prefix('0.0.0.0/0'), pathId: 0xffff_ffff },
    ],
    '10.1.2.0/24 path 7, 0.0.0.0/0 path 4294967295',
  ],
  [
    FAMILY.ipv6Unicast,
    false,
    '00  21 20010db880  80 20010db8000000000000000000000001',
    ['::/0', '2001:db8:8000::/33', '2001:db8::1/128'].map((text) => ({ prefix: prefix(text) })),
    '::/0, 2001:db8:8000::/33, 2001:db8::1/128',
  ],
  [
    FAMILY.vpnv4,
    false,
    '70 000641 0000fde900000064 0a0102  58 fffff1 0000fde900000064',
    [
      { prefix: prefix('10.1.2.0/24'), label: 100, distinguisher },
      { prefix: prefix('0.0.0.0/0'), label: 0xfffff, distinguisher },
    ],
    '65001:100 10.1.2.0/24 label 100, 65001:100 0.0.0.0/0 label 1048575',
  ],
  [
    FAMILY.vpnv6,
    true,
    '00000001 88 000641 0000fde900000064 20010db8ffff',
    [{ prefix: prefix('2001:db8:ffff::/48'), label: 100, distinguisher, pathId: 1 }],
    '65001:100 2001:db8:ffff::/48 label 100 path 1',
  ],
]

for (const [family, addPath, bytes, nlri, text] of samples)
  suite(`${families[family]!.name}${addPath ? ' with path identifiers' : ''}`, () => {
    test('reads, writes and prints as drawn', () => {
      deepEqual(decodeNlri(family, drawn(bytes), addPath), nlri)
      deepEqual(encodeNlri(family, nlri, addPath).slice(), drawn(bytes))
      equal(nlri.map(formatNlri).join(', '), text)
    })

    test('cut anywhere but between prefixes it is refused', () => {
      const whole = drawn(bytes)
      const ends = nlri.map((_, i) => encodeNlri(family, nlri.slice(0, i), addPath).length)
      for (let length = 0; length < whole.length; length++)
        equal(decodeNlri(family, whole.subarray(0, length), addPath) !== undefined, ends.includes(length), `${length}`)
    })

    test('a length that no prefix has is refused', () => {
      const { headBits, addressBits } = families[family]!
      const id = addPath ? [0, 0, 0, 1] : []
      for (let length = 0; length < 256; length++) {
        const one = Uint8Array.of(...id, length, ...new Uint8Array((length + 7) >>> 3))
        equal(decodeNlri(family, one, addPath) !== undefined, length >= headBits && length <= headBits + addressBits)
      }
    })
  })

test('bits behind a prefix are dropped, at each length', () => {
  const words = new Uint32Array(4)
  for (let length = 0; length <= 32; length++) {
    const from = new Reader(new Uint8Array((length + 7) >>> 3).fill(0xff))
    equal(readPrefix4(from, length), length === 0 ? 0 : (0xffff_ffff << (32 - length)) >>> 0)
    deepEqual([from.failed, from.remaining], [false, 0])
  }
  for (let length = 0; length <= 128; length++) {
    const from = new Reader(new Uint8Array((length + 7) >>> 3).fill(0xff))
    readPrefix6(from, length, words)
    const bits = [...words].map((word) => word.toString(2).padStart(32, '0')).join('')
    equal(bits, '1'.repeat(length) + '0'.repeat(128 - length))
    deepEqual([from.failed, from.remaining], [false, 0])
  }
})

test('a longer one than an address fails', () => {
  const from = new Reader(new Uint8Array(64))
  equal(readPrefix4(from, 33), 0)
  equal(from.failed, true)
  from.window(0, 64)
  readPrefix6(from, 129, new Uint32Array(4))
  equal(from.failed, true)
})

test('a range that is not within the bytes holds no prefixes', () => {
  const bytes = new Uint8Array(framed(drawn('08 0a')).buffer)
  const from = new Reader(bytes)
  equal(checkNlri(from, bytes.length - 2, bytes.length, FAMILY.ipv4Unicast, false), true)
  equal(checkNlri(from, bytes.length - 2, bytes.length + 1, FAMILY.ipv4Unicast, false), false)
  equal(checkNlri(from, 5, 4, FAMILY.ipv4Unicast, false), false)
})

test('families by number and by name', () => {
  for (const [family, { afi, safi, name }] of families.entries()) {
    equal(familyOf(afi, safi), family)
    equal(familyNamed(name), family)
    equal(familyName(afi, safi), name)
  }
  for (const [afi, safi] of [
    [1, 2],
    [3, 1],
    [25, 70],
    [0, 0],
    [1, 133],
    [3, 128],
  ] as const)
    equal(familyOf(afi, safi), NO_FAMILY)
  equal(familyName(1, 133), 'afi 1 safi 133')
  equal(familyNamed('ipx'), undefined)
  equal(hasFamily(-1, NO_FAMILY), false)
})
