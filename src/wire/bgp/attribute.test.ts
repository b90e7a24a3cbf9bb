import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { framed } from '../codec-suite.ts'
import { Reader, Writer } from '../cursor.ts'
import { SEGMENT } from './as-path.ts'
import * as rows from './attribute.ts'
import { type AttributeRow, FLAG } from './attribute-row.ts'
import { drawn, EVERYTHING } from './drawn.ts'
import { type AttributeContext, AttributeFacts, attributeContext } from './facts.ts'
import { formatNextHop, mpReach, mpUnreach } from './multiprotocol.ts'
import { decodeAttribute, encodeAttribute } from './update-message.ts'

interface Sample<T> {
  readonly row: AttributeRow<T>
  /** Flags, code, length and value. */
  readonly bytes: string
  readonly value: T
  readonly print: string
  readonly context?: Partial<AttributeContext>
  /** Lengths of the value at which it is sound too, cut or followed by zeros. */
  readonly sound?: readonly number[]
}

function sample<T>(of: Sample<T>): Sample<unknown> {
  return of as unknown as Sample<unknown>
}

const INTERNAL = { external: false }
const TWO_OCTETS = { as4: false }
const PATH = [
  { type: SEGMENT.sequence, numbers: [65001, 4_200_000_000] },
  { type: SEGMENT.set, numbers: [7, 8] },
]

const samples = [
  sample({ row: rows.origin, bytes: '40 01 01 02', value: 2, print: 'incomplete' }),
  sample({
    row: rows.asPath,
    bytes: `40 02 14
      02 02 0000fde9 fa56ea00          # sequence
      01 02 00000007 00000008          # set`,
    value: PATH,
    print: '65001 4200000000 {7,8}',
    sound: [0, 10],
  }),
  sample({
    row: rows.asPath,
    bytes: `40 02 10
      03 02 fc00 fc01                  # confederation's sequence
      04 01 fc02                       # confederation's set
      02 02 fde9 5ba0                  # sequence, AS_TRANS`,
    value: [
      { type: SEGMENT.confederationSequence, numbers: [64512, 64513] },
      { type: SEGMENT.confederationSet, numbers: [64514] },
      { type: SEGMENT.sequence, numbers: [65001, 23456] },
    ],
    print: '(64512 64513) [64514] 65001 23456',
    context: { ...INTERNAL, ...TWO_OCTETS },
    sound: [0, 6, 10],
  }),
  sample({ row: rows.nextHop, bytes: '40 03 04 c0000201', value: drawn('c0000201'), print: '192.0.2.1' }),
  sample({ row: rows.med, bytes: '80 04 04 ffffffff', value: 0xffff_ffff, print: '4294967295' }),
  sample({ row: rows.localPref, bytes: '40 05 04 000000c8', value: 200, print: '200', context: INTERNAL }),
  sample({ row: rows.atomicAggregate, bytes: '40 06 00', value: true, print: 'yes' }),
  sample({
    row: rows.aggregator,
    bytes: 'c0 07 08 fa56ea00 0a000001',
    value: { as: 4_200_000_000, address: drawn('0a000001') },
    print: '4200000000 10.0.0.1',
  }),
  sample({
    row: rows.aggregator,
    bytes: 'c0 07 06 fde9 0a000001',
    value: { as: 65001, address: drawn('0a000001') },
    print: '65001 10.0.0.1',
    context: TWO_OCTETS,
  }),
  sample({
    row: rows.communities,
    bytes: 'c0 08 0c fde90064 ffffff01 ffff0000',
    value: [0xfde9_0064, 0xffff_ff01, 0xffff_0000],
    print: '65001:100 no-export graceful-shutdown',
    sound: [4, 8],
  }),
  sample({
    row: rows.originatorId,
    bytes: '80 09 04 0a000001',
    value: 0x0a000001,
    print: '10.0.0.1',
    context: INTERNAL,
  }),
  sample({
    row: rows.clusterList,
    bytes: '80 0a 08 0a000001 0a000002',
    value: [0x0a000001, 0x0a000002],
    print: '10.0.0.1 10.0.0.2',
    context: INTERNAL,
    sound: [4],
  }),
  sample({
    row: mpReach,
    bytes: `80 0e 1c
      0002 01                          # IPv6 unicast
      10 20010db8 00000000 00000000 00000001
      00                               # reserved
      30 20010db8 ffff                 # 2001:db8:ffff::/48`,
    value: {
      afi: 2,
      safi: 1,
      nextHop: drawn('20010db8 00000000 00000000 00000001'),
      nlri: drawn('30 20010db8ffff'),
    },
    print: 'ipv6-unicast via 2001:db8::1, 7 bytes of prefixes',
    context: EVERYTHING,
    // The prefixes are judged with those of the whole message.
    sound: [21, 22, 23, 24, 25, 26, 27],
  }),
  sample({
    row: mpUnreach,
    bytes: `80 0f 12
      0001 80                          # VPNv4
      70 000641 0000fde900000064 0a0102`,
    value: { afi: 1, safi: 128, nlri: drawn('70 000641 0000fde900000064 0a0102') },
    print: 'vpnv4, 15 bytes of prefixes',
    context: EVERYTHING,
    sound: Array.from({ length: 15 }, (_, i) => 3 + i),
  }),
  sample({
    row: rows.extendedCommunities,
    bytes: 'c0 10 10 0002fde900000001 4004fde94cbebc20',
    value: [
      { high: 0x0002_fde9, low: 1 },
      { high: 0x4004_fde9, low: 0x4cbe_bc20 },
    ],
    print: 'rt:65001:1 link-bandwidth:65001:100000000',
    sound: [8],
  }),
  sample({
    row: rows.as4Path,
    bytes: 'c0 11 0a 02 02 0000fde9 fa56ea00',
    value: PATH.slice(0, 1),
    print: '65001 4200000000',
    context: TWO_OCTETS,
  }),
  sample({
    row: rows.as4Aggregator,
    bytes: 'c0 12 08 fa56ea00 0a000001',
    value: { as: 4_200_000_000, address: drawn('0a000001') },
    print: '4200000000 10.0.0.1',
    context: TWO_OCTETS,
  }),
  sample({
    row: rows.ipv6ExtendedCommunities,
    bytes: 'c0 19 14 0002 20010db8 00000000 00000000 00000001 0007',
    value: [drawn('0002 20010db8 00000000 00000000 00000001 0007')],
    print: '0x000220010db80000000000000000000000010007',
  }),
  sample({
    row: rows.aigp,
    bytes: `80 1a 0f
      01 000b 00000000 000003e8        # the metric, 1000
      02 0004 ff                       # another TLV`,
    value: [
      { type: 1, value: drawn('00000000 000003e8') },
      { type: 2, value: drawn('ff') },
    ],
    print: '1:0x00000000000003e8 2:0xff',
    context: { aigp: true },
    sound: [11],
  }),
  sample({
    row: rows.largeCommunities,
    bytes: 'c0 20 18 0000fde9 00000002 00000003 fa56ea00 00000000 ffffffff',
    value: [
      { global: 65001, local1: 2, local2: 3 },
      { global: 4_200_000_000, local1: 0, local2: 0xffff_ffff },
    ],
    print: '65001:2:3 4200000000:0:4294967295',
    sound: [12],
  }),
  sample({ row: rows.onlyToCustomer, bytes: 'c0 23 04 0000fde9', value: 65001, print: '65001' }),
  sample({
    row: rows.attributes[40] as AttributeRow<Uint8Array>,
    bytes: 'c0 28 03 010203',
    value: drawn('010203'),
    print: '0x010203',
    sound: Array.from({ length: 8 }, (_, i) => i),
  }),
] as const

const HEAD_BYTES = 3

for (const { row, bytes, value, print, context, sound = [] } of samples) {
  const whole = drawn(bytes)
  const inside = whole.slice(HEAD_BYTES)
  const agreed = attributeContext(context)

  suite(`${row.name}: ${print}`, () => {
    test('reads, writes and prints as drawn', () => {
      deepEqual(decodeAttribute(row, inside, agreed), value)
      const out = new Writer()
      encodeAttribute(out, row, value, agreed.as4)
      deepEqual(out.finish().slice(), whole)
      equal(row.print(value), print)
      equal(rows.attributes[row.code], row)
      equal(row.flags, whole[0])
    })

    test('cut or longer it is malformed, or what is left of it is sound and comes back', () => {
      for (let length = 0; length < inside.length + 5; length++) {
        const other = new Uint8Array(length)
        other.set(inside.subarray(0, length))
        const read = decodeAttribute(row, other, agreed)
        const isSound = length === inside.length || sound.includes(length) || (length > inside.length && isList(row))
        if (!isSound) equal(read, undefined, `${length} bytes`)
        if (read === undefined) continue
        const out = new Writer()
        row.write(out, read, agreed.as4)
        deepEqual(out.finish().slice(), other)
      }
    })

    test('nothing outside of the value is read', () => {
      const frame = new Uint8Array(framed(inside).buffer)
      const from = new Reader(frame)
      const at = frame.length - inside.length
      for (let length = 0; length <= inside.length; length++) {
        from.window(at, at + length)
        const alone = new Reader(inside.slice(0, length))
        const facts = [new AttributeFacts(), new AttributeFacts()] as const
        equal(row.check(from, facts[0], agreed), row.check(alone, facts[1], agreed))
      }
    })
  })
}

/** Zeros behind it may be more of it. */
function isList(row: AttributeRow): boolean {
  const one: readonly AttributeRow[] = [mpReach, mpUnreach, rows.communities, rows.clusterList]
  return row.isOpaque || one.includes(row)
}

test('a value of more than 255 bytes has a length of two', () => {
  const out = new Writer()
  encodeAttribute(out, rows.communities, new Array(64).fill(1))
  deepEqual(out.finish().slice(0, 8), drawn('d0 08 0100 00000001'))
})

test('a path of more numbers than a segment holds is several segments', () => {
  const out = new Writer()
  const numbers = Array.from({ length: 300 }, (_, i) => i + 1)
  rows.asPath.write(out, [{ type: SEGMENT.sequence, numbers }], true)
  const read = decodeAttribute(rows.asPath, out.finish(), attributeContext())
  deepEqual(
    read?.map((segment) => segment.numbers.length),
    [255, 45],
  )
})

test('numbers that two octets do not hold are written as AS_TRANS', () => {
  const out = new Writer()
  rows.asPath.write(out, PATH, false)
  rows.aggregator.write(out, { as: 4_200_000_000, address: drawn('0a000001') }, false)
  deepEqual(out.finish().slice(), drawn('02 02 fde9 5ba0 01 02 0007 0008  5ba0 0a000001'))
})

test('a next hop is printed without what stands before it', () => {
  equal(formatNextHop(128, drawn('0000000000000000 c0000201')), '192.0.2.1')
  equal(
    formatNextHop(1, drawn('20010db8000000000000000000000001 fe800000000000000000000000000001')),
    '2001:db8::1 fe80::1',
  )
  equal(formatNextHop(128, drawn('0000000000000000 20010db8000000000000000000000001')), '2001:db8::1')
  equal(formatNextHop(1, drawn('0102030405')), '0x0102030405')
  equal(formatNextHop(128, drawn('')), '0x')
})

test('every code has a row of one shape, and the unknown ones promise nothing', () => {
  equal(rows.attributes.length, 256)
  for (const [code, row] of rows.attributes.entries()) {
    equal(row.code, code)
    deepEqual(Object.keys(row), Object.keys(rows.origin))
    equal(row.flags & ~(FLAG.optional | FLAG.transitive), 0)
  }
  equal(rows.attributes[99]!.name, 'attribute 99')
  ok(rows.attributes[99]!.isOpaque)
})
