/**
 * The session relay (DSR section 3.2.2): tenants' BGP comes to the routing module in VXLAN, from forwarding nodes, and the
 * kernel's TCP speaks it. Tenants' addresses overlap, so every peer has one of its own towards the kernel, and all of them
 * meet on one TUN device.
 *
 *   forwarding nodes <--VXLAN--> DatagramReceiver --> Inbound  --> TUN --> kernel's TCP <--> session thread
 *                                PacketSender    <-- Outbound <-- TUN <--
 *
 * Standing on the path of every segment it does what the kernel could do for one address only: checks and signs MD5 on the
 * tenant's own addresses, enforces GTSM, keeps strangers out, and lets FIN and RST pass only when they are meant. This
 * file knows neither sockets nor devices: they are handed in.
 */

import { formatAddress, type IpAddress } from '../../base/address.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { DynamicPeers } from './dynamic-peers.ts'
import { FrameWriter, type PacketSink } from './frame-writer.ts'
import { Inbound, type KernelPort } from './inbound.ts'
import { FIRST_DYNAMIC } from './inner-address.ts'
import { NeighbourAnswers } from './neighbour-answers.ts'
import { Outbound } from './outbound.ts'
import type { PeerMemory } from './peer-memory.ts'
import { Peer, PeerTable } from './peer-table.ts'
import { Placement } from './placement.ts'
import { RelayCounters } from './refusal.ts'
import { type Segment, segmentsOf } from './segment.ts'
import { Targets } from './targets.ts'
import type { RelaySetup } from './ways.ts'

export interface RelayParts {
  readonly setup: RelaySetup
  readonly memory: PeerMemory
  readonly clock: Clock
  readonly sink: PacketSink
  readonly kernel: KernelPort
  /** The largest packet of a tenant's that fits into a tunnel to this VIP. */
  readonly packetMax: (vip: IpAddress) => number
}

/** A session that is none of the site's any more takes its leave, and the peer's last acknowledgements come. */
const LINGER_ms = 3000

export class Relay {
  readonly counters = new RelayCounters()
  readonly #placement: Placement
  readonly #peers = new PeerTable()
  readonly #targets = new Targets()
  readonly #segments = new Map<number, Segment>()
  readonly #dynamic: DynamicPeers
  readonly #answers: NeighbourAnswers
  readonly #writer: FrameWriter
  readonly #inbound: Inbound
  readonly #outbound: Outbound
  readonly #clock: Clock
  readonly #packetMax: RelayParts['packetMax']
  #setup: RelaySetup
  #forgetting: Timer | undefined

  constructor({ setup, memory, clock, sink, kernel, packetMax }: RelayParts) {
    const { counters } = this
    const peers = this.#peers
    const segments = this.#segments
    const mac = new DataView(Uint8Array.of(0, 0, ...setup.mac).buffer).getBigUint64(0)
    const ours = Number(mac)
    this.#placement = new Placement(setup)
    this.#dynamic = new DynamicPeers({ peers, memory, clock, left: (peer) => this.#answers.forget(peer) })
    this.#clock = clock
    this.#packetMax = packetMax
    this.#setup = setup
    const writer = new FrameWriter(sink, counters, setup.address, ours)
    const send = (packet: Uint8Array): void => this.#outbound.again(packet)
    const targets = this.#targets
    const tables = [peers, targets.table]
    const answers = new NeighbourAnswers({ segments, tables, writer, counters, clock, mac: ours, send })
    this.#answers = answers
    this.#writer = writer
    this.#outbound = new Outbound({ segments, peers, targets, memory, answers, writer, counters })
    this.#inbound = new Inbound({
      ...{ segments, peers, targets, answers, counters, kernel, clock, mac: ours },
      dynamic: this.#dynamic,
      isHere: (way) => this.#placement.isHere(way),
    })
    this.#add()
  }

  /** Another site file. Who is gone is known for a while yet: his session takes leave through here. */
  take(setup: RelaySetup): void {
    this.#placement.take(setup)
    this.#setup = setup
    this.#add()
    this.#forgetting?.cancel()
    this.#forgetting = this.#clock.after(LINGER_ms, () => this.#forgetGone())
  }

  /** The payload of a datagram from a forwarding node. It is changed in place; ten bytes before it are its own. */
  frame(view: DataView, at: number, end: number, from: IpAddress): void {
    this.#inbound.frame(view, at, end, from)
  }

  /** A packet of the TUN device, with its virtio header. */
  packet(bytes: Uint8Array): void {
    this.#outbound.packet(bytes)
  }

  /** Sends what was gathered: after some frames or packets. */
  flush(): void {
    this.#writer.flush()
  }

  /** Peers that something is kept of. */
  get peerCount(): number {
    return this.#peers.size
  }

  /** Asks anew what fits into the tunnels: the ways there may have become wider or narrower. */
  measure(): void {
    const widths = new Map<string, number>()
    const packetMax = (vip: IpAddress): number => {
      const text = formatAddress(vip)
      const known = widths.get(text) ?? this.#packetMax(vip)
      widths.set(text, known)
      return known
    }
    for (const [vni, segment] of segmentsOf(this.#setup, packetMax)) this.#segments.set(vni, segment)
  }

  /** Which routing nodes live. */
  setMembers(names: readonly string[]): void {
    this.#placement.setMembers(names)
    this.#place()
  }

  #add(): void {
    const { ways, targets, nodes } = this.#setup
    // One who came from a prefix and is named now is found as that: his session ends (relayed-peers.ts, `isNamed`).
    for (const way of ways)
      if (way.number !== 0 && !this.#peers.numbered(way.number))
        this.#peers.add(new Peer(way, way.number, way.peers.address))
    this.#targets.add(targets)
    this.measure()
    this.#answers.setSegments(this.#segments.size)
    this.#inbound.setNodes(nodes)
    this.#place()
  }

  /** Peers before their segments: on each packet of a peer in the tables there is one. */
  #forgetGone(): void {
    const { ways, targets, segments } = this.#setup
    const kept = new Set([...ways, ...targets].map(({ index }) => index))
    for (const peer of [...this.#peers.all()].filter(({ way }) => !kept.has(way.index))) {
      this.#answers.forget(peer)
      if (peer.number < FIRST_DYNAMIC) this.#peers.remove(peer)
    }
    this.#dynamic.keep(kept)
    for (const target of [...this.#targets.table.all()].filter(({ way }) => !kept.has(way.index))) {
      this.#answers.forget(target)
      this.#targets.remove(target)
    }
    const vnis = new Set(segments.map(({ vni }) => vni))
    for (const vni of this.#segments.keys()) if (!vnis.has(vni)) this.#segments.delete(vni)
  }

  #place(): void {
    for (const peer of this.#peers.all()) peer.isHere = this.#placement.isHere(peer.way)
  }
}
