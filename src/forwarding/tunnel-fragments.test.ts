/** IPv6 packets of up to 1,280 bytes over paths that take less: the tunnel is cut, and its far end puts it together. */

import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { icmpv6, icmpv6Echo, ipv6, type Layer, tcp, udp } from '../wire/build.ts'
import { ICMPV6_TYPE } from '../wire/icmpv6.ts'
import { PROTOCOL } from '../wire/ipv4.ts'
import type { MemoryNode } from './memory-node.ts'
import { conserved, node, OUTER_IP, segmentOfTcp } from './node-harness.ts'
import { fromCustomer } from './sample-packets.ts'
import { ACME, INITECH } from './sample-site.ts'

const CUSTOMER = '2001:db8:a::3'
/** Their hosts take GRE with bare IP, GRE with Ethernet, VXLAN. */
const MACHINES = ['2001:db8:16::5', '2001:db8:16::6', '2001:db8:16::7'] as const
const GATEWAY = '2001:db8:1::1'

const packetOf = (bytes: number, hopLimit: number, destination: string = MACHINES[0]) =>
  ipv6(
    { source: CUSTOMER, destination, hopLimit },
    udp(
      {},
      Uint8Array.from({ length: bytes - 48 }, (_, i) => i),
    ),
  )

interface Piece {
  readonly id: number
  readonly offset: number
  readonly more: boolean
  /** What the whole packet's fields are taken from: protocol and addresses. */
  readonly protocol: number
  readonly payload: Uint8Array
}

const underlays = [
  { version: 4, tenant: ACME, header: 20, smallest: 576 },
  { version: 6, tenant: INITECH, header: 40, smallest: 1280 },
] as const

function pieceOf(frame: Uint8Array, version: 4 | 6): Piece {
  const ip = frame.subarray(OUTER_IP)
  const view = new DataView(ip.buffer, ip.byteOffset)
  if (version === 4) {
    const flags = view.getUint16(6)
    equal(flags & 0x4000, 0, 'nobody on the way is told not to cut it further')
    equal(view.getUint16(2), ip.length)
    const at = { id: view.getUint16(4), offset: (flags & 0x1fff) * 8, more: (flags & 0x2000) !== 0 }
    return { ...at, protocol: ip[9]!, payload: ip.subarray(20) }
  }
  equal(ip[6], PROTOCOL.fragment)
  equal(view.getUint16(4), ip.length - 40)
  const offsetMore = view.getUint16(42)
  const at = { id: view.getUint32(44), offset: offsetMore & 0xfff8, more: (offsetMore & 1) !== 0 }
  return { ...at, protocol: ip[40]!, payload: ip.subarray(48) }
}

/** The tunnel's payload: from UDP or GRE on. */
function together(frames: readonly Uint8Array[], version: 4 | 6, mtu: number): Uint8Array {
  const pieces = frames.map((frame) => pieceOf(frame, version))
  const whole: number[] = []
  for (const [i, { id, offset, more, protocol, payload }] of pieces.entries()) {
    ok(frames[i]!.length - OUTER_IP <= mtu, `${frames[i]!.length}`)
    deepEqual([id, protocol, offset, more], [pieces[0]!.id, pieces[0]!.protocol, whole.length, i < pieces.length - 1])
    whole.push(...payload)
  }
  return Uint8Array.from(whole)
}

for (const { version, tenant, header, smallest } of underlays)
  describe(`over an underlay of IPv${version}`, () => {
    const send = (site: MemoryNode, packet: Layer) => site.send(fromCustomer(packet, tenant.vni))
    const { name } = tenant

    for (const mtu of [smallest, 1300])
      for (const machine of MACHINES)
        test(`whose path takes ${mtu} bytes a packet of 1,280 reaches ${machine} all the same`, () => {
          const site = node(mtu)
          const sent = send(site, packetOf(1280, 64, machine))
          const whole = together(sent, version, mtu)
          const arrived = packetOf(1280, 63, machine).bytes
          deepEqual(whole.subarray(-1280), arrived)
          // The same headers in front as over a path that takes it whole.
          const [plain] = send(node(1600), packetOf(1280, 64, machine))
          const plainPayload = plain!.slice(OUTER_IP + header)
          deepEqual(whole, plainPayload)
          equal(site.totals(name)!.drops['too-big'], undefined)
          conserved(site)
        })

    test('two packets of a flow are told apart', () => {
      const site = node(smallest)
      const [first] = send(site, packetOf(1280, 64))
      const [second] = send(site, packetOf(1280, 64))
      notEqual(pieceOf(first!, version).id, pieceOf(second!, version).id)
    })

    test('the smallest MTU that a sender is told is 1,280', () => {
      const site = node(smallest)
      const packet = packetOf(1281, 64)
      const sent = send(site, packet)
      const error = icmpv6({ type: ICMPV6_TYPE.packetTooBig, rest: 1280 }, packet.bytes.slice(0, 1232))
      const reply = ipv6({ source: GATEWAY, destination: CUSTOMER, trafficClass: 0xc0 }, error)
      // The error itself has 1,280 bytes.
      deepEqual(together(sent, version, smallest).subarray(-1280), reply.bytes)
      deepEqual(site.totals(name)!.drops, { 'too-big': 1 })
      conserved(site)
    })

    test('pings of the gateway that may be as large as that are answered', () => {
      const site = node(smallest)
      for (const [source, destination] of [
        [CUSTOMER, GATEWAY],
        ['fe80::c', 'fe80::67:68ff:fe00:1'],
      ] as const) {
        const ping = (bytes: number) => ipv6({ source, destination }, icmpv6Echo({}, new Uint8Array(bytes - 48)))
        const reply = ipv6(
          { source: destination, destination: source },
          icmpv6Echo({ reply: true }, new Uint8Array(1280 - 48)),
        )
        deepEqual(together(send(site, ping(1280)), version, smallest).subarray(-1280), reply.bytes)
        deepEqual(send(site, ping(1281)), [])
      }
      deepEqual(site.totals(name)!.drops, { 'too-big': 2 })
      conserved(site)
    })

    test('a batch of errors that have to be cut leaves whole', () => {
      const site = node(smallest)
      const late = packetOf(1280, 1)
      const sent = site.send(...Array.from({ length: 64 }, () => fromCustomer(late, tenant.vni)))
      const pieces = sent.map((frame) => pieceOf(frame, version))
      equal(pieces.filter(({ offset }) => offset === 0).length, 64)
      equal(pieces.filter(({ more }) => !more).length, 64)
      deepEqual(site.totals(name)!.drops, { 'ttl-exceeded': 64 })
      conserved(site)
    })

    test('and TCP is told of a segment size that spares it all this', () => {
      const site = node(1300)
      const syn = (mss: number) => tcp({ sourcePort: 40_000, destinationPort: 80, flags: 0x02, mss })
      const [frame] = send(site, ipv6({ source: CUSTOMER, destination: MACHINES[0] }, syn(1440)))
      const overhead = header + 8 + 8 + 14 + 60
      equal(new DataView(frame!.buffer).getUint16(frame!.length - 2), 1300 - overhead)
      const [data] = send(
        site,
        ipv6({ source: CUSTOMER, destination: MACHINES[0] }, tcp({}, new Uint8Array(1300 - overhead))),
      )
      ok(data!.length <= OUTER_IP + 1300)
    })
  })

test('what still fits is not cut', () => {
  const site = node(1280)
  const sent = site.send(fromCustomer(ipv6({ source: CUSTOMER, destination: MACHINES[0] }, segmentOfTcp)))
  equal(sent.length, 1)
  equal(sent[0]![OUTER_IP + 6]! & 0x40, 0x40)
})
