/**
 * A relay without a kernel and without a network, for tests: frames and packets go in as bytes, and what comes out is kept.
 * Two tenants, 7 and 8, with the same addresses of both families on their segments.
 */

import { parseAddress } from '../../base/address.ts'
import { ManualClock } from '../../base/clock.ts'
import { parseSite } from '../../config/load.ts'
import type { Site } from '../../config/site.ts'
import { virtioHeader } from '../../linux/tun.ts'
import * as build from '../../wire/build.ts'
import { ipv4 } from '../../wire/ipv4.ts'
import { udp } from '../../wire/udp.ts'
import { vxlan } from '../../wire/vxlan.ts'
import { type PacketSink, slotBytesFor } from './frame-writer.ts'
import { PACKET_BYTES_MAX } from './outbound.ts'
import { PeerMemory } from './peer-memory.ts'
import { PeerNumbers } from './peer-numbers.ts'
import { Refusal } from './refusal.ts'
import { Relay } from './relay.ts'
import { type RelaySetup, relaySetupOf } from './ways.ts'

export const GATEWAY_MAC = '02:67:68:00:00:01'
export const PEER_MAC = '02:00:00:00:00:22'
const VIP = '10.255.0.1'
export const NODE = '10.0.3.1'
export const GATEWAY = '192.168.1.1'
export const PEER = '192.168.1.2'
export const GATEWAY_6 = 'fd00::1'
export const PEER_6 = 'fd00::2'
/** As the kernel knows the device. */
export const INNER = '240.0.0.1'
export const INNER_6 = 'fd67:6174::1'

const CONNECTION = `gateway: [${GATEWAY}/24, '${GATEWAY_6}/64']`

/** What the relay of a node is told of such a site. */
export function setupWith(
  neighbours: readonly string[],
  node = 'rt-1',
  numbers?: PeerNumbers,
  probes: readonly string[] = [],
): RelaySetup {
  return relaySetupOf(siteWith(neighbours, probes), node, numbers)!
}

/** A site with these neighbours and probes, each of them a line of the list without its braces. */
export function siteWith(neighbours: readonly string[], probes: readonly string[] = []): Site {
  const probeList = probes.map((one, i) => `    - { name: probe-${i}, ${one} }\n`).join('')
  const list = neighbours.map((one) => `    - { ${/\bas: /.test(one) ? '' : 'as: 65002, '}${one} }\n`).join('')
  const { site, errors } = parseSite(`site: s
vips: [{ name: v1, address: ${VIP} }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: fn-1, address: 10.0.1.1, ports: [rack] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a, b] }]
tenants:
  - { name: acme, vni: 7, vip: v1, connections: [{ name: dc, switch: edge, port: a, ${CONNECTION} }] }
  - { name: globex, vni: 8, vip: v1, connections: [{ name: dc, switch: edge, port: b, ${CONNECTION}, mtu: 1400 }] }
routing:
  as: 65001
  router_id: 10.0.0.9
  nodes: [{ name: rt-1, address: ${NODE} }, { name: rt-2, address: 10.0.3.2 }]
  ${list && `neighbours:\n${list}`}
  ${probeList && `probes:\n${probeList}`}`)
  if (!site) throw new Error(JSON.stringify(errors))
  return site
}

class MemorySink implements PacketSink {
  readonly packets: Uint8Array[] = []
  readonly bytes = new Uint8Array(slotBytesFor(PACKET_BYTES_MAX)).fill(0xa5)
  readonly view = new DataView(this.bytes.buffer)

  begin(): number {
    this.bytes.fill(0xa5)
    return 0
  }

  push(from: number, end: number): void {
    this.packets.push(this.bytes.slice(from, end))
  }

  flush(): void {}
}

export class RelayBed {
  readonly clock = new ManualClock()
  readonly memory: PeerMemory
  readonly relay: Relay
  readonly #sink = new MemorySink()
  readonly #kernel: Uint8Array[] = []
  readonly #numbers = new PeerNumbers()
  isKernelFull = false
  /** What fits into a tunnel, whenever that is asked. */
  packetMax = 1450

  /** The first neighbour has number 2, and so on. All of them are held here unless it is said otherwise. */
  constructor(neighbours: readonly string[], members: readonly string[] = ['rt-1'], probes: readonly string[] = []) {
    const setup = setupWith(neighbours, 'rt-1', this.#numbers, probes)
    this.memory = new PeerMemory()
    const kernel = {
      write: (packet: Uint8Array): boolean => {
        if (!this.isKernelFull) this.#kernel.push(packet.slice())
        return !this.isKernelFull
      },
    }
    const { memory, clock } = this
    this.relay = new Relay({ setup, memory, clock, sink: this.#sink, kernel, packetMax: () => this.packetMax })
    this.relay.setMembers(members)
  }

  /** Another site file, with these neighbours and probes. */
  take(neighbours: readonly string[], probes: readonly string[] = []): void {
    this.relay.take(setupWith(neighbours, 'rt-1', this.#numbers, probes))
  }

  /** A frame of a segment, as it comes out of a tunnel; returns what the kernel got for it, without the virtio header. */
  frame(vni: number, frame: Uint8Array, from: string = VIP): Uint8Array[] {
    return this.payload(build.vxlan({ vni }, frame), from)
  }

  /** The same, from the VXLAN header on. */
  payload(bytes: Uint8Array, from: string = VIP): Uint8Array[] {
    const memory = bytes.slice()
    this.relay.frame(new DataView(memory.buffer), 0, memory.length, parseAddress(from)!)
    return this.#kernel.splice(0).map((packet) => packet.subarray(virtioHeader.BYTES))
  }

  /** An IP packet of the kernel's; returns the frames that left for it. `header`: struct virtio_net_hdr. */
  packet(packet: Uint8Array, header: Uint8Array = virtioHeader.make()): Sent[] {
    const bytes = new Uint8Array(header.length + packet.length)
    bytes.set(header)
    bytes.set(packet, header.length)
    this.relay.packet(bytes)
    return this.sent()
  }

  /** Frames that have left since it was asked last. */
  sent(): Sent[] {
    return this.#sink.packets.splice(0).map(sentOf)
  }

  refused(name: keyof typeof Refusal): number {
    return this.relay.counters.refused(Refusal[name])
  }

  /** The peer of this number says ARP that its MAC address is PEER_MAC. */
  introduce(vni: number, address = PEER): void {
    const about = { senderMac: PEER_MAC, senderIp: address, targetMac: GATEWAY_MAC, targetIp: GATEWAY }
    this.frame(vni, build.ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, build.arpReply(about)))
  }
}

export interface Sent {
  readonly vni: number
  readonly port: number
  readonly tos: number
  readonly destination: string
  readonly source: string
  readonly etherType: number
  /** The inner packet. */
  readonly packet: Uint8Array
}

function sentOf(bytes: Uint8Array): Sent {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const shim = ipv4.BYTES + udp.BYTES
  const frame = shim + vxlan.BYTES
  return {
    vni: vxlan.vni.get(view, shim),
    port: udp.sourcePort.get(view, ipv4.BYTES),
    tos: ipv4.tos.get(view, 0),
    destination: macText(bytes.subarray(frame, frame + 6)),
    source: macText(bytes.subarray(frame + 6, frame + 12)),
    etherType: view.getUint16(frame + 12),
    packet: bytes.subarray(frame + 14),
  }
}

function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/** From the peer to the gateway, in Ethernet; `ip` and `tcp` change what is usual. */
export function fromPeer(
  tcp: build.TcpOptions,
  ip: build.Ipv4Options = {},
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const segment = build.tcp({ sourcePort: 33_000, destinationPort: 179, ...tcp }, data)
  return framed(build.ipv4({ source: PEER, destination: GATEWAY, ...ip }, segment))
}

export function fromPeer6(
  tcp: build.TcpOptions,
  ip: build.Ipv6Options = {},
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const segment = build.tcp({ sourcePort: 33_000, destinationPort: 179, ...tcp }, data)
  return framed(build.ipv6({ source: PEER_6, destination: GATEWAY_6, ...ip }, segment))
}

export function framed(packet: build.Layer): Uint8Array {
  return build.ethernet({ source: PEER_MAC, destination: GATEWAY_MAC }, packet)
}
