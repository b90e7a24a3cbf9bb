import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress, parseMac } from '../base/address.ts'
import { Random } from '../base/random.ts'
import * as build from '../wire/build.ts'
import { ETHERTYPE } from '../wire/ethernet.ts'
import { PROTOCOL } from '../wire/ipv4.ts'
import { type Action, Actions, ActionWriter, createActionMemory } from './action.ts'
import { Batch } from './batch.ts'
import { encapsulate, entropyPort } from './encapsulate.ts'
import { createFrameMemory, FramePool, Frames } from './frames.ts'
import { copyIn, copyOut, headBytes } from './memory-port.ts'
import { createQsbrMemory, QsbrWriter } from './qsbr.ts'
import { greAction, routedAction, vxlanAction } from './template.ts'

const ETHERNET = 14
const MAC = { source: '02:aa:00:00:00:01', destination: '02:bb:00:00:00:01' }
const INNER = { source: '02:cc:00:00:00:01', destination: '02:dd:00:00:00:01' }
const ENDS4 = { source: '192.0.2.1', destination: '198.51.100.9' }
const ENDS6 = { source: '2001:db8::1', destination: '2001:db8:ffff::9' }
const MTU = 1600
const VNI = 0xabcdef
const KEY = 0x89abcdef

const bytesOf = (pair: { source: string; destination: string }, parse = parseMac) => ({
  source: parse(pair.source)!,
  destination: parse(pair.destination)!,
})
const adjacency = { port: 3, mtu: MTU, ...bytesOf(MAC) }
const ends4 = bytesOf(ENDS4, parseAddress)
const ends6 = bytesOf(ENDS6, parseAddress)

/** The outer headers as RFC 791, 8200, 6040, 6438 and 7348 want them, around `payload`. */
function outer4(tos: number, payload: build.Payload, protocol?: number): Uint8Array {
  const more = protocol === undefined ? {} : { protocol }
  return build.ethernet(MAC, build.ipv4({ ...ENDS4, ...more, ttl: 64, tos, dontFragment: true }, payload))
}
function outer6(tos: number, hash: number, payload: build.Payload): Uint8Array {
  const header = { ...ENDS6, hopLimit: 64, trafficClass: tos, flowLabel: hash & 0xfffff }
  return build.ethernet(MAC, build.ipv6(header, payload))
}
const vxlan = (hash: number, frame: Uint8Array): build.Layer =>
  build.udp({ sourcePort: entropyPort(hash), destinationPort: 4789, checksum: false }, build.vxlan({ vni: VNI }, frame))

/** A way to send, and what a packet sent so looks like on the wire. */
interface Case {
  name: string
  action: Action
  expected(packet: build.Layer, tos: number, hash: number): Uint8Array
  overhead: number
}

const inner = bytesOf(INNER)
const cases: Case[] = [
  {
    name: 'VXLAN over IPv4',
    action: vxlanAction(adjacency, ends4, VNI, inner),
    expected: (packet, tos, hash) => outer4(tos, vxlan(hash, build.ethernet(INNER, packet))),
    overhead: 50,
  },
  {
    name: 'VXLAN over IPv6',
    action: vxlanAction(adjacency, ends6, VNI, inner),
    expected: (packet, tos, hash) => outer6(tos, hash, vxlan(hash, build.ethernet(INNER, packet))),
    overhead: 70,
  },
  {
    name: 'GRE over IPv4',
    action: greAction(adjacency, ends4, KEY),
    expected: (packet, tos) => outer4(tos, build.gre({ key: KEY }, packet)),
    overhead: 28,
  },
  {
    name: 'GRE over IPv6',
    action: greAction(adjacency, ends6, KEY),
    expected: (packet, tos, hash) => outer6(tos, hash, build.gre({ key: KEY }, packet)),
    overhead: 48,
  },
  {
    name: 'Ethernet in GRE over IPv4',
    action: greAction(adjacency, ends4, KEY, inner),
    expected: (packet, tos) => outer4(tos, build.gre({ key: KEY }, build.ethernet(INNER, packet))),
    overhead: 42,
  },
  {
    name: 'Ethernet in GRE over IPv6',
    action: greAction(adjacency, ends6, KEY, inner),
    expected: (packet, tos, hash) => outer6(tos, hash, build.gre({ key: KEY }, build.ethernet(INNER, packet))),
    overhead: 62,
  },
  {
    name: 'the packet itself',
    action: routedAction(adjacency),
    expected: (packet) => build.ethernet(MAC, packet),
    overhead: 0,
  },
]

/** Sends a frame through an action: from byte `from` on it is the packet. */
function sent(action: Action, frame: Uint8Array, from: number, tos: number, hash: number, etherType: number) {
  const frames = new Frames(createFrameMemory(8))
  const pool = new FramePool(frames, 0, 8)
  const memory = createActionMemory({ actions: 16, slots: 16, members: 8 })
  const writer = new ActionWriter(memory, new QsbrWriter(createQsbrMemory(1)))
  const slot = writer.allocate()!
  writer.set(slot, action)
  const actions = new Actions(memory)
  const batch = new Batch()
  const address = copyIn(frames, pool, frame)
  batch.push(0, address, headBytes(frame.length), frame.length)
  batch.hash[0] = hash
  encapsulate(frames, actions, batch, 0, actions.resolve(slot, hash), address + from, tos, etherType)
  equal(batch.out[0], 3)
  return copyOut(frames, batch.address[0]!, batch.length[0]!, batch.total[0]!)
}

const packets = (tos: number, bytes: number): (readonly [build.Layer, number])[] => {
  const payload = build.udp({}, new Uint8Array(bytes).fill(0x5a))
  return [
    [build.ipv4({ tos }, payload), ETHERTYPE.ipv4],
    [build.ipv6({ trafficClass: tos }, payload), ETHERTYPE.ipv6],
  ]
}

for (const { name, action, expected, overhead } of cases) {
  test(`${name}: every byte is as drawn, for packets of both versions and any size`, () => {
    const random = new Random(1)
    for (const bytes of [0, 1, 33, 1400, 5000, 9000])
      for (const tos of [0, 0xb8, 0xff]) {
        const hash = random.u32()
        for (const [packet, etherType] of packets(tos, bytes)) {
          const frame = build.ethernet({}, packet)
          deepEqual(sent(action, frame, ETHERNET, tos, hash, etherType), expected(packet, tos, hash))
        }
      }
  })

  test(`${name}: leaves the path's MTU less ${overhead} bytes to the packet`, () => {
    equal(action.kind === 'send' && action.mtu, MTU - overhead)
  })
}

test('what the packet came in is taken off, however much longer or shorter than what is put on', () => {
  const [packet, etherType] = packets(0, 100)[0]!
  const arrivals = [
    build.ethernet({ vlan: 7, serviceVlan: 8 }, packet),
    outer6(0, 7, vxlan(7, build.ethernet({}, packet))),
    outer4(0, build.gre({ key: 1, sequence: 2, checksum: true }, packet)),
  ]
  for (const { action, expected } of cases)
    for (const frame of arrivals) {
      const from = frame.length - packet.bytes.length
      deepEqual(sent(action, frame, from, 0, 99, etherType), expected(packet, 0, 99))
    }
})

test('a whole Ethernet frame goes into VXLAN as it is, its tag included', () => {
  const [packet] = packets(0, 60)[0]!
  const frame = build.ethernet({ vlan: 9 }, packet)
  deepEqual(sent(vxlanAction(adjacency, ends4, VNI), frame, 0, 0, 5, ETHERTYPE.ipv4), outer4(0, vxlan(5, frame)))
})

test('the outer IPv4 checksum is right whatever the length, the TOS and the addresses', () => {
  const random = new Random(2)
  for (let i = 0; i < 2000; i++) {
    const pick = (): string => Array.from(random.bytes(4)).join('.')
    const ends = { source: pick(), destination: pick() }
    const tos = random.below(256)
    const payload = random.bytes(random.below(1400))
    const packet = build.ipv4({ protocol: PROTOCOL.none }, payload)
    const action = greAction(adjacency, bytesOf(ends, parseAddress), KEY)
    const outer = build.ipv4({ ...ends, ttl: 64, tos, dontFragment: true }, build.gre({ key: KEY }, packet))
    const out = sent(action, build.ethernet({}, packet), ETHERNET, tos, 0, ETHERTYPE.ipv4)
    deepEqual(out, build.ethernet(MAC, outer), `${JSON.stringify(ends)} tos ${tos} ${payload.length} bytes`)
  }
})

test('the entropy port is of the dynamic range, and differs with the flow', () => {
  const random = new Random(3)
  const ports = Array.from({ length: 1000 }, () => entropyPort(random.u32()))
  equal(Math.min(...ports) >= 49152 && Math.max(...ports) <= 65535, true)
  equal(new Set(ports).size > 950, true)
})
