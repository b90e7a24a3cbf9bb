import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatAddress } from '../../base/address.ts'
import { virtioHeader } from '../../linux/tun.ts'
import * as build from '../../wire/build.ts'
import { checksum, checksumHolds, pseudoHeader4, pseudoHeader6 } from '../../wire/checksum.ts'
import { checkIpv4, ipv4, PROTOCOL } from '../../wire/ipv4.ts'
import { checkIpv6, ipv6 } from '../../wire/ipv6.ts'
import { TCP_FLAG, TCP_OPTION, tcp, tcpHeaderBytes, tcpOption } from '../../wire/tcp.ts'
import { udp, udpChecksumHolds } from '../../wire/udp.ts'
import {
  framed,
  fromPeer,
  fromPeer6,
  GATEWAY,
  GATEWAY_6,
  INNER,
  INNER_6,
  PEER,
  PEER_6,
  PEER_MAC,
  RelayBed,
  type Sent,
} from './relay-bed.ts'
import { checkSignature, Signed, sign } from './signature.ts'
import { SACK, SIGNATURE, TIMESTAMPS } from './tcp-options.ts'

const ACME = `name: one, tenant: acme, address: ${PEER}`
const GLOBEX = `name: two, tenant: globex, address: ${PEER}`
const ACME_6 = `name: six, tenant: acme, address: '${PEER_6}'`
const { syn, ack, fin, rst, psh } = TCP_FLAG
const hello = build.text('hello, hello')

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Who to whom, of a packet whose checksums are right. */
function ends(packet: Uint8Array): string[] {
  const view = viewOf(packet)
  if (packet[0] === 0x45) {
    equal(checkIpv4(view, 0, packet.length), 0)
    ok(checksumHolds(view, 20, packet.length, pseudoHeader4(view, 0, PROTOCOL.tcp, packet.length - 20)), 'TCP checksum')
    return [packet.subarray(12, 16), packet.subarray(16, 20)].map(formatAddress)
  }
  equal(checkIpv6(view, 0, packet.length), 0)
  ok(checksumHolds(view, 40, packet.length, pseudoHeader6(view, 0, PROTOCOL.tcp, packet.length - 40)), 'TCP checksum')
  return [packet.subarray(8, 24), packet.subarray(24, 40)].map(formatAddress)
}

/** A segment of the kernel's to peer `number`, from our port 179 unless it is said. */
function fromKernel(
  number: number,
  options: build.TcpOptions,
  data: Uint8Array = new Uint8Array(0),
  ip: build.Ipv4Options = {},
): Uint8Array {
  const segment = build.tcp({ sourcePort: 179, destinationPort: 33_000, ...options }, data)
  return build.ipv4({ source: INNER, destination: `240.0.0.${number}`, dontFragment: true, ...ip }, segment).bytes
}

/** As the kernel leaves it to the device: the sum of the pseudo-header in the checksum's place. */
function unfinished(packet: Uint8Array): Uint8Array {
  const view = viewOf(packet)
  const at = packet[0] === 0x45 ? 20 : 40
  const pseudo = at === 20 ? pseudoHeader4 : pseudoHeader6
  tcp.checksum.set(view, at, pseudo(view, 0, PROTOCOL.tcp, packet.length - at))
  return packet
}

const needsChecksum = (more = {}): Uint8Array =>
  virtioHeader.make({ flags: 1, checksumStart: 20, checksumOffset: 16, ...more })

/** An IPv4 frame with 20 bytes of options to spare, signed in them. */
function signed(frame: Uint8Array, key: Uint8Array): Uint8Array {
  const view = viewOf(frame)
  sign(view, 14 + 12, 4, 34, frame.length, key)
  tcp.checksum.set(view, 34, 0)
  const pseudo = pseudoHeader4(view, 14, PROTOCOL.tcp, frame.length - 34)
  tcp.checksum.set(view, 34, checksum(view, 34, frame.length, pseudo))
  return frame
}

suite('from peers to the kernel', () => {
  test('two tenants with the same addresses are two peers of the kernel', () => {
    const bed = new RelayBed([ACME, GLOBEX])
    const frame = fromPeer({ flags: ack, options: Uint8Array.of(1, 1) }, {}, hello)
    deepEqual(bed.frame(7, frame).map(ends), [['240.0.0.2', INNER]])
    deepEqual(bed.frame(8, frame).map(ends), [['240.0.0.3', INNER]])
    equal(bed.relay.counters.delivered, 2)
  })

  test('IPv6 as well, and nothing but addresses and their sums changes', () => {
    const bed = new RelayBed([ACME, ACME_6])
    const [packet] = bed.frame(7, fromPeer6({ flags: ack, sequence: 7 }, { hopLimit: 3 }, hello))
    deepEqual(ends(packet!), ['fd67:6174::3', INNER_6])
    equal(ipv6.hopLimit.get(viewOf(packet!), 0), 3)
    deepEqual(packet!.subarray(60), hello)
  })

  test('a checksum that was wrong stays wrong', () => {
    const bed = new RelayBed([ACME])
    const frame = fromPeer({ flags: ack }, {}, hello)
    frame[frame.length - 1]! ^= 1
    const [packet] = bed.frame(7, frame)
    const view = viewOf(packet!)
    ok(!checksumHolds(view, 20, packet!.length, pseudoHeader4(view, 0, PROTOCOL.tcp, packet!.length - 20)))
  })

  test('a SYN is told a segment that fits the tunnel', () => {
    const bed = new RelayBed([ACME, `${GLOBEX}, password: secret`])
    const [packet] = bed.frame(7, fromPeer({ flags: syn, mss: 1460 }))
    equal(viewOf(packet!).getUint16(22 + 20), 1450 - 40)
    deepEqual(ends(packet!), ['240.0.0.2', INNER])
  })

  const refusals: [string, string, Uint8Array, { vni?: number; from?: string; neighbours?: string[] }?][] = [
    ['unknown-segment', 'of a VNI that no tenant has', fromPeer({}), { vni: 9 }],
    ['unknown-sender', 'from nobody who forwards', fromPeer({}), { from: '10.0.9.9' }],
    ['stranger', 'from somebody else on the segment', fromPeer({}, { source: '192.168.1.3' })],
    ['stranger-connects', 'that wants to connect and is nobody', fromPeer({ flags: syn }, { source: '192.168.1.3' })],
    ['wrong-local-address', 'to another address of ours', fromPeer({}, { destination: '192.168.1.9' })],
    [
      'not-for-us',
      'to another MAC address',
      build.ethernet(
        { destination: PEER_MAC },
        build.ipv4({ source: PEER, destination: GATEWAY }, build.tcp({ destinationPort: 179 })),
      ),
    ],
    ['not-a-session', 'of another port', fromPeer({ destinationPort: 22 })],
    ['not-a-session', 'that connects from our port', fromPeer({ flags: syn, sourcePort: 179, destinationPort: 22 })],
    ['fragment', 'in fragments', fromPeer({}, { moreFragments: true })],
    ['ip-options', 'with IP options', fromPeer({}, { options: Uint8Array.of(1, 1, 1, 1) })],
    ['malformed', 'with SYN and FIN', fromPeer({ flags: syn | fin })],
    ['malformed', 'that ends too early', fromPeer({}).subarray(0, 40)],
    [
      'too-far',
      'from further away than GTSM allows',
      fromPeer({}, { ttl: 253 }),
      { neighbours: [`${ACME}, ttl_security_hops: 2`] },
    ],
    ['unsigned', 'without a signature', fromPeer({}), { neighbours: [`${ACME}, password: secret`] }],
    [
      'wrong-signature',
      'with a wrong one',
      fromPeer({ options: Uint8Array.of(19, 18, ...new Uint8Array(16)) }),
      { neighbours: [`${ACME}, password: secret`] },
    ],
    [
      'unexpected-signature',
      'with one that nobody asked for',
      fromPeer({ options: Uint8Array.of(19, 18, ...new Uint8Array(16)) }),
    ],
  ]
  for (const [reason, what, frame, { vni = 7, from, neighbours = [ACME] } = {}] of refusals)
    test(`a packet ${what} is counted as ${reason}`, () => {
      const bed = new RelayBed(neighbours)
      deepEqual(bed.frame(vni, frame, from), [])
      deepEqual(bed.relay.counters.show().refused, { [reason]: 1 })
      deepEqual(bed.sent(), [])
    })

  test('forwarding nodes may send from their own addresses, and GTSM lets its neighbours in', () => {
    const bed = new RelayBed([`${ACME}, ttl_security_hops: 2`])
    equal(bed.frame(7, fromPeer({}, { ttl: 254 }), '10.0.1.1').length, 1)
  })

  test('a neighbour that connects without end is let in a few times a second', () => {
    const bed = new RelayBed([ACME, GLOBEX])
    let passed = 0
    for (let i = 0; i < 10_000; i++) passed += bed.frame(7, fromPeer({ flags: syn, sourcePort: 1024 + i })).length
    equal(passed, 10)
    equal(bed.refused('connects-too-often'), 9990)
    equal(bed.frame(8, fromPeer({ flags: syn })).length, 1)
    bed.clock.advance(1000)
    equal(bed.frame(7, fromPeer({ flags: syn })).length, 1)
  })

  test('the kernel has no room', () => {
    const bed = new RelayBed([ACME])
    bed.isKernelFull = true
    bed.frame(7, fromPeer({}))
    equal(bed.refused('kernel-full'), 1)
  })

  test("a session that is another node's is left to it, until that one is gone", () => {
    const neighbours = Array.from({ length: 20 }, (_, i) => `name: n${i}, tenant: acme, address: 192.168.1.${10 + i}`)
    const bed = new RelayBed(neighbours, ['rt-1', 'rt-2'])
    const held = (): number =>
      neighbours.reduce((sum, _, i) => sum + bed.frame(7, fromPeer({}, { source: `192.168.1.${10 + i}` })).length, 0)
    const shared = held()
    ok(shared > 3 && shared < 17, `${shared}`)
    equal(bed.refused('elsewhere'), 20 - shared)
    bed.relay.setMembers(['rt-1'])
    equal(held(), 20)
    bed.relay.setMembers(['rt-2'])
    equal(held(), 0)
  })

  test('BFD is translated with its TTL, and only for neighbours', () => {
    const bed = new RelayBed([ACME])
    const about = { source: PEER, destination: GATEWAY, ttl: 255 }
    const [packet] = bed.frame(7, framed(build.ipv4(about, build.udp({ destinationPort: 3784 }, build.bfd()))))
    const view = viewOf(packet!)
    equal(ipv4.ttl.get(view, 0), 255)
    equal(formatAddress(packet!.subarray(12, 16)), '240.0.0.2')
    ok(udpChecksumHolds(view, 20, pseudoHeader4(view, 0, PROTOCOL.udp, udp.length.get(view, 20))))
    bed.frame(
      7,
      framed(build.ipv4({ ...about, source: '192.168.1.3' }, build.udp({ destinationPort: 3784 }, build.bfd()))),
    )
    equal(bed.refused('stranger'), 1)
  })

  test('the ICMP of the other version of IP is no word to us, however short it is', () => {
    const bed = new RelayBed([ACME, ACME_6])
    const stub = { bytes: new Uint8Array(4), protocol: PROTOCOL.icmpv6 }
    deepEqual(bed.frame(7, framed(build.ipv4({ source: PEER, destination: GATEWAY }, stub))), [])
    const other = { bytes: build.icmpEcho({ reply: true }).bytes, protocol: PROTOCOL.icmp }
    deepEqual(bed.frame(7, framed(build.ipv6({ source: PEER_6, destination: GATEWAY_6 }, other))), [])
    equal(bed.refused('not-a-session'), 2)
  })

  test("BFD's echo packets pass from one end to the other", () => {
    const bed = new RelayBed([ACME, ACME_6])
    const echo = build.udp({ sourcePort: 49_152, destinationPort: 3785 }, build.text('echo'))
    const six = build.ipv6({ source: PEER_6, destination: GATEWAY_6, hopLimit: 254 }, echo)
    const [packet] = bed.frame(7, framed(six))
    equal(formatAddress(packet!.subarray(8, 24)), 'fd67:6174::3')
    const [four] = bed.frame(7, framed(build.ipv4({ source: PEER, destination: GATEWAY, ttl: 254 }, echo)))
    equal(formatAddress(four!.subarray(12, 16)), '240.0.0.2')
    equal(ipv4.ttl.get(viewOf(four!), 0), 254)
    bed.frame(7, framed(build.ipv4({ source: '192.168.1.3', destination: GATEWAY }, echo)))
    equal(bed.refused('stranger'), 1)
  })
})

suite('from the kernel to peers', () => {
  test('a segment goes to the tenant that the address stands for, from the gateway', () => {
    const bed = new RelayBed([ACME, GLOBEX])
    bed.introduce(8)
    const [sent] = bed.packet(fromKernel(3, { flags: ack }, hello, { tos: 0xc0 }))
    deepEqual([sent!.vni, sent!.destination, sent!.tos], [8, PEER_MAC, 0xc0])
    deepEqual(ends(sent!.packet), [GATEWAY, PEER])
    ok(sent!.port >= 0xc000)
    deepEqual(sent!.packet.subarray(40), hello)
  })

  test('what the kernel left of a checksum is finished, over IPv6 too', () => {
    const bed = new RelayBed([ACME, ACME_6])
    bed.introduce(7)
    const [sent] = bed.packet(unfinished(fromKernel(2, { flags: ack }, hello)), needsChecksum())
    deepEqual(ends(sent!.packet), [GATEWAY, PEER])
    const about = { target: PEER_6, flags: 0x60000000, targetMac: PEER_MAC }
    const told = build.ipv6(
      { source: PEER_6, destination: GATEWAY_6, hopLimit: 255 },
      build.neighbourAdvertisement(about),
    )
    bed.frame(7, framed(told))
    const segment = build.tcp({ sourcePort: 179, destinationPort: 33_000 }, hello)
    const packet = build.ipv6({ source: INNER_6, destination: 'fd67:6174::3' }, segment).bytes
    const [six] = bed.packet(unfinished(packet), needsChecksum({ checksumStart: 40 }))
    deepEqual(ends(six!.packet), [GATEWAY_6, PEER_6])
  })

  test('TTL 1 to external neighbours, 64 to internal ones, 255 where GTSM is', () => {
    for (const [more, ttl] of [
      ['', 1],
      [', ttl_security_hops: 1', 255],
    ] as const) {
      const bed = new RelayBed([ACME + more])
      bed.introduce(7)
      const [sent] = bed.packet(fromKernel(2, { flags: ack }))
      deepEqual(ends(sent!.packet), [GATEWAY, PEER])
      equal(ipv4.ttl.get(viewOf(sent!.packet), 0), ttl)
    }
    const internal = new RelayBed([`${ACME}, as: 65001`])
    internal.introduce(7)
    equal(ipv4.ttl.get(viewOf(internal.packet(fromKernel(2, { flags: ack }))[0]!.packet), 0), 64)
  })

  test('a train is cut into segments, each whole', () => {
    const bed = new RelayBed([ACME])
    bed.introduce(7)
    const data = Uint8Array.from({ length: 3000 }, (_, i) => i)
    const flags = ack | psh | TCP_FLAG.cwr
    const train = unfinished(fromKernel(2, { flags, sequence: 0xffffff00 }, data, { id: 0xffff }))
    const sent = bed.packet(train, needsChecksum({ segmentation: 1, segmentBytes: 1400, headerBytes: 40 }))
    deepEqual(
      sent.map(({ packet }) => ends(packet)),
      Array(3).fill([GATEWAY, PEER]),
    )
    const views = sent.map(({ packet }) => viewOf(packet))
    deepEqual(
      views.map((view) => tcp.sequence.get(view, 20)),
      [0xffffff00, 0xffffff00 + 1400 - 2 ** 32, 0xffffff00 + 2800 - 2 ** 32],
    )
    deepEqual(
      views.map((view) => ipv4.id.get(view, 0)),
      [0xffff, 0, 1],
    )
    deepEqual(
      views.map((view) => tcp.flags.get(view, 20)),
      [ack | TCP_FLAG.cwr, ack, ack | psh],
    )
    deepEqual(Buffer.concat(sent.map(({ packet }) => packet.subarray(40))), Buffer.from(data))
  })

  test('what was agreed on before the way became narrower is cut to what fits now', () => {
    const bed = new RelayBed([ACME])
    bed.introduce(7)
    const data = Uint8Array.from({ length: 1410 }, (_, i) => i)
    const whole = unfinished(fromKernel(2, { flags: ack | psh, sequence: 1000 }, data))
    const train = unfinished(fromKernel(2, { flags: ack }, new Uint8Array(2820)))
    const lengths = (sent: Sent[]): number[] => sent.map(({ packet }) => packet.length)
    deepEqual(lengths(bed.packet(whole, needsChecksum())), [1450])
    bed.packetMax = 1300
    bed.relay.measure()
    const sent = bed.packet(whole, needsChecksum())
    for (const { packet } of sent) deepEqual(ends(packet), [GATEWAY, PEER])
    deepEqual(lengths(sent), [1300, 40 + 150])
    deepEqual(
      sent.map(({ packet }) => [tcp.sequence.get(viewOf(packet), 20), tcp.flags.get(viewOf(packet), 20)]),
      [
        [1000, ack],
        [2260, ack | psh],
      ],
    )
    deepEqual(Buffer.concat(sent.map(({ packet }) => packet.subarray(40))), Buffer.from(data))
    const header = needsChecksum({ segmentation: 1, segmentBytes: 1410, headerBytes: 40 })
    deepEqual(lengths(bed.packet(train, header)), [1300, 1300, 340])
    // Another site file asks anew, too.
    bed.packetMax = 1450
    bed.take([ACME])
    deepEqual(lengths(bed.packet(train, header)), [1450, 1450])
  })

  test('one flow keeps to one path, and others take others', () => {
    const bed = new RelayBed([ACME, GLOBEX])
    bed.introduce(7)
    bed.introduce(8)
    const port = (number: number, destinationPort: number): number =>
      bed.packet(fromKernel(number, { destinationPort }))[0]!.port
    equal(port(2, 33_000), port(2, 33_000))
    notEqual(port(2, 33_000), port(2, 33_001))
    notEqual(port(2, 33_000), port(3, 33_000))
  })

  test('BFD of one session takes many paths, though its packets are all alike', () => {
    const bed = new RelayBed([ACME])
    bed.introduce(7)
    const ends = { source: INNER, destination: '240.0.0.2', ttl: 255, id: 0, dontFragment: true }
    const probe = build.udp({ sourcePort: 49_152, destinationPort: 3784 }, build.bfd())
    const ports = Array.from({ length: 64 }, () => bed.packet(build.ipv4(ends, probe).bytes)[0]!.port)
    ok(new Set(ports).size > 32, `${new Set(ports).size} ports`)
    equal(ports.filter((port, i) => port === ports[i + 1]).length, 0)
  })

  test('of UDP a neighbour gets what is BFD, and nothing that somebody else on this host has to say', () => {
    const bed = new RelayBed([ACME])
    bed.introduce(7)
    const send = (destinationPort: number): number => {
      const datagram = build.udp({ sourcePort: 3784, destinationPort }, build.bfd())
      return bed.packet(build.ipv4({ source: INNER, destination: '240.0.0.2' }, datagram).bytes).length
    }
    deepEqual([3784, 4784, 3785].map(send), [1, 1, 1])
    deepEqual([53, 179, 3786].map(send), [0, 0, 0])
    equal(bed.refused('kernel-noise'), 3)
  })

  test('FIN and RST pass when the session means them, and for its connection only', () => {
    const bed = new RelayBed([ACME])
    bed.introduce(7)
    for (const flags of [fin | ack, rst]) equal(bed.packet(fromKernel(2, { flags })).length, 0)
    equal(bed.refused('end-not-meant'), 2)
    bed.memory.mean(2, 179, 33_000)
    for (const flags of [fin | ack, rst]) equal(bed.packet(fromKernel(2, { flags })).length, 1)
    equal(bed.packet(fromKernel(2, { flags: fin, destinationPort: 33_001 })).length, 0)
    bed.memory.forget(2, 179, 33_000)
    equal(bed.packet(fromKernel(2, { flags: fin })).length, 0)
  })

  test("what is meant for nobody is the kernel's own noise", () => {
    const bed = new RelayBed([ACME])
    bed.packet(fromKernel(9, {}))
    bed.packet(
      build.ipv6({ source: 'fe80::1', destination: 'ff02::2' }, build.icmpv6({ type: 133 }, new Uint8Array(0))).bytes,
    )
    bed.packet(new Uint8Array(3))
    bed.packet(new Uint8Array(0))
    const long = build.udp({ destinationPort: 3784 }, new Uint8Array(3000))
    bed.packet(
      build.ipv4({ source: INNER, destination: '240.0.0.2' }, long).bytes,
      needsChecksum({ segmentation: 5, segmentBytes: 1000 }),
    )
    equal(bed.refused('kernel-noise'), 5)
  })
})

suite('signatures', () => {
  const SIGNED = `${ACME}, password: secret`
  const key = build.text('secret')

  test('what goes out is signed, a train segment by segment, and its checksum covers that', () => {
    const bed = new RelayBed([SIGNED])
    bed.introduce(7)
    const data = new Uint8Array(2500).fill(3)
    const train = unfinished(fromKernel(2, { flags: ack }, data))
    const sent = bed.packet(train, needsChecksum({ segmentation: 1, segmentBytes: 1390, headerBytes: 40 }))
    equal(sent.length, 2)
    for (const { packet } of sent) {
      deepEqual(ends(packet), [GATEWAY, PEER])
      equal(tcpHeaderBytes(viewOf(packet), 20), 40)
      equal(checkSignature(viewOf(packet), 12, 4, 20, packet.length, key), Signed.right)
      equal(checkSignature(viewOf(packet), 12, 4, 20, packet.length, build.text('guess')), Signed.wrong)
    }
    equal(Buffer.concat(sent.map(({ packet }) => packet.subarray(60))).length, 2500)
  })

  test('what comes signed right passes without its signature', () => {
    const bed = new RelayBed([SIGNED])
    const frame = signed(fromPeer({ flags: syn, mss: 1460, options: new Uint8Array(20).fill(1) }), key)
    const [packet] = bed.frame(7, frame)
    deepEqual(ends(packet!), ['240.0.0.2', INNER])
    equal(tcpOption(viewOf(packet!), 20, SIGNATURE), 0)
    equal(viewOf(packet!).getUint16(tcpOption(viewOf(packet!), 20, TCP_OPTION.mss) + 2), 1450 - 40 - 20)
    deepEqual(bed.frame(7, signed(frame, build.text('guess'))), [])
    equal(bed.refused('wrong-signature'), 1)
  })

  test('a SYN keeps no timestamps, and its segments leave room for the signature', () => {
    const bed = new RelayBed([SIGNED])
    bed.introduce(7)
    const options = Uint8Array.of(4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7)
    const [sent] = bed.packet(fromKernel(2, { flags: syn | ack, mss: 1460, options }))
    const view = viewOf(sent!.packet)
    deepEqual(ends(sent!.packet), [GATEWAY, PEER])
    equal(tcpHeaderBytes(view, 20), 60)
    equal(tcpOption(view, 20, TIMESTAMPS), 0)
    equal(view.getUint16(tcpOption(view, 20, TCP_OPTION.mss) + 2), 1450 - 40 - 20)
    equal(checkSignature(view, 12, 4, 20, sent!.packet.length, key), Signed.right)
  })

  test('of too many SACK blocks two stay', () => {
    const bed = new RelayBed([SIGNED])
    bed.introduce(7)
    const blocks = Array.from({ length: 32 }, (_, i) => i)
    const [sent] = bed.packet(fromKernel(2, { flags: ack, options: Uint8Array.of(1, 1, SACK, 34, ...blocks) }, hello))
    const view = viewOf(sent!.packet)
    deepEqual(ends(sent!.packet), [GATEWAY, PEER])
    const at = tcpOption(view, 20, SACK)
    deepEqual(sent!.packet.subarray(at, at + 18), Uint8Array.of(SACK, 18, ...blocks.slice(0, 16)))
    equal(checkSignature(view, 12, 4, 20, sent!.packet.length, key), Signed.right)
    deepEqual(sent!.packet.subarray(20 + tcpHeaderBytes(view, 20)), hello)
  })
})
