import { deepEqual, equal } from 'node:assert/strict'
import { mock, test } from 'node:test'
import { formatAddress, parseAddress } from '../../base/address.ts'
import { ManualClock } from '../../base/clock.ts'
import * as build from '../../wire/build.ts'
import { TCP_FLAG } from '../../wire/tcp.ts'
import { DynamicPeers, RANGE_MAX } from './dynamic-peers.ts'
import { FIRST_DYNAMIC, innerAddress } from './inner-address.ts'
import { DYNAMIC_MAX, PeerMemory } from './peer-memory.ts'
import { PeerTable } from './peer-table.ts'
import { framed, fromPeer, fromPeer6, GATEWAY_6, INNER_6, PEER_MAC, RelayBed, setupWith } from './relay-bed.ts'

const RANGE = 'name: others, tenant: acme, prefix: 192.168.1.128/25'
const { syn, ack, fin } = TCP_FLAG
/** After so long who has connected and says no more is given up. */
const SILENT_ms = 70_000
/** After so long nothing is said any more under the number of one whose session is over. */
const LEFT_ms = 120_000
const inner = (slot: number): string => formatAddress(Uint8Array.of(240, 16 + (slot >> 16), slot >> 8, slot))

/** Who the kernel takes the packet's sender for. */
function senderOf([packet]: Uint8Array[]): string | undefined {
  return packet && formatAddress(packet.subarray(12, 16))
}

test('who comes from a prefix has a number from its first SYN on, and the session thread knows who that is', () => {
  const bed = new RelayBed([RANGE])
  const source = '192.168.1.200'
  equal(senderOf(bed.frame(7, fromPeer({ flags: ack }, { source }))), undefined)
  equal(bed.refused('stranger'), 1)
  equal(senderOf(bed.frame(7, fromPeer({ flags: syn }, { source }))), inner(0))
  equal(senderOf(bed.frame(7, fromPeer({ flags: ack }, { source }))), inner(0))
  equal(senderOf(bed.frame(7, fromPeer({ flags: syn }, { source: '192.168.1.5' }))), undefined)
  equal(bed.refused('stranger-connects'), 1)
  deepEqual(bed.memory.claim(FIRST_DYNAMIC), { way: 0, address: Uint8Array.of(192, 168, 1, 200) })
  equal(bed.memory.claim(FIRST_DYNAMIC), undefined)
  equal(bed.memory.claim(FIRST_DYNAMIC + 1), undefined)
})

test('a session that is over gives its slot back, and the same peer gets it again if it comes soon', () => {
  const bed = new RelayBed([RANGE])
  const connect = (source: string): string | undefined => senderOf(bed.frame(7, fromPeer({ flags: syn }, { source })))
  connect('192.168.1.200')
  bed.memory.claim(FIRST_DYNAMIC)
  bed.memory.release(FIRST_DYNAMIC)
  equal(connect('192.168.1.200'), inner(0))
  deepEqual(bed.memory.claim(FIRST_DYNAMIC)?.address, Uint8Array.of(192, 168, 1, 200))
})

test('strangers of a prefix take its part of the slots, and those that say no more lose them', () => {
  const wide = RANGE.replace('192.168.1.128/25', "'fd00::/64'")
  const bed = new RelayBed([wide, 'name: four, tenant: acme, prefix: 192.168.1.128/25'])
  const connect = (i: number): Uint8Array[] => bed.frame(7, fromSix(i))
  for (let i = 0; i < RANGE_MAX; i++) equal(connect(i).length, 1)
  bed.memory.claim(FIRST_DYNAMIC)
  equal(connect(RANGE_MAX).length, 0)
  equal(bed.refused('too-many-dynamic'), 1)
  // Another prefix has its own.
  equal(senderOf(bed.frame(7, fromPeer({ flags: syn }, { source: '192.168.1.200' }))), inner(RANGE_MAX))
  bed.clock.advance(SILENT_ms)
  for (let i = 1; i < RANGE_MAX; i++) equal(connect(RANGE_MAX + i).length, 1)
  equal(connect(3 * RANGE_MAX).length, 0)
  // The one that is held keeps its number.
  equal(connect(0).length, 1)
  equal(bed.memory.claim(FIRST_DYNAMIC), undefined)
})

test('a slot is given on only when the kernel has nothing more to say to who had it', () => {
  const bed = new RelayBed(["name: wide, tenant: acme, prefix: 'fd00::/64'"])
  const last = build.tcp({ sourcePort: 179, destinationPort: 33_000, flags: fin | ack }, build.text('last words'))
  const says = (): string[] => {
    const packet = build.ipv6({ source: INNER_6, destination: formatAddress(innerAddress(FIRST_DYNAMIC, 16)) }, last)
    return bed.packet(packet.bytes).map(({ packet }) => formatAddress(packet.subarray(24, 40)))
  }
  for (let i = 0; i < RANGE_MAX; i++) bed.frame(7, fromSix(i))
  for (let i = 0; i < RANGE_MAX; i++) bed.memory.claim(FIRST_DYNAMIC + i)
  bed.frame(7, framed(neighbourOf(0)))
  bed.memory.mean(FIRST_DYNAMIC, 179, 33_000)
  bed.memory.release(FIRST_DYNAMIC)
  deepEqual(bed.frame(7, fromSix(RANGE_MAX)), [])
  bed.clock.advance(104_000)
  deepEqual(bed.frame(7, fromSix(RANGE_MAX)), [])
  deepEqual(says(), ['fd00::1:0:0'])
  bed.clock.advance(LEFT_ms - 104_000)
  equal(bed.frame(7, fromSix(RANGE_MAX)).length, 1)
  equal(bed.refused('too-many-dynamic'), 2)
  // The one that was left last is given last.
  deepEqual(bed.memory.claim(FIRST_DYNAMIC + RANGE_MAX)?.address, parseAddress(sixth(RANGE_MAX)))
  deepEqual(says(), [])
})

test('the slot of one whose session is over is its own when it comes back, however late the next one is over', () => {
  const bed = new RelayBed([RANGE])
  const connect = (): string | undefined =>
    senderOf(bed.frame(7, fromPeer({ flags: syn }, { source: '192.168.1.200' })))
  for (let i = 0; i < 3; i++) {
    equal(connect(), inner(0))
    bed.memory.claim(FIRST_DYNAMIC)
    bed.clock.advance(10_000)
    bed.memory.release(FIRST_DYNAMIC)
    bed.clock.advance(100_000)
  }
  equal(bed.relay.peerCount, 1)
  bed.clock.advance(LEFT_ms - 100_000)
  equal(bed.relay.peerCount, 0)
})

test('one too many costs no more than a stranger does', () => {
  const bed = new RelayBed(["name: wide, tenant: acme, prefix: 'fd00::/64'"])
  for (let i = 0; i < RANGE_MAX; i++) bed.frame(7, fromSix(i))
  const load = mock.method(Atomics, 'load')
  for (let i = 0; i < 100; i++) bed.frame(7, fromSix(RANGE_MAX + i))
  load.mock.restore()
  equal(bed.refused('too-many-dynamic'), 100)
  equal(load.mock.callCount(), 0)
})

test('one that loses its slot while its MAC address is asked for is forgotten, and its segment may go', () => {
  const [one, wide] = [
    'name: one, tenant: acme, address: 192.168.1.2',
    "name: wide, tenant: globex, prefix: 'fd00::/64'",
  ]
  const bed = new RelayBed([one, wide])
  const answer = (slot: number): void => {
    const segment = build.tcp({ sourcePort: 179, destinationPort: 33_000, flags: syn | ack })
    const destination = formatAddress(innerAddress(FIRST_DYNAMIC + slot, 16))
    bed.packet(build.ipv6({ source: INNER_6, destination }, segment).bytes)
  }
  for (let i = 0; i < RANGE_MAX; i++) bed.frame(8, fromSix(i))
  for (let i = 0; i < RANGE_MAX; i++) answer(i)
  bed.clock.advance(SILENT_ms - 2500)
  bed.take([one])
  bed.clock.advance(2500)
  for (let i = 0; i < RANGE_MAX; i++) answer(i)
  for (let i = 0; i < 20; i++) bed.frame(8, fromSix(RANGE_MAX + i))
  bed.clock.advance(500)
  bed.sent()
  bed.clock.advance(5000)
  deepEqual(bed.sent(), [])
})

test('there is an end to all prefixes together', () => {
  const prefixes = Array.from({ length: DYNAMIC_MAX / RANGE_MAX + 1 }, (_, i) => `192.168.1.${128 + 8 * i}/29`)
  const ranges = prefixes.map((prefix, i) => `name: four-${i}, tenant: acme, prefix: ${prefix}`)
  const peers = new PeerTable()
  const dynamic = new DynamicPeers({ peers, memory: new PeerMemory(), clock: new ManualClock(), left: () => {} })
  const { ways } = setupWith(ranges)
  for (const [i, way] of ways.entries())
    for (let host = 0; host < RANGE_MAX; host++) {
      const peer = dynamic.admit(way, Uint8Array.of(10, i, host >> 8, host & 255))
      equal(peer !== undefined, i < DYNAMIC_MAX / RANGE_MAX)
      if (peer) dynamic.connects(peer)
    }
  equal(peers.size, DYNAMIC_MAX)
})

function fromSix(i: number): Uint8Array {
  return fromPeer6({ flags: syn }, { source: sixth(i) })
}

function sixth(i: number): string {
  return `fd00::1:${(i >> 12).toString(16)}:${(i & 0xfff).toString(16)}`
}

/** It says what its MAC address is. */
function neighbourOf(i: number): build.Layer {
  const told = build.neighbourAdvertisement({ target: sixth(i), targetMac: PEER_MAC })
  return build.ipv6({ source: sixth(i), destination: GATEWAY_6, hopLimit: 255 }, told)
}
