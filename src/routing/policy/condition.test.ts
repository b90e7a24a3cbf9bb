import { deepEqual, equal, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../../base/random.ts'
import { COMMUNITY_NAMES, communityKind } from '../../config/community-text.ts'
import { parseCommunity, parseExtendedCommunity, parseLargeCommunity } from '../../wire/bgp/community.ts'
import { communityPattern } from './condition.ts'

test('what the site file takes for a community the wire knows as one of that kind, and the other way round', (t) => {
  const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())
  t.diagnostic(`FUZZ_SEED=${seed}`)
  const random = new Random(seed)
  const numbers = ['0', '1', '65535', '65536', '4294967295', '4294967296', '01', '', '-1', '192.0.2.1', '1.2', 'x', '*']
  const words = [...COMMUNITY_NAMES, 'rt', 'ro', 'color', 'link-bandwidth', 'no', '0x0002fde900000001', '0x1']
  for (let i = 0; i < 20_000; i++) {
    const parts = Array.from({ length: 1 + random.below(4) }, () => random.pick(numbers))
    const text = random.chance(0.5) ? parts.join(':') : [random.pick(words), ...parts.slice(1)].join(':')
    const kind = communityKind(text, false)
    equal(parseCommunity(text) !== undefined, kind === 'standard', text)
    equal(parseLargeCommunity(text) !== undefined, kind === 'large', text)
    // Of bandwidths the wire reads more ways to write them.
    const isExtended = parseExtendedCommunity(text) !== undefined
    if (!text.startsWith('link-bandwidth') || kind === 'extended') equal(isExtended, kind === 'extended', text)
    // And with wildcards nothing that can be written cannot be compared with.
    if (communityKind(text, true) !== undefined) notEqual(communityPattern(text), undefined)
  }
})

test('a star masks the number that it stands for', () => {
  deepEqual(communityPattern('65001:*'), {
    kind: 'communities',
    pattern: { value: [0xfde9_0000], mask: [0xffff_0000] },
  })
  deepEqual(communityPattern('*:7').pattern.mask, [0xffff])
  deepEqual(communityPattern('no-export').pattern, { value: [0xffff_ff01], mask: [0xffff_ffff] })
  deepEqual(communityPattern('1:*:2').pattern, { value: [1, 0, 2], mask: [0xffff_ffff, 0, 0xffff_ffff] })
})
