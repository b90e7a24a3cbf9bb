/**
 * What a TCP socket is set to before it connects or listens, and some of it at any time after. A socket that a listener
 * accepts begins with the listener's. Numbers are Linux's: tcp(7), ip(7), ipv6(7), socket(7).
 */

import { SOL_SOCKET, setOption } from './option.ts'
import { AF_INET, AF_INET6 } from './socket-address.ts'
import { type Md5Key, setMd5Key } from './tcp-md5.ts'

export interface TcpOptions {
  /** TTL or hop limit of what is sent: 255 where the peer expects GTSM, 1 where it must not leave the link. */
  ttl?: number
  /**
   * GTSM (RFC 5082): the kernel drops what arrives with less. 255 lets through what came over one hop and no router,
   * 254 what passed one router.
   */
  minimumTtl?: number
  /** The whole byte: DSCP and ECN. */
  trafficClass?: number
  /** Only by this interface, whatever the routes say. */
  device?: string
  /** The kernel doubles both for its own needs, and keeps them below net.core.rmem_max and wmem_max. */
  receiveBufferBytes?: number
  sendBufferBytes?: number
  /** How long what was sent may go unacknowledged before the connection fails as timed out. The kernel's own: minutes. */
  userTimeout_ms?: number
  /** TCP-MD5 (RFC 2385): with which peers, and with what. */
  md5Keys?: readonly Md5Key[]
  /** Take addresses that this host does not have, or not yet. */
  freeBind?: boolean
}

/** CS6, internetwork control, which is where routing belongs (RFC 4594 section 3.1). */
export const CONTROL_TRAFFIC_CLASS = 0xc0

export const SO_REUSEADDR = 2
const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_BINDTODEVICE = 25

const IPPROTO_TCP = 6
const TCP_NODELAY = 1
const TCP_USER_TIMEOUT = 18

/** The same options, by numbers of their own in each version. */
const IP = {
  [AF_INET]: { level: 0, trafficClass: 1, ttl: 2, freeBind: 15, minimumTtl: 21 },
  [AF_INET6]: { level: 41, trafficClass: 67, ttl: 16, freeBind: 78, minimumTtl: 73 },
} as const
/** Of IPv4's level for both versions. */
const IP_BIND_ADDRESS_NO_PORT = 24
const IPV6_V6ONLY = 26

export function setTcpOptions(fd: number, family: number, options: TcpOptions): void {
  const ip = IP[family as keyof typeof IP]
  const set = (level: number, option: number, value: number | undefined): void => {
    if (value !== undefined) setOption(fd, level, option, value)
  }
  if (options.device !== undefined) setOption(fd, SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${options.device}\0`))
  set(SOL_SOCKET, SO_RCVBUF, options.receiveBufferBytes)
  set(SOL_SOCKET, SO_SNDBUF, options.sendBufferBytes)
  set(ip.level, ip.ttl, options.ttl)
  set(ip.level, ip.minimumTtl, options.minimumTtl)
  set(ip.level, ip.trafficClass, options.trafficClass)
  if (options.freeBind) set(ip.level, ip.freeBind, 1)
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, options.userTimeout_ms)
  for (const key of options.md5Keys ?? []) setMd5Key(fd, key)
}

/** Sends at once what is handed over: messages are written whole, and nothing is gained by waiting for more. */
export function setNoDelay(fd: number): void {
  setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1)
}

/** IPv6 alone: an IPv4 listener of the same port stands beside it, and no address is met in two forms. */
export function setIpv6Only(fd: number): void {
  setOption(fd, IP[AF_INET6].level, IPV6_V6ONLY, 1)
}

/** Leaves the choice of the port to connect(), which can share one among connections to different peers. */
export function setPortAtConnect(fd: number): void {
  setOption(fd, IP[AF_INET].level, IP_BIND_ADDRESS_NO_PORT, 1)
}
