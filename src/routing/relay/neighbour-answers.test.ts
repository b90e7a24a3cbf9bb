import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import * as build from '../../wire/build.ts'
import { ETHERTYPE } from '../../wire/ethernet.ts'
import { Fault } from '../../wire/fault.ts'
import { checkIcmpv6 } from '../../wire/icmpv6.ts'
import { checkNeighbourDiscovery, ND_ADVERTISEMENT } from '../../wire/neighbour-discovery.ts'
import {
  framed,
  GATEWAY,
  GATEWAY_6,
  GATEWAY_MAC,
  INNER,
  INNER_6,
  PEER,
  PEER_6,
  PEER_MAC,
  RelayBed,
} from './relay-bed.ts'

const ACME = `name: one, tenant: acme, address: ${PEER}`
const ACME_6 = `name: six, tenant: acme, address: '${PEER_6}'`
const BROADCAST = 'ff:ff:ff:ff:ff:ff'
const NO_MAC = '00:00:00:00:00:00'

const segment = build.tcp({ sourcePort: 40_000, destinationPort: 179, flags: 2 })
const toPeer = build.ipv4({ source: INNER, destination: '240.0.0.2' }, segment).bytes
const toPeer6 = build.ipv6({ source: INNER_6, destination: 'fd67:6174::2' }, segment).bytes

function arpFor(targetIp: string, senderIp = PEER): Uint8Array {
  const about = { senderMac: PEER_MAC, senderIp, targetIp }
  return build.ethernet({ source: PEER_MAC, destination: BROADCAST }, build.arpRequest(about))
}

/** A frame of neighbour discovery that is well made, without its Ethernet header. */
function discovery(packet: Uint8Array): Uint8Array {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length)
  equal(checkIcmpv6(view, 40, packet.length, 0), Fault.none)
  equal(checkNeighbourDiscovery(view, 40, packet.length, 0), Fault.none)
  return packet
}

suite('ARP', () => {
  test("is answered for our own addresses, and for nobody else's", () => {
    const bed = new RelayBed([ACME])
    bed.frame(7, arpFor(GATEWAY, '192.168.1.77'))
    const reply = { senderMac: GATEWAY_MAC, senderIp: GATEWAY, targetMac: PEER_MAC, targetIp: '192.168.1.77' }
    const [sent, ...more] = bed.sent()
    deepEqual([sent!.vni, sent!.etherType, sent!.destination, sent!.source], [7, ETHERTYPE.arp, PEER_MAC, GATEWAY_MAC])
    deepEqual(sent!.packet, build.arpReply(reply).bytes)
    deepEqual(more, [])
    bed.frame(7, arpFor('192.168.1.9'))
    equal(bed.refused('not-ours-to-answer'), 1)
  })

  test('is answered so often and no more', () => {
    const bed = new RelayBed([ACME, `name: two, tenant: globex, address: ${PEER}`])
    for (let i = 0; i < 5000; i++) bed.frame(7, arpFor(GATEWAY))
    equal(bed.sent().length, 200)
    equal(bed.refused('too-many-questions'), 4800)
    bed.frame(8, arpFor(GATEWAY))
    equal(bed.sent().length, 1)
  })

  test('asks for a peer that something is to be sent to, which waits for the answer', () => {
    const bed = new RelayBed([ACME])
    const [asked, ...more] = bed.packet(toPeer)
    deepEqual(
      asked!.packet,
      build.arpRequest({ senderMac: GATEWAY_MAC, senderIp: GATEWAY, targetMac: NO_MAC, targetIp: PEER }).bytes,
    )
    deepEqual([asked!.destination, more], [BROADCAST, []])
    bed.introduce(7)
    deepEqual(
      bed.sent().map(({ destination, etherType }) => [destination, etherType]),
      [[PEER_MAC, ETHERTYPE.ipv4]],
    )
    equal(bed.packet(toPeer).length, 1)
  })

  test('asks three times, gives up, and asks anew with the next packet', () => {
    const bed = new RelayBed([ACME])
    for (let i = 0; i < 6; i++) bed.packet(toPeer)
    equal(bed.refused('unresolved'), 2)
    bed.clock.advance(1000)
    equal(bed.sent().length, 1)
    bed.clock.advance(5000)
    equal(bed.sent().length, 1)
    equal(bed.refused('unresolved'), 6)
    equal(bed.packet(toPeer).length, 1)
  })

  test('a question tells who asks, and another MAC address is believed', () => {
    const bed = new RelayBed([ACME])
    bed.frame(7, arpFor(GATEWAY))
    bed.sent()
    equal(bed.packet(toPeer)[0]!.destination, PEER_MAC)
    const moved = { senderMac: '02:00:00:00:00:33', senderIp: PEER, targetIp: PEER }
    bed.frame(7, build.ethernet({ source: '02:00:00:00:00:33', destination: BROADCAST }, build.arpRequest(moved)))
    equal(bed.packet(toPeer)[0]!.destination, '02:00:00:00:00:33')
  })

  test('of nobody, or of a group, tells no MAC address', () => {
    const bed = new RelayBed([ACME])
    bed.introduce(7)
    for (const senderMac of [NO_MAC, BROADCAST, '03:00:00:00:00:01'])
      bed.frame(7, framed(build.arpReply({ senderMac, senderIp: PEER, targetMac: GATEWAY_MAC, targetIp: GATEWAY })))
    equal(bed.refused('malformed'), 3)
    equal(bed.packet(toPeer)[0]!.destination, PEER_MAC)
  })
})

suite('neighbour discovery', () => {
  const solicitation = (target: string, source: string, sourceMac?: string): Uint8Array =>
    build.ethernet(
      { source: PEER_MAC, destination: '33:33:ff:00:00:01' },
      build.ipv6(
        { source, destination: 'ff02::1:ff00:1', hopLimit: 255 },
        build.neighbourSolicitation({ target, ...(sourceMac && { sourceMac }) }),
      ),
    )

  test('is answered for our own addresses', () => {
    const bed = new RelayBed([ACME_6])
    bed.frame(7, solicitation(GATEWAY_6, 'fd00::77', PEER_MAC))
    const flags = ND_ADVERTISEMENT.router + ND_ADVERTISEMENT.solicited + ND_ADVERTISEMENT.override
    const told = build.neighbourAdvertisement({ target: GATEWAY_6, flags, targetMac: GATEWAY_MAC })
    const [sent] = bed.sent()
    const expected = build.ipv6({ source: GATEWAY_6, destination: 'fd00::77', hopLimit: 255, trafficClass: 0xc0 }, told)
    deepEqual(discovery(sent!.packet), expected.bytes)
    deepEqual([sent!.destination, sent!.etherType], [PEER_MAC, ETHERTYPE.ipv6])
    bed.frame(7, solicitation('fd00::9', 'fd00::77', PEER_MAC))
    equal(bed.refused('not-ours-to-answer'), 1)
  })

  test('who looks whether our address is taken hears that it is, and all others with it', () => {
    const bed = new RelayBed([ACME_6])
    bed.frame(7, solicitation(GATEWAY_6, '::'))
    const flags = ND_ADVERTISEMENT.router + ND_ADVERTISEMENT.override
    const told = build.neighbourAdvertisement({ target: GATEWAY_6, flags, targetMac: GATEWAY_MAC })
    const expected = build.ipv6({ source: GATEWAY_6, destination: 'ff02::1', hopLimit: 255, trafficClass: 0xc0 }, told)
    const [sent] = bed.sent()
    deepEqual(discovery(sent!.packet), expected.bytes)
    equal(sent!.destination, '33:33:00:00:00:01')
  })

  test('asks for a peer, and learns from what it says of itself', () => {
    const bed = new RelayBed([ACME_6])
    const [asked] = bed.packet(toPeer6)
    const expected = build.ipv6(
      { source: GATEWAY_6, destination: 'ff02::1:ff00:2', hopLimit: 255, trafficClass: 0xc0 },
      build.neighbourSolicitation({ target: PEER_6, sourceMac: GATEWAY_MAC }),
    )
    deepEqual(discovery(asked!.packet), expected.bytes)
    equal(asked!.destination, '33:33:ff:00:00:02')
    const told = build.neighbourAdvertisement({
      target: PEER_6,
      flags: ND_ADVERTISEMENT.solicited,
      targetMac: PEER_MAC,
    })
    bed.frame(7, framed(build.ipv6({ source: PEER_6, destination: GATEWAY_6, hopLimit: 255 }, told)))
    deepEqual(
      bed.sent().map(({ destination }) => destination),
      [PEER_MAC],
    )
  })

  const advertisement = (targetMac: string, flags: number): Uint8Array =>
    framed(
      build.ipv6(
        { source: PEER_6, destination: GATEWAY_6, hopLimit: 255 },
        build.neighbourAdvertisement({ target: PEER_6, flags, targetMac }),
      ),
    )

  test('another MAC address takes the place of a known one only where it is to (RFC 4861 section 7.2.5)', () => {
    const bed = new RelayBed([ACME_6])
    const destination = (): string => bed.packet(toPeer6)[0]!.destination
    bed.frame(7, advertisement(PEER_MAC, 0))
    equal(destination(), PEER_MAC)
    bed.frame(7, advertisement('02:00:00:00:00:99', ND_ADVERTISEMENT.solicited))
    equal(destination(), PEER_MAC)
    bed.frame(7, advertisement('02:00:00:00:00:99', ND_ADVERTISEMENT.override))
    equal(destination(), '02:00:00:00:00:99')
  })

  test('of nobody, or of a group, tells no MAC address, and is not answered', () => {
    const bed = new RelayBed([ACME_6])
    bed.frame(7, advertisement(PEER_MAC, 0))
    for (const mac of [NO_MAC, '33:33:00:00:00:01']) {
      bed.frame(7, advertisement(mac, ND_ADVERTISEMENT.override))
      bed.frame(7, solicitation(GATEWAY_6, PEER_6, mac))
    }
    equal(bed.refused('malformed'), 4)
    deepEqual(bed.sent(), [])
    equal(bed.packet(toPeer6)[0]!.destination, PEER_MAC)
  })

  test('from beyond the link nothing is believed', () => {
    const bed = new RelayBed([ACME_6])
    const told = build.neighbourAdvertisement({ target: PEER_6, targetMac: PEER_MAC })
    bed.frame(7, framed(build.ipv6({ source: PEER_6, destination: GATEWAY_6, hopLimit: 254 }, told)))
    equal(bed.refused('malformed'), 1)
    equal(bed.packet(toPeer6)[0]!.destination, '33:33:ff:00:00:02')
  })
})
