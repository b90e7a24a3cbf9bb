/**
 * The underlay's side of the switch: packets that came in by a routed port and are for others. A VIP's packets go to
 * one of its live nodes, chosen by the inner flow, so that both directions of a connection meet the same node, and
 * whatever carries them (VXLAN, GRE, nothing). All others go where the kernel's routes say. RFC 1812 section 5 and RFC
 * 8200 for what a router owes a packet: the TTL, and an ICMP error if it cannot go on. It does not fragment; tunnels do
 * not want it (RFC 7348 section 4.3), and for the rest path MTU discovery works with the ICMP error.
 */

import { mix32 } from '../base/hash.ts'
import { ActionKind } from '../dataplane/action.ts'
import { type Batch, FORWARD } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { encapsulate } from '../dataplane/encapsulate.ts'
import { HEADROOM, NO_FRAME } from '../dataplane/frames.ts'
import { mayReportTo4, mayReportTo6, writeIcmpError, writeIcmpv6Error } from '../dataplane/icmp-error.ts'
import { ETHERTYPE } from '../wire/ethernet.ts'
import { ICMP_TYPE, ICMP_UNREACHABLE } from '../wire/icmp.ts'
import { ICMPV6_TYPE, ICMPV6_UNREACHABLE } from '../wire/icmpv6.ts'
import { decrementTtl, ipv4 } from '../wire/ipv4.ts'
import { ipv6 } from '../wire/ipv6.ts'
import type { Bridge } from './bridge.ts'
import { Local, type Shared, TRANSIT_ROW, Vrf } from './shared.ts'

export class Router {
  readonly #shared: Shared
  readonly #bridge: Bridge

  constructor(shared: Shared, bridge: Bridge) {
    this.#shared = shared
    this.#bridge = bridge
  }

  /** A packet from a routed port: where does it go? Writes `action` and `tenant`. */
  admit(batch: Batch, row: number): number {
    const { actions, pathSalt } = this.#shared.views
    const words = actions.words
    const at = actions.resolve(this.#lookup(batch, row), mix32(this.#shared.columns.pathHash[row]! ^ pathSalt))
    batch.tenant[row] = TRANSIT_ROW
    batch.action[row] = at
    if (words[at] !== ActionKind.local) return FORWARD
    const what = words[at + 6]!
    if (what === Local.host) return Drop['no-listener']
    if (what === Local.tunnelEnd) return this.#bridge.admit(batch, row)
    const node = this.#shared.chooseNode(what, batch.hash[row]!)
    batch.action[row] = node
    return words[node] === ActionKind.local ? Drop['no-listener'] : FORWARD
  }

  /** Such a packet, admitted. */
  route(batch: Batch, row: number): number {
    const words = this.#shared.views.actions.words
    const at = batch.action[row]!
    if (words[at] === ActionKind.send) return this.#forward(batch, row, at)
    if (words[at] === ActionKind.local) return this.#bridge.fromTunnel(batch, row)
    this.#unreachable(batch, row)
    return words[at + 6]!
  }

  #lookup(batch: Batch, row: number): number {
    const { fib, frames } = this.#shared.views
    const l3 = batch.l3[row]!
    if (this.#shared.columns.etherType[row] === ETHERTYPE.ipv4)
      return fib.lookup4(Vrf.underlay, ipv4.destination.get(frames.view, l3))
    return fib.lookup6(Vrf.underlay, frames.view, l3 + ipv6.destination.offset)
  }

  #forward(batch: Batch, row: number, at: number): number {
    const { actions, frames } = this.#shared.views
    const view = frames.view
    const l3 = batch.l3[row]!
    const etherType = this.#shared.columns.etherType[row]!
    const isIpv4 = etherType === ETHERTYPE.ipv4
    const ttl = isIpv4 ? ipv4.ttl.get(view, l3) : ipv6.hopLimit.get(view, l3)
    if (ttl <= 1) {
      if (isIpv4) this.#report4(batch, row, ICMP_TYPE.timeExceeded, 0, 0)
      else this.#report6(batch, row, ICMPV6_TYPE.timeExceeded, 0, 0)
      return Drop['ttl-exceeded']
    }
    const mtu = actions.words[at + 4]!
    if (this.#shared.columns.end[row]! - l3 > mtu) {
      if (isIpv4) this.#report4(batch, row, ICMP_TYPE.destinationUnreachable, ICMP_UNREACHABLE.fragmentationNeeded, mtu)
      else this.#report6(batch, row, ICMPV6_TYPE.packetTooBig, 0, mtu)
      return Drop['too-big']
    }
    if (isIpv4) decrementTtl(view, l3)
    else ipv6.hopLimit.set(view, l3, ttl - 1)
    encapsulate(frames, actions, batch, row, at, l3, 0, etherType)
    return FORWARD
  }

  #unreachable(batch: Batch, row: number): void {
    if (this.#shared.columns.etherType[row] === ETHERTYPE.ipv4)
      this.#report4(batch, row, ICMP_TYPE.destinationUnreachable, ICMP_UNREACHABLE.host, 0)
    else this.#report6(batch, row, ICMPV6_TYPE.destinationUnreachable, ICMPV6_UNREACHABLE.noRoute, 0)
  }

  // ---- ICMP errors

  #report4(batch: Batch, row: number, type: number, code: number, mtu: number): void {
    const { frames, own } = this.#shared.views
    const l3 = batch.l3[row]!
    const readable = this.#readable(batch, row)
    if (own.ipv4 === 0 || !mayReportTo4(frames.view, l3, readable)) return
    const to = this.#chunkForError()
    if (to === NO_FRAME) return
    const bytes = writeIcmpError(frames.bytes, frames.view, to, l3, readable - l3, type, code, mtu, own.ipv4)
    this.#originate(batch.hash[row]!, to, bytes, ETHERTYPE.ipv4)
  }

  #report6(batch: Batch, row: number, type: number, code: number, rest: number): void {
    const { frames, own } = this.#shared.views
    const l3 = batch.l3[row]!
    const readable = this.#readable(batch, row)
    if (!own.has6 || !mayReportTo6(frames.view, l3, readable, type === ICMPV6_TYPE.packetTooBig)) return
    const to = this.#chunkForError()
    if (to === NO_FRAME) return
    own.writeSource6(frames.view, to)
    const bytes = writeIcmpv6Error(frames.bytes, frames.view, to, l3, readable - l3, type, code, rest)
    this.#originate(batch.hash[row]!, to, bytes, ETHERTYPE.ipv6)
  }

  #readable(batch: Batch, row: number): number {
    return Math.min(this.#shared.columns.end[row]!, batch.address[row]! + batch.length[row]!)
  }

  /** Where an error may be written; NO_FRAME if there can be none now, which is counted. */
  #chunkForError(): number {
    const { ledger, pool } = this.#shared.views
    const mayAnswer = this.#shared.mayAnswer()
    const chunk = mayAnswer ? pool.take() : NO_FRAME
    if (chunk !== NO_FRAME) return chunk + HEADROOM
    ledger.notOriginated(TRANSIT_ROW, mayAnswer ? Drop['no-frames'] : Drop['icmp-rate'])
    return NO_FRAME
  }

  /** Sends a packet of our own, which is at `l3` and about the flow, where its destination leads. */
  #originate(flow: number, l3: number, bytes: number, etherType: number): void {
    const { actions, fib, frames, ledger } = this.#shared.views
    this.#shared.flushOriginated()
    const { originated } = this.#shared
    const row = originated.push(0, l3, bytes, bytes)
    originated.tenant[row] = TRANSIT_ROW
    ledger.originated(TRANSIT_ROW)
    const slot =
      etherType === ETHERTYPE.ipv4
        ? fib.lookup4(Vrf.underlay, ipv4.destination.get(frames.view, l3))
        : fib.lookup6(Vrf.underlay, frames.view, l3 + ipv6.destination.offset)
    const at = this.#toNode(actions.resolve(slot, 0), flow)
    const kind = actions.words[at]
    if (kind === ActionKind.send) encapsulate(frames, actions, originated, row, at, l3, 0, etherType)
    else originated.verdict[row] = kind === ActionKind.drop ? actions.words[at + 6]! : Drop['no-listener']
  }

  // What a node sends comes from its VIP, and so an error about it is for a VIP that may be spread here.
  #toNode(at: number, flow: number): number {
    const words = this.#shared.views.actions.words
    const isSpread = words[at] === ActionKind.local && words[at + 6]! > Local.tunnelEnd
    return isSpread ? this.#shared.chooseNode(words[at + 6]!, flow) : at
  }
}
