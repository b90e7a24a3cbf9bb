import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from '../wire/build.ts'
import { ICMP_TYPE } from '../wire/icmp.ts'
import { ICMPV6_TYPE } from '../wire/icmpv6.ts'
import { mayReportTo4, mayReportTo6, writeIcmpError, writeIcmpv6Error } from './icmp-error.ts'

const viewOf = ({ bytes }: build.Layer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const may4 = (packet: build.Layer): boolean => mayReportTo4(viewOf(packet), 0, packet.bytes.length)
const may6 = (packet: build.Layer, tooBig = false): boolean =>
  mayReportTo6(viewOf(packet), 0, packet.bytes.length, tooBig)

const query = build.udp({}, build.text('question'))

test('IPv4: the sender of a packet, a ping or a first fragment may be told', () => {
  equal(may4(build.ipv4({}, query)), true)
  equal(may4(build.ipv4({ moreFragments: true }, query)), true)
  for (const reply of [false, true]) equal(may4(build.ipv4({}, build.icmpEcho({ reply }))), true)
})

test('IPv4: not the sender of an error, of a later fragment or to a group, and nobody who is no one sender', () => {
  for (const type of [3, 4, 5, 11, 12])
    equal(may4(build.ipv4({}, build.icmpError({ type }, build.ipv4({}, query)))), false)
  equal(may4(build.ipv4({}, { bytes: new Uint8Array(0), protocol: 1 })), false, 'ICMP of which nothing is there')
  equal(may4(build.ipv4({ fragmentOffset: 8 }, query)), false)
  for (const destination of ['224.0.0.5', '255.255.255.255', '0.0.0.0', '127.0.0.1'])
    equal(may4(build.ipv4({ destination }, query)), false)
  for (const source of ['224.0.0.5', '240.0.0.1', '255.255.255.255', '0.0.0.0', '127.0.0.1'])
    equal(may4(build.ipv4({ source }, query)), false)
})

test('IPv6: the sender of a packet, a ping or a first fragment may be told', () => {
  const extensions = [build.hopByHop(), build.fragment6({ offset: 0, more: true })]
  equal(may6(build.ipv6({}, query)), true)
  equal(may6(build.ipv6({ extensions }, query)), true)
  equal(may6(build.ipv6({ extensions: [build.destinationOptions()] }, build.icmpv6Echo())), true)
})

test('IPv6: not the sender of an error or a redirect, wherever its header is, nor of a later fragment', () => {
  const about = build.ipv6({}, query).bytes
  for (const type of [1, 2, 3, 4, 100, 127, ICMPV6_TYPE.redirect])
    for (const extensions of [[], [build.destinationOptions()], [build.fragment6({ offset: 0, more: true })]])
      equal(may6(build.ipv6({ extensions }, build.icmpv6({ type }, about))), false, `type ${type}`)
  equal(may6(build.ipv6({ extensions: [build.fragment6({ offset: 8, more: false })] }, query)), false)
  equal(may6(build.ipv6({}, { bytes: new Uint8Array(0), protocol: 58 })), false, 'ICMPv6 of which nothing is there')
  const endless = build.ipv6({ extensions: [build.destinationOptions()] }, query)
  endless.bytes[41] = 200
  equal(may6(endless), false, 'headers without an end')
})

test('IPv6: nobody who is no one sender; and to a group only that it is too big', () => {
  for (const source of ['ff02::5', '::', '::1']) equal(may6(build.ipv6({ source }, query)), false)
  const toGroup = build.ipv6({ destination: 'ff0e::5' }, query)
  equal(may6(toGroup), false)
  equal(may6(toGroup, true), true)
})

test('an error quotes all that is there of a small packet, and of a large one what the RFCs allow', () => {
  for (const bytes of [30, 3000]) {
    const about = build.ipv4({ source: '10.0.0.7' }, build.udp({}, new Uint8Array(bytes)))
    const memory = new Uint8Array(8192).fill(0xa5)
    memory.set(about.bytes, 4096)
    const view = new DataView(memory.buffer)
    const type = ICMP_TYPE.destinationUnreachable
    const length = writeIcmpError(memory, view, 0, 4096, about.bytes.length, type, 4, 1400, 0x0a000001)
    const quoted = build.icmpError({ type, code: 4, mtu: 1400 }, about.bytes.slice(0, 576 - 28))
    const error = build.ipv4({ source: '10.0.0.1', destination: '10.0.0.7', tos: 0xc0 }, quoted)
    deepEqual(memory.slice(0, length), error.bytes)
    equal(memory[length], 0xa5)
  }
})

test('and so does one over IPv6', () => {
  for (const bytes of [30, 3000]) {
    const about = build.ipv6({ source: 'fd00::7' }, build.udp({}, new Uint8Array(bytes)))
    const memory = new Uint8Array(8192).fill(0xa5)
    memory.set(about.bytes, 4096)
    const error = build.ipv6(
      { source: 'fd00::1', destination: 'fd00::7', trafficClass: 0xc0 },
      build.icmpv6({ type: ICMPV6_TYPE.packetTooBig, rest: 1400 }, about.bytes.slice(0, 1280 - 48)),
    )
    memory.set(error.bytes.subarray(8, 24), 8) // The source address is the caller's.
    const view = new DataView(memory.buffer)
    const { packetTooBig } = ICMPV6_TYPE
    const length = writeIcmpv6Error(memory, view, 0, 4096, about.bytes.length, packetTooBig, 0, 1400)
    deepEqual(memory.slice(0, length), error.bytes)
    equal(memory[length], 0xa5)
  }
})
