/**
 * How a machine finds its gateway: whatever neighbour it asks for, the vSwitch says that it is the gateway (proxy ARP,
 * RFC 1027, and its counterpart in neighbour discovery, RFC 4861 section 7.2.8). Requests are turned into their answers
 * in place.
 */

import type { IpAddress } from '../../src/base/address.ts'
import { ARP_OPERATION, arp, checkArp } from '../../src/wire/arp.ts'
import { ethernet } from '../../src/wire/ethernet.ts'
import { Fault } from '../../src/wire/fault.ts'
import { checkIcmpv6, ICMPV6_TYPE, icmpv6, writeIcmpv6Checksum } from '../../src/wire/icmpv6.ts'
import { PROTOCOL } from '../../src/wire/ipv4.ts'
import { checkIpv6, ipv6, ipv6End } from '../../src/wire/ipv6.ts'
import {
  checkNeighbourDiscovery,
  linkLayerOption,
  ND_ADVERTISEMENT,
  ND_OPTION,
  neighbourAdvertisement,
  neighbourSolicitation,
} from '../../src/wire/neighbour-discovery.ts'

/** False, and the frame untouched, when it is no request or asks for one of the machine's own addresses. */
export function answerArp(
  view: DataView,
  at: number,
  end: number,
  own: readonly IpAddress[],
  gatewayMac: number,
): boolean {
  const request = at + ethernet.BYTES
  if (checkArp(view, request, end) !== Fault.none) return false
  if (arp.operation.get(view, request) !== ARP_OPERATION.request) return false
  if (isOneOf(own, view, request + arp.targetIp.offset, 4)) return false
  const asker = arp.senderMac.get(view, request)
  const askerIp = arp.senderIp.get(view, request)
  arp.operation.set(view, request, ARP_OPERATION.reply)
  arp.senderIp.set(view, request, arp.targetIp.get(view, request))
  arp.senderMac.set(view, request, gatewayMac)
  arp.targetIp.set(view, request, askerIp)
  arp.targetMac.set(view, request, asker)
  ethernet.destination.set(view, at, asker)
  ethernet.source.set(view, at, gatewayMac)
  return true
}

const ANSWER_BYTES = neighbourAdvertisement.BYTES + linkLayerOption.BYTES

/**
 * Returns the answering frame's length, or 0, and the frame untouched, when there is nothing to answer: it is something
 * else, asks for one of the machine's own addresses, or looks for a double of an address (from the unspecified
 * address).
 */
export function answerNeighbourSolicitation(
  view: DataView,
  ip: number,
  end: number,
  own: readonly IpAddress[],
  gatewayMac: number,
): number {
  if (ipv6.nextHeader.get(view, ip) !== PROTOCOL.icmpv6 || checkIpv6(view, ip, end) !== Fault.none) return 0
  const at = ip + ipv6.BYTES
  const packetEnd = ipv6End(view, ip)
  if (checkIcmpv6(view, at, packetEnd, ip) !== Fault.none) return 0
  if (icmpv6.type.get(view, at) !== ICMPV6_TYPE.neighbourSolicitation) return 0
  if (checkNeighbourDiscovery(view, at, packetEnd, ip) !== Fault.none) return 0
  const target = at + neighbourSolicitation.target.offset
  const source = ip + ipv6.source.offset
  if (isOneOf(own, view, target, 16) || isZero(view, source)) return 0
  copy(view, source, ip + ipv6.destination.offset)
  copy(view, target, source)
  ipv6.payloadLength.set(view, ip, ANSWER_BYTES)
  neighbourAdvertisement.type.set(view, at, ICMPV6_TYPE.neighbourAdvertisement)
  neighbourAdvertisement.flags.set(view, at, (ND_ADVERTISEMENT.solicited | ND_ADVERTISEMENT.override) >>> 0)
  const option = at + neighbourAdvertisement.BYTES
  linkLayerOption.type.set(view, option, ND_OPTION.targetLinkLayer)
  linkLayerOption.length.set(view, option, 1)
  linkLayerOption.address.set(view, option, gatewayMac)
  writeIcmpv6Checksum(view, at, at + ANSWER_BYTES, ip)
  const frame = ip - ethernet.BYTES
  ethernet.destination.set(view, frame, ethernet.source.get(view, frame))
  ethernet.source.set(view, frame, gatewayMac)
  return ethernet.BYTES + ipv6.BYTES + ANSWER_BYTES
}

function copy(view: DataView, from: number, to: number): void {
  for (let i = 0; i < 16; i += 4) view.setUint32(to + i, view.getUint32(from + i))
}

function isZero(view: DataView, at: number): boolean {
  for (let i = 0; i < 16; i += 4) if (view.getUint32(at + i) !== 0) return false
  return true
}

function isOneOf(addresses: readonly IpAddress[], view: DataView, at: number, length: number): boolean {
  for (let i = 0; i < addresses.length; i++) {
    const address = addresses[i]!
    let same = address.length === length
    for (let byte = 0; same && byte < length; byte++) same = view.getUint8(at + byte) === address[byte]
    if (same) return true
  }
  return false
}
