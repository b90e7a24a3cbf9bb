/**
 * Socket addresses: an IP address with a port, as our code holds them and as the kernel does (struct sockaddr_in and
 * sockaddr_in6, ip(7) and ipv6(7)).
 */

import type { IpAddress } from '../base/address.ts'
import { bytes, struct, u16, u16be, u32 } from './struct.ts'

export const AF_INET = 2
export const AF_INET6 = 10

const sockaddrIn = struct('struct sockaddr_in', { family: u16, port: u16be, address: bytes(4), zero: bytes(8) })
const sockaddrIn6 = struct('struct sockaddr_in6', {
  family: u16,
  port: u16be,
  flow: u32,
  address: bytes(16),
  scope: u32,
})

/** The longer of the two: what a call that fills one in is given. */
export const SOCKADDR_BYTES = sockaddrIn6.BYTES

export interface Endpoint {
  address: IpAddress
  port: number
  /** The interface of a link-local IPv6 address. */
  interfaceIndex?: number
}

export function familyOf(address: IpAddress): number {
  return address.length === 4 ? AF_INET : AF_INET6
}

export function sockaddr({ address, port, interfaceIndex = 0 }: Endpoint): Uint8Array {
  if (address.length === 4) return sockaddrIn.make({ family: AF_INET, port, address })
  return sockaddrIn6.make({ family: AF_INET6, port, address, scope: interfaceIndex })
}

/** Of a family that is neither, as of a packet socket: no address and port 0. */
export function endpointOf(raw: Uint8Array): Endpoint {
  const family = raw[0]! | (raw[1]! << 8)
  if (family === AF_INET) {
    const { address, port } = sockaddrIn.read(raw)
    return { address, port }
  }
  if (family === AF_INET6) {
    const { address, port, scope } = sockaddrIn6.read(raw)
    return { address, port, interfaceIndex: scope }
  }
  return { address: new Uint8Array(0), port: 0 }
}
