import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Reader } from '../cursor.ts'
import { as4PathFor, countInPath, formatSegments, mergeAs4Path, readSegments, SEGMENT } from './as-path.ts'
import { drawn, judge, updateBody } from './drawn.ts'

const ORIGIN = '40 01 01 00'
const NEXT_HOP = '40 03 04 c0000201'
const NLRI = '18 0a0102'

function pathOf(value: string, context: object = {}): ReturnType<typeof judge> {
  const bytes = drawn(value)
  const head = `50 02 ${bytes.length.toString(16).padStart(4, '0')}`
  return judge(updateBody({ attributes: `${ORIGIN} ${head} ${value} ${NEXT_HOP}`, nlri: NLRI }), context)
}

suite('what a path says of a route', () => {
  for (const [what, value, length, firstAs, neighbourAs, lastAs] of [
    ['a sequence', '02 03 00000001 00000002 00000003', 3, 1, 1, 3],
    ['the empty path', '', 0, 0, 0, 0],
    ['a set counts as one', '02 01 00000001 01 03 00000007 00000008 00000009', 2, 1, 1, 0],
    ['a set in front', '01 01 00000007 02 01 00000001', 2, 0, 0, 1],
    ["a confederation's segments count as none", '03 02 0000fc00 0000fc01 02 01 00000001', 1, 0xfc00, 1, 1],
    ["a confederation's set", '04 02 0000fc00 0000fc01 02 02 00000001 00000002', 2, 0, 1, 2],
    ['of the confederation alone', '03 01 0000fc00', 0, 0xfc00, 0, 0],
    ['the largest AS', '02 01 ffffffff', 1, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff],
  ] as const)
    test(what, () => {
      const { outcome, facts } = pathOf(value, { external: false })
      deepEqual(
        [outcome, facts.asPathLength, facts.firstAs, facts.neighbourAs, facts.lastAs],
        ['fine', length, firstAs, neighbourAs, lastAs],
      )
    })
})

suite('a path from a peer of two octets', () => {
  // [what, AS_PATH, AS4_PATH, the path, first AS, last AS]
  for (const [what, asPath, as4Path, path, firstAs, lastAs] of [
    ['without AS4_PATH', '02 02 0001 0002', '', '1 2', 1, 2],
    ['that AS4_PATH knows all of', '02 02 5ba0 0002', '02 02 00010001 00000002', '65537 2', 65537, 2],
    ['to which others have added', '02 03 0001 5ba0 5ba0', '02 02 00010001 00010002', '1 65537 65538', 1, 65538],
    [
      'shorter than its AS4_PATH, which is not believed',
      '02 01 5ba0',
      '02 02 00010001 00000002',
      '23456',
      23456,
      23456,
    ],
    ['in which a set counts as one', '02 01 0001 01 02 5ba0 5ba0', '01 02 00010001 00010002', '1 {65537,65538}', 1, 0],
    [
      "whose AS4_PATH holds a confederation's segments, which are dropped",
      '02 02 0001 5ba0',
      '03 01 0000fc00 02 01 00010001',
      '1 65537',
      1,
      65537,
    ],
    ["behind a confederation's segment", '03 01 fc00 02 01 5ba0', '02 01 00010001', '(64512) 65537', 64512, 65537],
    [
      'that is cut in the middle of a segment',
      '02 04 0001 0002 0003 5ba0',
      '02 02 00000003 00010001',
      '1 2 3 65537',
      1,
      65537,
    ],
    [
      "that is cut before a confederation's segment",
      '02 02 0001 5ba0 03 01 fc00',
      '02 01 00010001',
      '1 65537',
      1,
      65537,
    ],
    ['of a set that is taken whole', '01 02 0001 0002 02 01 5ba0', '02 01 00010001', '{1,2} 65537', 0, 65537],
  ] as const)
    test(what, () => {
      const lengthOf = (text: string) => drawn(text).length.toString(16).padStart(2, '0')
      const four = as4Path === '' ? '' : `c0 11 ${lengthOf(as4Path)} ${as4Path}`
      const attributes = `${ORIGIN} 40 02 ${lengthOf(asPath)} ${asPath} ${NEXT_HOP} ${four}`
      const body = updateBody({ attributes, nlri: NLRI })
      const { outcome, facts } = judge(body, { as4: false, external: false })
      deepEqual([outcome, facts.firstAs, facts.lastAs], ['fine', firstAs, lastAs])
      const out = new Uint8Array(200).fill(0xa5)
      const end = mergeAs4Path(new DataView(body.buffer), facts, out, 7)
      deepEqual(out.slice(7, 9), drawn('40 02'))
      equal(out[9], end - 10)
      const merged = readSegments(new Reader(out.slice(10, end)), true)
      equal(formatSegments(merged), path)
      equal(
        judge(
          updateBody({
            attributes: `${ORIGIN} ${Buffer.from(out.subarray(7, end)).toString('hex')} ${NEXT_HOP}`,
            nlri: NLRI,
          }),
          { external: false },
        ).facts.asPathLength,
        facts.asPathLength,
      )
    })

  test('is widened beyond 255 bytes', () => {
    const value = `02 c8 ${'fde9'.repeat(200)}`
    const { facts, from } = pathOf(value, { as4: false })
    equal(from.failed, false)
    const body = updateBody({ attributes: `${ORIGIN} 50 02 0192 ${value} ${NEXT_HOP}`, nlri: NLRI })
    const out = new Uint8Array(1000)
    const end = mergeAs4Path(new DataView(body.buffer), facts, out, 0)
    deepEqual([...out.subarray(0, 4), end], [0x50, 2, 3, 0x22, 4 + 802])
  })

  test('whose aggregator was changed by who knew nothing of AS4_PATH keeps neither', () => {
    const attributes = `${ORIGIN} 40 02 04 02 01 5ba0 ${NEXT_HOP} c0 11 06 02 01 00010001`
    const four = 'c0 12 08 00010001 0a000001'
    const judged = (aggregator: string) =>
      judge(updateBody({ attributes: `${attributes} ${aggregator} ${four}`, nlri: NLRI }), { as4: false }).facts
    const stale = judged('c0 07 06 0001 0a000001')
    deepEqual([stale.lastAs, stale.aggregatorAs, stale.as4PathEnd], [23456, 1, 0])
    const good = judged('c0 07 06 5ba0 0a000001')
    deepEqual([good.lastAs, good.aggregatorAs], [65537, 65537])
  })

  test('too long to be widened is malformed', () => {
    const value = `02 ff ${'fde9'.repeat(255)}`.repeat(70)
    equal(pathOf(value, { as4: false }).outcome, 'withdraw')
  })
})

test('AS4_PATH goes with a path that two octets do not hold, without what is of the confederation', () => {
  const confederation = { type: SEGMENT.confederationSequence, numbers: [64512] }
  const sequence = { type: SEGMENT.sequence, numbers: [1, 65537] }
  deepEqual(as4PathFor([confederation, sequence]), [sequence])
  equal(as4PathFor([confederation, { type: SEGMENT.sequence, numbers: [1] }]), undefined)
})

test('an AS is counted wherever it is in a path', () => {
  const path = drawn('03 01 0000fde9 02 02 0000fde9 00000001 01 02 00000001 0000fde9')
  equal(countInPath(new Reader(path), 0, path.length, true, 65001), 3)
  equal(countInPath(new Reader(path), 0, path.length, true, 65002), 0)
  const short = drawn('02 03 fde9 0001 fde9')
  equal(countInPath(new Reader(short), 0, short.length, false, 65001), 2)
})
