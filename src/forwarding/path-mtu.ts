/**
 * What paths to tunnel endpoints take at most (RFC 1191, RFC 8201). Tunnels are sent with "don't fragment", so a router of
 * the underlay that cannot pass one on says so to our VIP, which is to say: to any node of the cluster. The host's kernel
 * hands us those messages; what they tell is believed for ten minutes (RFC 1191 section 6.3) and shared with the other nodes.
 */

import { formatAddress, type IpAddress } from '../base/address.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { Fault } from '../wire/fault.ts'
import { bytesOf } from '../wire/header.ts'
import { checkIcmp, ICMP_TYPE, ICMP_UNREACHABLE, icmpError } from '../wire/icmp.ts'
import { ICMPV6_TYPE, icmpv6 } from '../wire/icmpv6.ts'
import { checkIpv4Header, ipv4, ipv4HeaderBytes, PROTOCOL } from '../wire/ipv4.ts'
import { checkIpv6Header, IPV6_MTU_MIN, ipv6 } from '../wire/ipv6.ts'
import { UDP_PORT, udp } from '../wire/udp.ts'

export const PATH_MTU_LIFETIME_s = 600

/** RFC 1191's smallest plateau that tunnels make sense on; below it the message is a mistake or an attack. */
const MTU4_MIN = 576

export interface LearntMtu {
  readonly remote: IpAddress
  readonly mtu: number
}

/**
 * Reads an ICMP or ICMPv6 message: what it says about the path to one of our tunnels' far ends. Undefined for anything
 * else, and for what quotes no tunnel packet of ours: a guess from elsewhere must at least name our VIP as the source.
 */
export function learntFrom(
  message: Uint8Array,
  version: 4 | 6,
  isOurs: (source: IpAddress) => boolean,
): LearntMtu | undefined {
  const view = new DataView(message.buffer, message.byteOffset, message.length)
  return version === 4 ? learnt4(view, isOurs) : learnt6(view, isOurs)
}

function learnt4(view: DataView, isOurs: (source: IpAddress) => boolean): LearntMtu | undefined {
  const end = view.byteLength
  // Raw sockets are handed messages whose checksum nobody has looked at.
  if (end < icmpError.BYTES + ipv4.BYTES + udp.BYTES || checkIcmp(view, 0, end) !== Fault.none) return undefined
  if (icmpError.type.get(view, 0) !== ICMP_TYPE.destinationUnreachable) return undefined
  if (icmpError.code.get(view, 0) !== ICMP_UNREACHABLE.fragmentationNeeded) return undefined
  const quoted = icmpError.BYTES
  // A router may have changed what it quotes; the checksum is not what makes it ours.
  const fault = checkIpv4Header(view, quoted, end)
  if (fault !== Fault.none && fault !== Fault['bad-checksum']) return undefined
  const at = quoted + ipv4HeaderBytes(view, quoted)
  if (!isTunnel(view, ipv4.protocol.get(view, quoted), at)) return undefined
  if (!isOurs(bytes4(view, quoted + ipv4.source.offset))) return undefined
  const mtu = icmpError.nextHopMtu.get(view, 0)
  return mtu < MTU4_MIN ? undefined : { remote: bytes4(view, quoted + ipv4.destination.offset), mtu }
}

function bytes4(view: DataView, at: number): IpAddress {
  return new Uint8Array(view.buffer, view.byteOffset + at, 4).slice()
}

function learnt6(view: DataView, isOurs: (source: IpAddress) => boolean): LearntMtu | undefined {
  const end = view.byteLength
  const quoted = icmpv6.BYTES
  if (end < quoted + ipv6.BYTES + udp.BYTES || icmpv6.type.get(view, 0) !== ICMPV6_TYPE.packetTooBig) return undefined
  if (checkIpv6Header(view, quoted, end) !== Fault.none) return undefined
  if (!isTunnel(view, ipv6.nextHeader.get(view, quoted), quoted + ipv6.BYTES)) return undefined
  if (!isOurs(bytesOf(ipv6.source, view, quoted))) return undefined
  const mtu = icmpv6.rest.get(view, 0)
  return mtu < IPV6_MTU_MIN ? undefined : { remote: bytesOf(ipv6.destination, view, quoted), mtu }
}

function isTunnel(view: DataView, protocol: number, at: number): boolean {
  if (protocol === PROTOCOL.gre) return true
  return (
    protocol === PROTOCOL.udp &&
    at + udp.BYTES <= view.byteLength &&
    udp.destinationPort.get(view, at) === UDP_PORT.vxlan
  )
}

interface Entry {
  readonly mtu: number
  readonly expiry: Timer
}

/** As many tunnel endpoints as a site has hosts and switches, and then some. Only endpoints that we send to are learnt of. */
const PATHS_MAX = 65_536

export class PathMtus {
  readonly #clock: Clock
  readonly #changed: (remote: IpAddress) => void
  readonly #entries = new Map<string, Entry>()

  constructor(clock: Clock, changed: (remote: IpAddress) => void) {
    this.#clock = clock
    this.#changed = changed
  }

  of(remote: IpAddress): number | undefined {
    return this.#entries.get(formatAddress(remote))?.mtu
  }

  /** True when this is news, worth telling to the other nodes. A path becomes larger again only by the end of its lifetime. */
  learn(remote: IpAddress, mtu: number, lifetime_s: number): boolean {
    const key = formatAddress(remote)
    const known = this.#entries.get(key)
    if ((known && known.mtu <= mtu) || (!known && this.#entries.size === PATHS_MAX)) return false
    known?.expiry.cancel()
    const expiry = this.#clock.after(lifetime_s * 1000, () => {
      this.#entries.delete(key)
      this.#changed(remote)
    })
    this.#entries.set(key, { mtu, expiry })
    this.#changed(remote)
    return true
  }

  close(): void {
    for (const { expiry } of this.#entries.values()) expiry.cancel()
    this.#entries.clear()
  }
}
