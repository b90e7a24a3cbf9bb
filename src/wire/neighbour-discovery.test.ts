import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import * as build from './build.ts'
import { codecSuite, faultName, framed, hex } from './codec-suite.ts'
import { Fault } from './fault.ts'
import { setBytes } from './header.ts'
import { checkIcmpv6, ICMPV6_TYPE, icmpv6 } from './icmpv6.ts'
import { ipv6 } from './ipv6.ts'
import {
  checkNeighbourDiscovery,
  linkLayerOption,
  mtuOption,
  ND_ADVERTISEMENT,
  ND_OPTION,
  neighbourAdvertisement,
  neighbourOption,
  neighbourSolicitation,
  redirect,
  routerAdvertisement,
  routerSolicitation,
} from './neighbour-discovery.ts'

const AT = 3

// All as scapy draws them.
const samples = {
  neighbourSolicitation: hex(`
    60000000 0020 3a ff  fe800000000000000000000000000001  ff0200000000000000000001ff000002
    87 00 4b5f 00000000  20010db8000000000000000000000002  01 01 020000000001`),
  neighbourAdvertisement: hex(`
    60000000 0020 3a ff  20010db8000000000000000000000002  fe800000000000000000000000000001
    88 00 39a9 e0000000  20010db8000000000000000000000002  02 01 020000000002`),
  routerSolicitation: hex(`
    60000000 0010 3a ff  fe800000000000000000000000000001  ff020000000000000000000000000002
    85 00 7a2c 00000000  01 01 020000000001`),
  routerAdvertisement: hex(`
    60000000 0018 3a ff  fe800000000000000000000000000001  ff020000000000000000000000000001
    86 00 b153 40 08 0708 00007530 000003e8  05 01 0000 000005aa`),
  redirect: hex(`
    60000000 0028 3a ff  fe800000000000000000000000000001  20010db8000000000000000000000001
    89 00 1e1f 00000000  fe800000000000000000000000000002  20010db8000500000000000000000001`),
} as const

/** What `checkIcmpv6` vouched for before; its checksum is not looked at again. */
function check(frame: DataView, at: number, end: number): number {
  return at + icmpv6.BYTES > end ? Fault.truncated : checkNeighbourDiscovery(frame, at, end, at - 40)
}

type Spoil = (frame: DataView, at: number) => void

function source(text: string): Spoil {
  return (frame, at) => setBytes(ipv6.source, frame, at - 40, parseAddress(text)!)
}

function destination(text: string): Spoil {
  return (frame, at) => setBytes(ipv6.destination, frame, at - 40, parseAddress(text)!)
}

function target(text: string): Spoil {
  return (frame, at) => setBytes(neighbourSolicitation.target, frame, at, parseAddress(text)!)
}

const wrongForAll = [
  ['hop limit 254, so a router was between', (frame, at) => ipv6.hopLimit.set(frame, at - 40, 254), 'bad-field'],
  ['code 1', (frame, at) => icmpv6.code.set(frame, at, 1), 'bad-field'],
] as [string, Spoil, 'bad-field'][]

codecSuite({
  table: neighbourSolicitation,
  check,
  sample: samples.neighbourSolicitation,
  at: 40,
  covered: 40 + neighbourSolicitation.BYTES,
  fields: { type: 135, code: 0, checksum: 0x4b5f, reserved: 0, target: parseAddress('2001:db8::2')! },
  wrong: [
    ...wrongForAll,
    ['an option of length 0', (frame, at) => frame.setUint8(at + 25, 0), 'bad-option'],
    ['an option longer than the message', (frame, at) => frame.setUint8(at + 25, 2), 'bad-option'],
    ['a multicast target', target('ff02::1'), 'bad-field'],
    ['no source, yet a source link-layer address', source('::'), 'bad-field'],
  ],
})

codecSuite({
  table: neighbourAdvertisement,
  check,
  sample: samples.neighbourAdvertisement,
  at: 40,
  covered: 40 + neighbourAdvertisement.BYTES,
  fields: { type: 136, code: 0, checksum: 0x39a9, flags: 0xe0000000, target: parseAddress('2001:db8::2')! },
  wrong: [
    ...wrongForAll,
    ['an option of length 0', (frame, at) => frame.setUint8(at + 25, 0), 'bad-option'],
    ['a multicast target', target('ff02::1'), 'bad-field'],
    ['solicited, yet sent to all', destination('ff02::1'), 'bad-field'],
  ],
})

codecSuite({
  table: routerSolicitation,
  check,
  sample: samples.routerSolicitation,
  at: 40,
  covered: 40 + routerSolicitation.BYTES,
  fields: { type: 133, code: 0, checksum: 0x7a2c, reserved: 0 },
  wrong: [
    ...wrongForAll,
    ['an option of length 0', (frame, at) => frame.setUint8(at + 9, 0), 'bad-option'],
    ['no source, yet a source link-layer address', source('::'), 'bad-field'],
  ],
})

codecSuite({
  table: routerAdvertisement,
  check,
  sample: samples.routerAdvertisement,
  at: 40,
  covered: 40 + routerAdvertisement.BYTES,
  fields: {
    type: 134,
    code: 0,
    checksum: 0xb153,
    currentHopLimit: 64,
    flags: 8,
    routerLifetime_s: 1800,
    reachableTime_ms: 30000,
    retransTimer_ms: 1000,
  },
  wrong: [
    ...wrongForAll,
    ['an option longer than the message', (frame, at) => frame.setUint8(at + 17, 2), 'bad-option'],
    ['a source that is not link-local', source('2001:db8::1'), 'bad-field'],
  ],
})

codecSuite({
  table: redirect,
  check,
  sample: samples.redirect,
  at: 40,
  covered: 40 + redirect.BYTES,
  fields: {
    type: 137,
    code: 0,
    checksum: 0x1e1f,
    reserved: 0,
    target: parseAddress('fe80::2')!,
    destination: parseAddress('2001:db8:5::1')!,
  },
  wrong: [
    ...wrongForAll,
    ['a source that is not link-local', source('2001:db8::1'), 'bad-field'],
    ['a multicast destination', (frame, at) => frame.setUint8(at + 24, 0xff), 'bad-field'],
    ['a type that is not of neighbour discovery', (frame, at) => frame.setUint8(at, 138), 'unknown-protocol'],
  ],
})

// The options' own bytes; their message's check is the one above.
codecSuite({
  table: linkLayerOption,
  check: (frame, at, end) => (at > end - linkLayerOption.BYTES ? Fault.truncated : check(frame, at - 24, end)),
  sample: samples.neighbourSolicitation,
  at: 64,
  fields: { type: ND_OPTION.sourceLinkLayer, length: 1, address: 0x020000000001 },
  wrong: [],
})

codecSuite({
  table: mtuOption,
  check: (frame, at, end) => (at > end - mtuOption.BYTES ? Fault.truncated : check(frame, at - 16, end)),
  sample: samples.routerAdvertisement,
  at: 56,
  fields: { type: ND_OPTION.mtu, length: 1, reserved: 0, mtu: 1450 },
  wrong: [],
})

test('the samples are sound ICMPv6 too', () => {
  for (const sample of Object.values(samples)) {
    const frame = framed(sample)
    equal(faultName(checkIcmpv6(frame, AT + 40, frame.byteLength, AT)), 'none')
  }
})

test('options are found by type behind messages of every length', () => {
  const find = (sample: Uint8Array, type: number): number => {
    const frame = framed(sample)
    return neighbourOption(frame, AT + 40, frame.byteLength, type)
  }
  equal(find(samples.neighbourSolicitation, ND_OPTION.sourceLinkLayer), AT + 64)
  equal(find(samples.neighbourAdvertisement, ND_OPTION.targetLinkLayer), AT + 64)
  equal(find(samples.routerSolicitation, ND_OPTION.sourceLinkLayer), AT + 48)
  equal(find(samples.routerAdvertisement, ND_OPTION.mtu), AT + 56)
  equal(find(samples.redirect, ND_OPTION.mtu), 0)
  equal(find(samples.neighbourSolicitation, ND_OPTION.mtu), 0)
})

test('a node without an address asks all that could have it, and nobody else', () => {
  const judge = (options: build.Ipv6Options): string => {
    const message = build.neighbourSolicitation({ target: '2001:db8::2' })
    const frame = framed(build.ipv6({ source: '::', hopLimit: 255, ...options }, message).bytes)
    return faultName(check(frame, AT + 40, frame.byteLength))
  }
  equal(judge({ destination: 'ff02::1:ff00:2' }), 'none')
  equal(judge({ destination: '2001:db8::2' }), 'bad-field')
  equal(judge({ destination: 'ff02::1' }), 'bad-field')
  equal(judge({ destination: 'ff02::1:fe00:2' }), 'bad-field')
})

test('messages are drawn as scapy draws them', () => {
  const solicitation = build.neighbourSolicitation({ target: '2001:db8::2', sourceMac: '02:00:00:00:00:01' })
  deepEqual(
    build.ipv6({ source: 'fe80::1', destination: 'ff02::1:ff00:2', hopLimit: 255 }, solicitation).bytes,
    samples.neighbourSolicitation,
  )
  const flags = ND_ADVERTISEMENT.router + ND_ADVERTISEMENT.solicited + ND_ADVERTISEMENT.override
  const advertisement = build.neighbourAdvertisement({ target: '2001:db8::2', flags, targetMac: '02:00:00:00:00:02' })
  deepEqual(
    build.ipv6({ source: '2001:db8::2', destination: 'fe80::1', hopLimit: 255 }, advertisement).bytes,
    samples.neighbourAdvertisement,
  )
  equal(solicitation.bytes[0], ICMPV6_TYPE.neighbourSolicitation)
})
