/**
 * Neighbour Discovery for IPv6, RFC 4861 section 4: the five messages, their options, and what makes one valid
 * (sections 6.1, 7.1 and 8.1). What they mean to a neighbour cache is not here.
 */

import { Fault } from './fault.ts'
import { header, ip6, mac, u8, u16, u32 } from './header.ts'
import { ICMPV6_TYPE, icmpv6 } from './icmpv6.ts'
import { ipv6 } from './ipv6.ts'

export const routerSolicitation = header('Router Solicitation, RFC 4861 section 4.1', {
  type: u8,
  code: u8,
  checksum: u16,
  reserved: u32,
})

export const routerAdvertisement = header('Router Advertisement, RFC 4861 section 4.2', {
  type: u8,
  code: u8,
  checksum: u16,
  currentHopLimit: u8,
  flags: u8,
  routerLifetime_s: u16,
  reachableTime_ms: u32,
  retransTimer_ms: u32,
})

export const neighbourSolicitation = header('Neighbour Solicitation, RFC 4861 section 4.3', {
  type: u8,
  code: u8,
  checksum: u16,
  reserved: u32,
  target: ip6,
})

export const neighbourAdvertisement = header('Neighbour Advertisement, RFC 4861 section 4.4', {
  type: u8,
  code: u8,
  checksum: u16,
  flags: u32,
  target: ip6,
})

export const redirect = header('Redirect, RFC 4861 section 4.5', {
  type: u8,
  code: u8,
  checksum: u16,
  reserved: u32,
  target: ip6,
  destination: ip6,
})

export const linkLayerOption = header('Source or target link-layer address of Ethernet, RFC 4861 section 4.6.1', {
  type: u8,
  length: u8,
  address: mac,
})

export const mtuOption = header('MTU, RFC 4861 section 4.6.4', {
  type: u8,
  length: u8,
  reserved: u16,
  mtu: u32,
})

export const ND_OPTION = { sourceLinkLayer: 1, targetLinkLayer: 2, mtu: 5 } as const

/** `flags` of a neighbour advertisement. */
export const ND_ADVERTISEMENT = { router: 0x80000000, solicited: 0x40000000, override: 0x20000000 } as const

/** Nothing that came through a router still has it: the sender is on this link. */
const HOP_LIMIT = 255

/** Of an ICMPv6 message that `checkIcmpv6` passed and whose type is one of the five. */
export function checkNeighbourDiscovery(frame: DataView, at: number, end: number, ip: number): number {
  if (ipv6.hopLimit.get(frame, ip) !== HOP_LIMIT) return Fault['bad-field']
  if (icmpv6.code.get(frame, at) !== 0) return Fault['bad-field']
  const options = at + neighbourDiscoveryBytes(icmpv6.type.get(frame, at))
  if (options === at) return Fault['unknown-protocol']
  if (options > end) return Fault.truncated
  const fault = checkOptions(frame, options, end)
  if (fault !== Fault.none) return fault
  return hasValidAddresses(frame, at, end, ip) ? Fault.none : Fault['bad-field']
}

/** The length of a message without its options; 0 when the type is none of neighbour discovery's. */
export function neighbourDiscoveryBytes(type: number): number {
  if (type === ICMPV6_TYPE.neighbourSolicitation) return neighbourSolicitation.BYTES
  if (type === ICMPV6_TYPE.neighbourAdvertisement) return neighbourAdvertisement.BYTES
  if (type === ICMPV6_TYPE.routerSolicitation) return routerSolicitation.BYTES
  if (type === ICMPV6_TYPE.routerAdvertisement) return routerAdvertisement.BYTES
  if (type === ICMPV6_TYPE.redirect) return redirect.BYTES
  return 0
}

// A length of zero would never end: such a packet is discarded whole (RFC 4861 section 4.6).
function checkOptions(frame: DataView, at: number, end: number): number {
  let option = at
  while (option < end) {
    if (option + 8 > end) return Fault['bad-option']
    const bytes = frame.getUint8(option + 1) * 8
    if (bytes === 0 || option + bytes > end) return Fault['bad-option']
    option += bytes
  }
  return Fault.none
}

function hasValidAddresses(frame: DataView, at: number, end: number, ip: number): boolean {
  const source = ip + ipv6.source.offset
  const destination = ip + ipv6.destination.offset
  switch (icmpv6.type.get(frame, at)) {
    case ICMPV6_TYPE.neighbourSolicitation:
      if (isMulticast6(frame, at + neighbourSolicitation.target.offset)) return false
      // A node that has no address yet asks whether one is taken: all nodes that could have it, and without its own.
      if (!isUnspecified6(frame, source)) return true
      return isSolicitedNode(frame, destination) && neighbourOption(frame, at, end, ND_OPTION.sourceLinkLayer) === 0
    case ICMPV6_TYPE.neighbourAdvertisement:
      if (isMulticast6(frame, at + neighbourAdvertisement.target.offset)) return false
      return !(isMulticast6(frame, destination) && (frame.getUint8(at + 4) & 0x40) !== 0)
    case ICMPV6_TYPE.routerSolicitation:
      return !isUnspecified6(frame, source) || neighbourOption(frame, at, end, ND_OPTION.sourceLinkLayer) === 0
    case ICMPV6_TYPE.routerAdvertisement:
      return isLinkLocal6(frame, source)
    default:
      return isLinkLocal6(frame, source) && !isMulticast6(frame, at + redirect.destination.offset)
  }
}

/** Where the first option of a type begins, in a message whose check has passed; 0 when there is none. */
export function neighbourOption(frame: DataView, at: number, end: number, type: number): number {
  let option = at + neighbourDiscoveryBytes(icmpv6.type.get(frame, at))
  while (option < end) {
    if (frame.getUint8(option) === type) return option
    option += frame.getUint8(option + 1) * 8
  }
  return 0
}

function isMulticast6(frame: DataView, address: number): boolean {
  return frame.getUint8(address) === 0xff
}

/** fe80::/10, RFC 4291 section 2.5.6. */
export function isLinkLocal6(frame: DataView, address: number): boolean {
  return (frame.getUint16(address) & 0xffc0) === 0xfe80
}

function isUnspecified6(frame: DataView, address: number): boolean {
  return (
    frame.getUint32(address) === 0 &&
    frame.getUint32(address + 4) === 0 &&
    frame.getUint32(address + 8) === 0 &&
    frame.getUint32(address + 12) === 0
  )
}

/** ff02::1:ff00:0/104, RFC 4291 section 2.7.1. */
function isSolicitedNode(frame: DataView, address: number): boolean {
  return (
    frame.getUint32(address) === 0xff020000 &&
    frame.getUint32(address + 4) === 0 &&
    frame.getUint32(address + 8) === 1 &&
    frame.getUint8(address + 12) === 0xff
  )
}
