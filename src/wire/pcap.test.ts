import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { hex } from './codec-suite.ts'
import { LINK_TYPE_ETHERNET, type PcapRecord, pcapFileHeader, pcapRecordBytes, readPcap } from './pcap.ts'

const records: PcapRecord[] = [
  { seconds: 1_700_000_000, nanoseconds: 123_456_000, bytes: hex('0102030405'), originalLength: 5 },
  { seconds: 1_700_000_001, nanoseconds: 999_999_000, bytes: hex('0a'), originalLength: 9000 },
]

// The same capture as the four kinds of machine write it.
const files = {
  'big-endian, microseconds': hex(`
    a1b2c3d4 0002 0004 00000000 00000000 00040000 00000001
    6553f100 0001e240 00000005 00000005 0102030405
    6553f101 000f423f 00000001 00002328 0a`),
  'little-endian, microseconds': hex(`
    d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000
    00f15365 40e20100 05000000 05000000 0102030405
    01f15365 3f420f00 01000000 28230000 0a`),
  'big-endian, nanoseconds': hex(`
    a1b23c4d 0002 0004 00000000 00000000 00040000 00000001
    6553f100 075bca00 00000005 00000005 0102030405
    6553f101 3b9ac618 00000001 00002328 0a`),
  'little-endian, nanoseconds': hex(`
    4d3cb2a1 0200 0400 00000000 00000000 00000400 01000000
    00f15365 00ca5b07 05000000 05000000 0102030405
    01f15365 18c69a3b 01000000 28230000 0a`),
}

for (const [kind, file] of Object.entries(files)) {
  test(`a ${kind} capture is read, also from the middle of a buffer`, () => {
    const shifted = new Uint8Array(file.length + 3)
    shifted.set(file, 3)
    deepEqual(readPcap(shifted.subarray(3)), { linkType: LINK_TYPE_ETHERNET, records, fault: undefined })
  })

  test(`a ${kind} capture cut at any byte yields the records before the cut`, () => {
    const boundaries = [24, 24 + 16 + 5, 24 + 16 + 5 + 16 + 1]
    for (let length = 0; length <= file.length; length++) {
      const { records: read, fault } = readPcap(file.subarray(0, length))
      equal(fault, length < 24 ? 'not-pcap' : boundaries.includes(length) ? undefined : 'cut', `cut at ${length}`)
      deepEqual(read, records.slice(0, boundaries.filter((end) => end > 24 && end <= length).length))
    }
  })
}

test('what is written is the big-endian capture in nanoseconds', () => {
  const written = [pcapFileHeader(), ...records.map(pcapRecordBytes)]
  deepEqual(Uint8Array.from(written.flatMap((part) => [...part])), files['big-endian, nanoseconds'])
})

test('files that are not captures, or corrupt ones, are named', () => {
  const spoilt = (at: number, bytes: string): unknown => {
    const file = files['big-endian, microseconds'].slice()
    file.set(hex(bytes), at)
    const { records: read, fault } = readPcap(file)
    return [fault, read.length]
  }
  deepEqual(spoilt(0, '0a0d0d0a'), ['not-pcap', 0])
  deepEqual(spoilt(4, '0003'), ['bad-version', 0])
  deepEqual(spoilt(6, '0003'), ['bad-version', 0])
  deepEqual(spoilt(24 + 8, 'ffffffff'), ['bad-record', 0])
  deepEqual(spoilt(24 + 8, 'ffffffff ffffffff'), ['bad-record', 0])
  deepEqual(spoilt(24 + 8, '00000006'), ['bad-record', 0])
  deepEqual(spoilt(24 + 21 + 8, '00002328'), ['cut', 1])
})

test('the link type is read without the bits above it', () => {
  const file = files['big-endian, microseconds'].slice()
  file.set(hex('f4000065'), 20)
  equal(readPcap(file).linkType, 101)
})

test('a record that no reader would take is not written', () => {
  throws(() => pcapRecordBytes({ seconds: 0, nanoseconds: 0, bytes: hex('0102'), originalLength: 1 }), /2 bytes/)
})
