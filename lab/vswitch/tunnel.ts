/**
 * The vSwitch's tunnels: GRE with a key (RFC 2784, RFC 2890) around IP packets, over IPv4 or IPv6. A tunnel's outer
 * headers are finished bytes but for the lengths, the DSCP and ECN of the packet inside, and the checksum.
 */

import { parseAddress, parseMac } from '../../src/base/address.ts'
import { ETHERTYPE, ethernet } from '../../src/wire/ethernet.ts'
import { Fault } from '../../src/wire/fault.ts'
import { checkGreHeader, GRE_FLAG, gre, greHeaderBytes, greKey } from '../../src/wire/gre.ts'
import { emit } from '../../src/wire/header.ts'
import {
  checkIpv4Header,
  IPV4_DONT_FRAGMENT,
  IPV4_PLAIN,
  ipv4,
  ipv4HeaderBytes,
  isIpv4Fragment,
  PROTOCOL,
  writeIpv4Checksum,
} from '../../src/wire/ipv4.ts'
import { checkIpv6Header, ipv6, setTrafficClass, trafficClass } from '../../src/wire/ipv6.ts'

const TTL = 64
const IP_AT = ethernet.BYTES
const KEYED_GRE_BYTES = 8

export interface TunnelEnds {
  readonly mac: string
  readonly nextHopMac: string
  readonly source: string
  readonly destination: string
  readonly key: number
}

export function outerHeader({ mac, nextHopMac, source, destination, key }: TunnelEnds): Uint8Array {
  const addresses = { source: parseAddress(source)!, destination: parseAddress(destination)! }
  const isIpv6 = addresses.source.length === 16
  const link = emit(ethernet, {
    destination: parseMac(nextHopMac)!,
    source: parseMac(mac)!,
    etherType: isIpv6 ? ETHERTYPE.ipv6 : ETHERTYPE.ipv4,
  })
  const outer = isIpv6
    ? emit(ipv6, { versionClassFlow: 0x60000000, nextHeader: PROTOCOL.gre, hopLimit: TTL, ...addresses })
    : emit(ipv4, {
        versionIhl: IPV4_PLAIN,
        flagsFragment: IPV4_DONT_FRAGMENT,
        ttl: TTL,
        protocol: PROTOCOL.gre,
        ...addresses,
      })
  const tunnel = emit(gre, { flagsVersion: GRE_FLAG.key })
  return new Uint8Array(Buffer.concat([link, outer, tunnel, Uint8Array.of(key >>> 24, key >>> 16, key >>> 8, key)]))
}

/** The outer headers, `headerBytes` long, have been copied to `at`; the frame is `total` bytes with them. */
export function finishOuter(
  view: DataView,
  at: number,
  headerBytes: number,
  total: number,
  tos: number,
  etherType: number,
): void {
  const ip = at + IP_AT
  gre.protocol.set(view, at + headerBytes - KEYED_GRE_BYTES, etherType)
  if (ethernet.etherType.get(view, at) === ETHERTYPE.ipv6) {
    ipv6.payloadLength.set(view, ip, total - IP_AT - ipv6.BYTES)
    setTrafficClass(view, ip, tos)
    return
  }
  ipv4.totalLength.set(view, ip, total - IP_AT)
  ipv4.tos.set(view, ip, tos)
  writeIpv4Checksum(view, ip)
}

/** What `openTunnel` found: one object, written each time. */
export const opened = { key: -1, at: 0, isIpv6: false, tos: 0 }

/** Reads the outer headers of a frame and writes `opened`; false when it is no IP in GRE or a fragment. */
export function openTunnel(view: DataView, at: number, end: number): boolean {
  const ip = at + IP_AT
  if (ip > end) return false
  const etherType = ethernet.etherType.get(view, at)
  let tunnel = 0
  if (etherType === ETHERTYPE.ipv4) {
    if (checkIpv4Header(view, ip, end) !== Fault.none || ipv4.protocol.get(view, ip) !== PROTOCOL.gre) return false
    if (isIpv4Fragment(view, ip)) return false
    opened.tos = ipv4.tos.get(view, ip)
    tunnel = ip + ipv4HeaderBytes(view, ip)
  } else if (etherType === ETHERTYPE.ipv6) {
    if (checkIpv6Header(view, ip, end) !== Fault.none || ipv6.nextHeader.get(view, ip) !== PROTOCOL.gre) return false
    opened.tos = trafficClass(view, ip)
    tunnel = ip + ipv6.BYTES
  } else return false
  if (checkGreHeader(view, tunnel, end) !== Fault.none) return false
  const inside = gre.protocol.get(view, tunnel)
  opened.key = greKey(view, tunnel)
  opened.at = tunnel + greHeaderBytes(gre.flagsVersion.get(view, tunnel))
  opened.isIpv6 = inside === ETHERTYPE.ipv6
  return opened.isIpv6 || inside === ETHERTYPE.ipv4
}
