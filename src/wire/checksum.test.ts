import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { freshSeed, Random } from '../base/random.ts'
import * as build from './build.ts'
import { checksum, checksumHolds, fold, pseudoHeader4, pseudoHeader6, sum16, updated16, updated32 } from './checksum.ts'
import { framed, hex } from './codec-suite.ts'

const AT = 3

/** RFC 1071 section 4.1, word by word. */
function slowSum(bytes: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum % 65536) + Math.floor(sum / 65536)
  return sum
}

test('the example of RFC 1071 section 3 adds up to ddf2', () => {
  equal(sum16(framed(hex('00 01 f2 03 f4 f5 f6 f7')), AT, AT + 8), 0xddf2)
})

test('every length up to 100 sums as word by word, and stops at the end', () => {
  const seed = freshSeed()
  const random = new Random(seed)
  for (let length = 0; length <= 100; length++) {
    const bytes = random.bytes(length)
    const behind = framed(new Uint8Array([...bytes, 0xff, 0xff]))
    equal(sum16(behind, AT, AT + length), slowSum(bytes), `${length} bytes, seed ${seed}`)
  }
})

test('128 KB of ones do not overflow', () => {
  const bytes = new Uint8Array(131_072).fill(0xff)
  equal(sum16(framed(bytes), AT, AT + bytes.length), 0xffff)
})

test('carries of carries are added in', () => {
  equal(fold(0x1fffe), 0xffff)
  equal(fold(0x1ffff), 1)
  equal(fold(0xffffffff), 0xffff)
  equal(fold(0xfffe0002), 1)
})

test('a changed word changes the checksum as if all were summed again', () => {
  const seed = freshSeed()
  const random = new Random(seed)
  const frame = framed(random.bytes(40))
  for (let i = 0; i < 2000; i++) {
    const before = checksum(frame, AT, AT + 40)
    const at = AT + 2 * random.below(19)
    const edge = random.pick([0, 0xffff, 0x10000, 0xffff0000, 0xffffffff, random.u32()])
    const was32 = frame.getUint32(at)
    frame.setUint32(at, edge)
    equal(updated32(before, was32, edge), checksum(frame, AT, AT + 40), `seed ${seed}`)
    const between = checksum(frame, AT, AT + 40)
    const was16 = frame.getUint16(at)
    frame.setUint16(at, edge >>> 16)
    equal(updated16(between, was16, edge >>> 16), checksum(frame, AT, AT + 40), `seed ${seed}`)
    frame.setUint16(at, random.u32())
  }
})

test('the example of RFC 1624 section 4: dd2f, 5555 becomes 3285, is 0000 and not ffff', () => {
  equal(updated16(0xdd2f, 0x5555, 0x3285), 0x0000)
})

test('pseudo-headers make UDP, TCP and ICMPv6 hold', () => {
  const holds4 = (layer: build.Layer): boolean => {
    const packet = framed(build.ipv4({ source: '255.255.255.255', destination: '203.0.113.9' }, layer).bytes)
    const bytes = packet.byteLength - AT - 20
    return checksumHolds(packet, AT + 20, packet.byteLength, pseudoHeader4(packet, AT, layer.protocol!, bytes))
  }
  const holds6 = (layer: build.Layer): boolean => {
    const packet = framed(build.ipv6({ source: 'ffff::ffff', destination: '2001:db8::9' }, layer).bytes)
    const bytes = packet.byteLength - AT - 40
    return checksumHolds(packet, AT + 40, packet.byteLength, pseudoHeader6(packet, AT, layer.protocol!, bytes))
  }
  for (const length of [0, 1, 2, 15, 16, 17, 1400]) {
    const data = new Uint8Array(length).fill(0xfe)
    equal(holds4(build.udp({}, data)), true)
    equal(holds4(build.tcp({}, data)), true)
    equal(holds6(build.udp({}, data)), true)
    equal(holds6(build.tcp({}, data)), true)
    equal(holds6(build.icmpv6Echo({}, data)), true)
  }
})
