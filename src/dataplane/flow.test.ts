import { equal, notEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from '../wire/build.ts'
import { ICMP_TYPE } from '../wire/icmp.ts'
import { ICMPV6_TYPE } from '../wire/icmpv6.ts'
import { flowHash4, flowHash6, flowHashEthernet } from './flow.ts'

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const hash4 = (packet: build.Layer): number => flowHash4(viewOf(packet.bytes), 0, packet.bytes.length)
const hash6 = (packet: build.Layer): number => flowHash6(viewOf(packet.bytes), 0, packet.bytes.length)

/** The same in both versions: how a packet is drawn, and hashed. */
const versions = [
  {
    name: 'IPv4',
    a: '10.0.0.1',
    b: '10.0.0.2',
    draw: (source: string, destination: string, payload: build.Payload) => build.ipv4({ source, destination }, payload),
    fragment: (source: string, destination: string, offset: number, payload: build.Payload) =>
      build.ipv4({ source, destination, fragmentOffset: offset, moreFragments: offset === 0 }, payload),
    hash: hash4,
    echo: build.icmpEcho,
    error: (about: build.Layer) => build.icmpError({ type: ICMP_TYPE.timeExceeded }, about),
  },
  {
    name: 'IPv6',
    a: '2001:db8::1',
    b: '2001:db8::2',
    draw: (source: string, destination: string, payload: build.Payload) => build.ipv6({ source, destination }, payload),
    fragment: (source: string, destination: string, offset: number, payload: build.Payload) =>
      build.ipv6({ source, destination, extensions: [build.fragment6({ offset, more: offset === 0 })] }, payload),
    hash: hash6,
    echo: build.icmpv6Echo,
    error: (about: build.Layer) => build.icmpv6({ type: ICMPV6_TYPE.timeExceeded }, about.bytes),
  },
] as const

for (const { name, a, b, draw, fragment, hash, echo, error } of versions) {
  test(`${name}: both directions of a connection are one flow, another port or protocol is another`, () => {
    for (const transport of [build.udp, build.tcp]) {
      const there = hash(draw(a, b, transport({ sourcePort: 1000, destinationPort: 53 })))
      equal(hash(draw(b, a, transport({ sourcePort: 53, destinationPort: 1000 }))), there)
      notEqual(hash(draw(a, b, transport({ sourcePort: 1001, destinationPort: 53 }))), there)
      notEqual(hash(draw(a, b, transport({ sourcePort: 1000, destinationPort: 54 }))), there)
    }
    const ports = { sourcePort: 1000, destinationPort: 53 }
    notEqual(hash(draw(a, b, build.udp(ports))), hash(draw(a, b, build.tcp(ports))))
  })

  test(`${name}: all fragments of a packet are one flow, in both directions`, () => {
    const first = hash(fragment(a, b, 0, build.udp({ sourcePort: 1000, destinationPort: 53 }, new Uint8Array(64))))
    const later = build.udp({ sourcePort: 7, destinationPort: 8 })
    equal(hash(fragment(a, b, 1480, later)), first)
    equal(hash(fragment(b, a, 1480, later)), first)
  })

  test(`${name}: a ping and its answer are one flow, another identifier is another`, () => {
    const ping = hash(draw(a, b, echo({ identifier: 5, sequence: 1 })))
    equal(hash(draw(b, a, echo({ identifier: 5, sequence: 9, reply: true }))), ping)
    notEqual(hash(draw(a, b, echo({ identifier: 6, sequence: 1 }))), ping)
  })

  test(`${name}: an ICMP error goes with the flow that it is about, whoever sends it`, () => {
    const packet = draw(a, b, build.udp({ sourcePort: 1000, destinationPort: 53 }, new Uint8Array(30)))
    const router = name === 'IPv4' ? '10.9.9.9' : '2001:db8:9::9'
    equal(hash(draw(router, a, error(packet))), hash(packet))
    const cut = { ...packet, bytes: packet.bytes.subarray(0, packet.bytes.length - 25) }
    equal(hash(draw(router, a, error(cut))), hash(packet))
    const ping = draw(a, b, echo({ identifier: 5, sequence: 1 }))
    equal(hash(draw(router, a, error(ping))), hash(ping), 'a ping is a flow too')
  })

  test(`${name}: what is cut at any byte behind the header is hashed without reading on`, () => {
    for (const payload of [build.tcp({}), echo({}), error(draw(a, b, build.udp({})))]) {
      const { bytes } = draw(a, b, payload)
      const header = name === 'IPv4' ? 20 : 40
      for (let end = header; end <= bytes.length; end++) {
        const cut = { bytes: bytes.slice(0, end) }
        ok(Number.isInteger(hash(cut)), `cut at ${end}`)
      }
    }
  })

  test(`${name}: flows spread evenly over eight workers`, () => {
    const counts = new Array<number>(8).fill(0)
    for (let port = 0; port < 4000; port++)
      counts[hash(draw(a, b, build.tcp({ sourcePort: 1024 + port, destinationPort: 443 }))) >>> 29]!++
    for (const count of counts) ok(Math.abs(count - 500) < 100, `${counts}`)
  })
}

test('an error about an error, or a quote that is no header, goes by the addresses that are there', () => {
  const echo = build.ipv4({ source: '10.0.0.1', destination: '10.0.0.2' }, build.icmpEcho())
  const about = build.ipv4({ source: '10.0.0.1', destination: '10.0.0.2' }, build.icmpError({ type: 3 }, echo))
  const one = build.ipv4({ source: '10.9.9.9', destination: '10.0.0.1' }, build.icmpError({ type: 11 }, about))
  const junk = build.ipv4(
    { source: '10.9.9.9', destination: '10.0.0.1' },
    build.icmpError({ type: 11 }, new Uint8Array(40)),
  )
  equal(hash4(one), hash4(junk))
})

test('IPv6: an error about an error is told by what is behind its extension headers', () => {
  const packet = build.ipv6({ source: '2001:db8::1', destination: '2001:db8::2' }, build.udp({ sourcePort: 1000 }))
  const error = (about: build.Layer) => build.icmpv6({ type: ICMPV6_TYPE.timeExceeded }, about.bytes)
  const routers = { source: '2001:db8:9::9', destination: '2001:db8::1' }
  const about = build.ipv6({ ...routers, extensions: [build.destinationOptions()] }, error(packet))
  const asPlain = build.ipv6(routers, error(packet))
  equal(hash6(build.ipv6(routers, error(about))), hash6(build.ipv6(routers, error(asPlain))))
  notEqual(hash6(build.ipv6(routers, error(about))), hash6(packet))
})

test('IPv4: a router that changed what it quotes has not made another flow of it', () => {
  const packet = build.ipv4({ source: '10.0.0.1', destination: '10.0.0.2' }, build.udp({ sourcePort: 1000 }))
  const changed = { ...packet, bytes: packet.bytes.slice() }
  changed.bytes[8] = 0 // The TTL, and the checksum is that of before.
  const error = build.icmpError({ type: ICMP_TYPE.timeExceeded }, changed)
  equal(hash4(build.ipv4({ source: '10.9.9.9', destination: '10.0.0.1' }, error)), hash4(packet))
})

test('what is not IP goes by its MAC addresses and type, in both directions', () => {
  const [a, b] = ['02:00:00:00:00:0a', '02:00:00:00:00:0b']
  const hash = (source: string, destination: string, etherType = 0x88b5): number =>
    flowHashEthernet(viewOf(build.ethernet({ source, destination, etherType }, new Uint8Array(46))), 0)
  equal(hash(a, b), hash(b, a))
  notEqual(hash(a, b), hash(a, b, 0x88b6))
  notEqual(hash(a, b), hash(a, '02:00:00:00:00:0c'))
})
