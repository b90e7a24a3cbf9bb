/**
 * The flow hash: which packets belong together. Both directions of a connection have the same hash, so the rack switch
 * sends them to the same node and the dispatcher to the same worker. Fragments go by addresses and protocol alone,
 * since only the first has ports; ICMP queries go by their identifier; an ICMP error goes with the flow of the packet
 * that it quotes.
 *
 * Who chooses among members mixes the hash with a salt of its own: switches, workers and ECMP groups must not agree, or
 * the second choice has nothing left to choose from.
 */

import { mix32 } from '../base/hash.ts'
import { Fault } from '../wire/fault.ts'
import { icmp, isIcmpError } from '../wire/icmp.ts'
import { isIcmpv6Error } from '../wire/icmpv6.ts'
import { checkIpv4Header, ipv4, ipv4HeaderBytes, isIpv4Fragment, PROTOCOL } from '../wire/ipv4.ts'
import { checkIpv6Header, FRAGMENT, ipv6, ipv6Walk, walkIpv6 } from '../wire/ipv6.ts'

/** Bytes of an ICMP or ICMPv6 error before the packet that it quotes. */
const QUOTE_AT = 8

const walk = ipv6Walk()

/** `l3` is a checked IPv4 header; `end` bounds what may be read behind it. */
export function flowHash4(frame: DataView, l3: number, end: number): number {
  const protocol = ipv4.protocol.get(frame, l3)
  const addresses = pair(ipv4.source.get(frame, l3), ipv4.destination.get(frame, l3))
  if (isIpv4Fragment(frame, l3)) return mix32(addresses + protocol)
  const l4 = l3 + ipv4HeaderBytes(frame, l3)
  if (protocol === PROTOCOL.icmp && l4 + QUOTE_AT <= end && isIcmpError(icmp.type.get(frame, l4))) {
    const quoted = l4 + QUOTE_AT
    const fault = checkIpv4Header(frame, quoted, end)
    // A router may have changed what it quotes: the checksum need not hold.
    if ((fault === Fault.none || fault === Fault['bad-checksum']) && !isError4(frame, quoted, end))
      return flowHash4(frame, quoted, end)
  }
  return mix32(addresses + protocol + ports(frame, protocol, l4, end))
}

/** `l3` is a checked IPv6 header. */
export function flowHash6(frame: DataView, l3: number, end: number): number {
  const addresses = pair(foldAddress(frame, l3 + ipv6.source.offset), foldAddress(frame, l3 + ipv6.destination.offset))
  if (walkIpv6(frame, l3, end, walk) !== Fault.none) return mix32(addresses)
  const { protocol, at } = walk
  if (walk.fragment !== FRAGMENT.none) return mix32(addresses + protocol)
  if (protocol === PROTOCOL.icmpv6 && at + QUOTE_AT <= end && isIcmpv6Error(frame.getUint8(at))) {
    const quoted = at + QUOTE_AT
    if (checkIpv6Header(frame, quoted, end) === Fault.none && !isError6(frame, quoted, end))
      return flowHash6(frame, quoted, end)
  }
  return mix32(addresses + protocol + ports(frame, protocol, at, end))
}

// An error about an error is nobody's flow, and would be looked into without end.
function isError4(frame: DataView, l3: number, end: number): boolean {
  if (ipv4.protocol.get(frame, l3) !== PROTOCOL.icmp) return false
  const l4 = l3 + ipv4HeaderBytes(frame, l3)
  return l4 >= end || isIcmpError(icmp.type.get(frame, l4))
}

function isError6(frame: DataView, l3: number, end: number): boolean {
  if (walkIpv6(frame, l3, end, walk) !== Fault.none || walk.fragment === FRAGMENT.later) return false
  return walk.protocol === PROTOCOL.icmpv6 && (walk.at >= end || isIcmpv6Error(frame.getUint8(walk.at)))
}

/** For what is not IP: the two MAC addresses and the type. */
export function flowHashEthernet(frame: DataView, l2: number): number {
  const destination = frame.getUint32(l2 + 2)
  const source = frame.getUint32(l2 + 8)
  return mix32(pair(source, destination) + frame.getUint16(l2 + 12))
}

// The same for (a, b) and (b, a), and no two that differ in the same bits cancel out, as they would under xor alone.
function pair(a: number, b: number): number {
  return (mix32(a) + mix32(b)) | 0
}

function ports(frame: DataView, protocol: number, l4: number, end: number): number {
  if (protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp)
    return l4 + 4 <= end ? pair(frame.getUint16(l4), frame.getUint16(l4 + 2)) : 0
  if (protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6)
    return l4 + 6 <= end && isQuery(frame.getUint8(l4)) ? mix32(frame.getUint16(l4 + 4)) : 0
  return 0
}

// Echo request and reply, of ICMP (8, 0) and of ICMPv6 (128, 129): both directions carry the identifier.
function isQuery(type: number): boolean {
  return type === 8 || type === 0 || type === 128 || type === 129
}

function foldAddress(frame: DataView, at: number): number {
  const upper = mix32(frame.getUint32(at) ^ mix32(frame.getUint32(at + 4)))
  return mix32(frame.getUint32(at + 12) ^ mix32(frame.getUint32(at + 8) ^ upper))
}
