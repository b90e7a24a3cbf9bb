/**
 * Frames and packets as a clumsy or a hostile sender makes them, through a relay: nothing throws, everything is counted, and
 * no peer more is known afterwards than the site file and the slots of dynamic ones have. FUZZ_N, FUZZ_SEED to repeat a run.
 */

import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress } from '../../base/address.ts'
import { freshSeed, Random } from '../../base/random.ts'
import * as build from '../../wire/build.ts'
import { spoilt } from '../../wire/mutate.ts'
import { TCP_FLAG } from '../../wire/tcp.ts'
import { FIRST_DYNAMIC, innerAddress } from './inner-address.ts'
import { framed, fromPeer, fromPeer6, GATEWAY, GATEWAY_6, PEER, PEER_6, PEER_MAC, RelayBed } from './relay-bed.ts'

const COUNT = Number(process.env['FUZZ_N'] ?? 100_000)
const SEED = Number(process.env['FUZZ_SEED'] ?? freshSeed())
console.log(`relay.fuzz: FUZZ_SEED=${SEED} FUZZ_N=${COUNT}`)

const NEIGHBOURS = [
  `name: one, tenant: acme, address: ${PEER}`,
  `name: signed, tenant: globex, address: ${PEER}, password: secret`,
  `name: six, tenant: acme, address: '${PEER_6}', ttl_security_hops: 1`,
  'name: others, tenant: acme, prefix: 192.168.1.64/26',
]
/** Numbered behind the neighbours that are named. */
const PROBES = [`tenant: acme, to: ${PEER}, icmp: {}`, `tenant: acme, to: '${PEER_6}', tcp: { port: 22 }`]
const QUESTIONS = [
  build.ipv4({ source: '240.0.0.1', destination: '240.0.0.5' }, build.icmpEcho({ identifier: 7 })),
  build.ipv4({ source: '240.0.0.1', destination: '240.0.0.5' }, build.udp({ sourcePort: 5000, destinationPort: 7 })),
  build.ipv6(
    { source: 'fd67:6174::1', destination: 'fd67:6174::6' },
    build.tcp({ sourcePort: 5000, destinationPort: 22, flags: TCP_FLAG.syn }),
  ),
].map(({ bytes }) => bytes)
const { syn, ack, fin } = TCP_FLAG
const signature = Uint8Array.of(19, 18, ...new Uint8Array(16))

function corpus(): Uint8Array[] {
  const data = build.text('some data that is carried')
  const hops = { source: PEER_6, destination: GATEWAY_6, hopLimit: 255 }
  return [
    fromPeer({ flags: ack }, {}, data),
    fromPeer({ flags: syn, mss: 1460, options: Uint8Array.of(4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7) }),
    fromPeer({ flags: ack | fin, options: signature }, {}, data),
    fromPeer({ flags: syn }, { source: '192.168.1.70' }),
    fromPeer6({ flags: ack }, { hopLimit: 255 }, data),
    framed(build.arpRequest({ senderMac: PEER_MAC, senderIp: PEER, targetIp: GATEWAY })),
    framed(build.ipv6(hops, build.neighbourSolicitation({ target: GATEWAY_6, sourceMac: PEER_MAC }))),
    framed(build.ipv6(hops, build.neighbourAdvertisement({ target: PEER_6, targetMac: PEER_MAC }))),
    framed(
      build.ipv4({ source: PEER, destination: GATEWAY, ttl: 255 }, build.udp({ destinationPort: 3784 }, build.bfd())),
    ),
    framed(build.ipv6({ ...hops, extensions: [build.hopByHop()] }, build.tcp({ destinationPort: 179 }))),
    framed(build.ipv4({ source: PEER, destination: GATEWAY }, build.icmpEcho({ identifier: 7, reply: true }))),
    framed(
      build.ipv4({ source: PEER, destination: GATEWAY }, build.udp({ sourcePort: 7, destinationPort: 5000 }, data)),
    ),
    framed(build.ipv6(hops, build.tcp({ sourcePort: 22, destinationPort: 5000, flags: syn | ack }))),
    framed(build.ipv6(hops, build.icmpv6Echo({ identifier: 7, reply: true }))),
  ]
}

/** Around the frame, as it comes out of the network: mutations reach the VXLAN header too. */
function tunnelled(vni: number, frame: Uint8Array): Uint8Array {
  return build.ethernet({}, build.ipv4({}, build.udp({ destinationPort: 4789 }, build.vxlan({ vni }, frame))))
}

const VXLAN_AT = 14 + 20 + 8

test('mutated frames pass a relay without a throw, each delivered, answered or refused', () => {
  const random = new Random(SEED)
  const bed = new RelayBed(NEIGHBOURS, ['rt-1'], PROBES)
  bed.introduce(7)
  for (const question of QUESTIONS) bed.packet(question)
  const first = bed.relay.counters.show()
  const frames = corpus().flatMap((frame) => [tunnelled(7, frame), tunnelled(8, frame)])
  const { counters } = bed.relay
  for (let i = 0; i < COUNT; i++) {
    const before = counters.show()
    const frame = spoilt(random, random.pick(frames), random.chance(0.5) ? random.pick([7, 8]) : undefined)
    bed.payload(frame.subarray(Math.min(VXLAN_AT, frame.length)))
    const after = counters.show()
    const ends = (counts: typeof before): number =>
      counts.delivered + Object.values(counts.refused).reduce((sum, count) => sum + count, 0)
    const told = after.answered + after.learnt - before.answered - before.learnt
    ok(ends(after) - ends(before) === 1 || told > 0, `frame ${i}`)
    if (i % 1000 === 0) bed.clock.advance(100)
    bed.sent()
  }
  equal(counters.received - first.received, COUNT)
  ok(bed.relay.peerCount <= NEIGHBOURS.length + 4096)
})

test('mutated packets of the kernel leave a relay without a throw, and no frame is longer than its slot', () => {
  const random = new Random(SEED)
  const bed = new RelayBed(NEIGHBOURS, ['rt-1'], PROBES)
  bed.introduce(7)
  bed.introduce(8)
  const data = new Uint8Array(4000).fill(7)
  const packets = [2, 3].flatMap((number) => {
    const ends = { source: '240.0.0.1', destination: `240.0.0.${number}` }
    return [0, 20, 1400, 4000].map((bytes) =>
      framed(
        build.ipv4(ends, build.tcp({ sourcePort: 179, options: signature.subarray(0, 12) }, data.subarray(0, bytes))),
      ),
    )
  })
  packets.push(...QUESTIONS.map((question) => Uint8Array.from([...new Uint8Array(14), ...question])))
  for (let i = 0; i < COUNT / 10; i++) {
    const packet = spoilt(random, random.pick(packets)).subarray(14)
    const header = random.chance(0.5)
      ? random.bytes(10)
      : Uint8Array.of(1, random.pick([0, 1, 4]), 40, 0, random.u32(), random.u32(), 20, 0, 16, 0)
    for (const sent of bed.packet(packet, header)) ok(sent.packet.length <= 1520)
  }
})

/** To neighbours, named and from prefixes, that are there or were. */
function answers(): Uint8Array[] {
  const segment = build.tcp({ sourcePort: 179, destinationPort: 33_000, flags: syn | ack })
  const numbers = [2, 3, 4, 5, 6, FIRST_DYNAMIC, FIRST_DYNAMIC + 1, FIRST_DYNAMIC + 2]
  return numbers.flatMap((number) => {
    const [four, six] = [4, 16].map((bytes) => formatAddress(innerAddress(number, bytes)))
    return [
      build.ipv4({ source: '240.0.0.1', destination: four! }, segment).bytes,
      build.ipv6({ source: 'fd67:6174::1', destination: six! }, segment).bytes,
    ]
  })
}

test('site files come and go between packets, and who asks or is asked meanwhile is no trouble', () => {
  const random = new Random(SEED)
  const bed = new RelayBed(NEIGHBOURS, ['rt-1'], PROBES)
  const frames = corpus()
  const packets = [...answers(), ...QUESTIONS]
  const some = (list: readonly string[]): string[] => list.filter(() => random.chance(0.6))
  const { counters } = bed.relay
  const steps: [number, () => unknown][] = [
    [0.5, () => bed.frame(random.pick([7, 8]), random.pick(frames))],
    [0.9, () => bed.packet(random.pick(packets))],
    [0.94, () => bed.memory.claim(FIRST_DYNAMIC + random.below(3))],
    [0.96, () => bed.memory.release(FIRST_DYNAMIC + random.below(3))],
    [0.98, () => bed.clock.advance(random.pick([100, 1000, 3000, 70_000]))],
    [1, () => bed.take([...some(NEIGHBOURS), 'name: last, tenant: globex, address: 192.168.1.9'], some(PROBES))],
  ]
  for (let i = 0; i < COUNT / 10; i++) {
    const chance = random.below(1000) / 1000
    steps.find(([upTo]) => chance < upTo)![1]()
    bed.sent()
  }
  // Who is gone is forgotten, and nobody is asked for any more.
  bed.take(['name: last, tenant: globex, address: 192.168.1.9'])
  bed.clock.advance(200_000)
  bed.sent()
  const { asked } = counters
  bed.clock.advance(10_000)
  equal(counters.asked, asked)
  equal(bed.relay.peerCount, 1)
})
