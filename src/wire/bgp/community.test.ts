import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import {
  COMMUNITY,
  formatCommunity,
  formatExtendedCommunity,
  formatLargeCommunity,
  isLinkBandwidth,
  isRouteTarget,
  isTransitiveType,
  linkBandwidth,
  linkBandwidthCommunity,
  parseCommunity,
  parseExtendedCommunity,
  parseLargeCommunity,
} from './community.ts'
import { formatDistinguisher, parseDistinguisher } from './distinguisher.ts'

test('communities between numbers and text', () => {
  for (const [text, community] of [
    ['65001:100', 0xfde9_0064],
    ['0:0', 0],
    ['65535:1', 0xffff_0001],
    ['no-export', COMMUNITY.noExport],
    ['no-advertise', COMMUNITY.noAdvertise],
    ['no-export-subconfed', COMMUNITY.noExportSubconfed],
    ['no-peer', COMMUNITY.noPeer],
    ['graceful-shutdown', COMMUNITY.gracefulShutdown],
    ['blackhole', COMMUNITY.blackhole],
    ['llgr-stale', COMMUNITY.llgrStale],
    ['no-llgr', COMMUNITY.noLlgr],
  ] as const) {
    equal(parseCommunity(text), community)
    equal(formatCommunity(community), text)
  }
  for (const text of ['', '1', '1:2:3', '65536:1', '1:65536', '01:1', '-1:1', '1:', ' 1:1', 'no-such', '1e3:1'])
    equal(parseCommunity(text), undefined, text)
})

test('extended communities between words and text', () => {
  for (const [text, high, low] of [
    ['rt:65001:1', 0x0002_fde9, 1],
    ['rt:65001:4294967295', 0x0002_fde9, 0xffff_ffff],
    ['rt:192.0.2.1:7', 0x0102_c000, 0x0201_0007],
    ['rt:4200000000:7', 0x0202_fa56, 0xea00_0007],
    ['ro:65001:1', 0x0003_fde9, 1],
    ['ro:255.255.255.255:65535', 0x0103_ffff, 0xffff_ffff],
    ['link-bandwidth:65001:100000000', 0x4004_fde9, 0x4cbe_bc20],
    ['link-bandwidth:65001:0', 0x4004_fde9, 0],
    ['color:100', 0x030b_0000, 100],
    ['0x0004fde94cbebc20', 0x0004_fde9, 0x4cbe_bc20],
    ['0x4004fde97fc00000', 0x4004_fde9, 0x7fc0_0000],
    ['0xffffffffffffffff', 0xffff_ffff, 0xffff_ffff],
    ['0x030b0001000000ff', 0x030b_0001, 0xff],
  ] as const) {
    deepEqual(parseExtendedCommunity(text), { high, low }, text)
    equal(formatExtendedCommunity({ high, low }), text)
  }
  for (const text of [
    '',
    'rt:',
    'rt:1',
    'rt:65536:65536',
    'rt:4294967296:1',
    'rt:192.0.2.1:65536',
    'rt:192.0.2:1',
    'rt:01:1',
    'xx:1:1',
    '0x1234',
    'color:4294967296',
    'link-bandwidth:65536:1',
    'link-bandwidth:1:1e99',
    'link-bandwidth:1:-1',
  ])
    equal(parseExtendedCommunity(text), undefined, text)
})

test('every link bandwidth that can be written can be read', () => {
  for (const rate of [1, 1.5, 125_000_000, 1e30, 1e-30]) {
    const community = linkBandwidthCommunity(65001, rate)
    equal(linkBandwidth(community.low), Math.fround(rate))
    deepEqual(parseExtendedCommunity(formatExtendedCommunity(community)), community)
  }
  for (const low of [0x8000_0000, 0xbf80_0000, 0x7f80_0000, 0x7fc0_0000, 0]) equal(linkBandwidth(low), 0)
})

test('what a route target and a link bandwidth are', () => {
  deepEqual([0x0002_fde9, 0x0102_0000, 0x0202_0000, 0x4002_0000, 0x0302_0000, 0x0003_0000].map(isRouteTarget), [
    true,
    true,
    true,
    false,
    false,
    false,
  ])
  deepEqual([0x4004_0000, 0x0004_0000, 0x4104_0000, 0x4002_0000].map(isLinkBandwidth), [true, true, false, false])
  deepEqual([0x00, 0x40, 0x80, 0xc0].map(isTransitiveType), [true, false, true, false])
})

test('large communities between words and text', () => {
  const large = { global: 4_200_000_000, local1: 0, local2: 0xffff_ffff }
  equal(formatLargeCommunity(large), '4200000000:0:4294967295')
  deepEqual(parseLargeCommunity('4200000000:0:4294967295'), large)
  for (const text of ['', '1:2', '1:2:3:4', '1:2:4294967296', '1:02:3', 'a:b:c'])
    equal(parseLargeCommunity(text), undefined, text)
})

test('route distinguishers between words and text', () => {
  for (const [text, high, low] of [
    ['65001:100', 0x0000_fde9, 100],
    ['192.0.2.1:7', 0x0001_c000, 0x0201_0007],
    ['4200000000:7', 0x0002_fa56, 0xea00_0007],
    ['0x0003000000000001', 0x0003_0000, 1],
  ] as const) {
    equal(formatDistinguisher(high, low), text)
    deepEqual(parseDistinguisher(text), { high, low })
  }
  equal(parseDistinguisher('65001'), undefined)
})
