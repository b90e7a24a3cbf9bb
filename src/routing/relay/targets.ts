/**
 * Whom probes watch in tenants' networks (IP SLA), and what they were asked: a target may be a neighbour too, and as one has
 * another number. Only answers are let in, and each only where the kernel has sent a question from: whatever else listens on
 * this host is nothing to a tenant.
 */

import { ICMP_TYPE, icmpEcho } from '../../wire/icmp.ts'
import { ICMPV6_TYPE } from '../../wire/icmpv6.ts'
import { PROTOCOL } from '../../wire/ipv4.ts'
import { tcp } from '../../wire/tcp.ts'
import { udp } from '../../wire/udp.ts'
import { Peer, PeerTable } from './peer-table.ts'
import type { Way } from './ways.ts'

/** Of a target, by their last packets: TCP probes have a port each, and the connections of a thousand are open at a time. */
const FLOWS_MAX = 1024
const NO_FLOW = -1

export class Targets {
  readonly table = new PeerTable()
  /** By target: the flows that were asked, the latest last. */
  readonly #asked = new Map<Peer, Set<number>>()

  /** These besides those that are known. */
  add(ways: readonly Way[]): void {
    for (const way of ways) {
      if (this.table.numbered(way.number)) continue
      const target = new Peer(way, way.number, way.peers.address)
      this.table.add(target)
      this.#asked.set(target, new Set())
    }
  }

  remove(target: Peer): void {
    this.table.remove(target)
    this.#asked.delete(target)
  }

  /** The kernel sends this to the target. False when it is no question. */
  asks(target: Peer, view: DataView, protocol: number, at: number): boolean {
    const flow = questionAt(view, protocol, at)
    const flows = this.#asked.get(target)
    if (flow === NO_FLOW || !flows) return false
    flows.delete(flow)
    flows.add(flow)
    const [oldest] = flows
    if (flows.size > FLOWS_MAX) flows.delete(oldest!)
    return true
  }

  /** Who answers with this, where the source address of `addressBytes` is at `source`; undefined when nobody was asked. */
  answering(
    vni: number,
    view: DataView,
    source: number,
    addressBytes: number,
    protocol: number,
    at: number,
  ): Peer | undefined {
    if (this.table.size === 0) return undefined
    const target = this.table.find(vni, view, source, addressBytes)
    return target && this.#asked.get(target)!.has(answerAt(view, protocol, at)) ? target : undefined
  }
}

/** Which flow a packet of the kernel's asks on. */
function questionAt(view: DataView, protocol: number, at: number): number {
  const ports = portsOf(protocol)
  if (ports) return flowOf(protocol, ports.sourcePort.get(view, at), ports.destinationPort.get(view, at))
  return echoAt(view, protocol, at, ICMP_TYPE.echoRequest, ICMPV6_TYPE.echoRequest)
}

/** Which flow a packet of a target's answers on: the same, seen from the other end. */
function answerAt(view: DataView, protocol: number, at: number): number {
  const ports = portsOf(protocol)
  if (ports) return flowOf(protocol, ports.destinationPort.get(view, at), ports.sourcePort.get(view, at))
  return echoAt(view, protocol, at, ICMP_TYPE.echoReply, ICMPV6_TYPE.echoReply)
}

function portsOf(protocol: number): typeof tcp | typeof udp | undefined {
  if (protocol === PROTOCOL.tcp) return tcp
  return protocol === PROTOCOL.udp ? udp : undefined
}

function echoAt(view: DataView, protocol: number, at: number, type4: number, type6: number): number {
  if (protocol !== PROTOCOL.icmp && protocol !== PROTOCOL.icmpv6) return NO_FLOW
  if (icmpEcho.type.get(view, at) !== (protocol === PROTOCOL.icmp ? type4 : type6)) return NO_FLOW
  return flowOf(protocol, icmpEcho.identifier.get(view, at), 0)
}

function flowOf(protocol: number, ours: number, theirs: number): number {
  return (protocol * 0x10000 + ours) * 0x10000 + theirs
}
