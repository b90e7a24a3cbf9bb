/** The kernel's routes: those of the underlay, for us. rtnetlink(7), RTM_NEWROUTE and its kin. */

import type { IpAddress, Prefix } from '../base/address.ts'
import { LinuxError } from './error.ts'
import { type Attributes, encodeBody, Flag, type Message, type Netlink, numberIn, parseAttributes } from './netlink.ts'
import { i32, struct, u8, u16, u32 } from './struct.ts'

export const RouteMessage = { new: 24, delete: 25, get: 26 } as const

const AF_INET = 2
const AF_INET6 = 10

const rtmsg = struct('struct rtmsg', {
  family: u8,
  destinationLength: u8,
  sourceLength: u8,
  tos: u8,
  table: u8,
  protocol: u8,
  scope: u8,
  type: u8,
  flags: u32,
})
const rtnexthop = struct('struct rtnexthop', { bytes: u16, flags: u8, hops: u8, interfaceIndex: i32 })
const Attribute = {
  destination: 1,
  output: 4,
  gateway: 5,
  priority: 6,
  preferredSource: 7,
  metrics: 8,
  multipath: 9,
  table: 15,
  via: 18,
} as const
const METRIC_MTU = 2

const TABLE_MAIN = 254
const TABLE_LOCAL = 255
const PROTOCOL_STATIC = 4
const SCOPE_LINK = 253
const CLONED = 0x200

/** linux/rtnetlink.h, enum rtm_type: how packets that match are treated. */
const TYPES = [
  'unspecified',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
] as const

/** RTNH_F_DEAD and RTNH_F_LINKDOWN. */
const NOT_USABLE = 1 | 16

interface NextHop {
  interfaceIndex: number
  /** Undefined when the destination is on the link itself. May be IPv6 for an IPv4 route (RFC 5549). */
  gateway: IpAddress | undefined
  /** Its share among the next hops of the route. */
  weight: number
  usable: boolean
}

export interface Route {
  destination: Prefix
  type: (typeof TYPES)[number]
  table: number
  /** Lower wins. */
  priority: number
  preferredSource: IpAddress | undefined
  /** The route's or, from lookupRoute, the path's; undefined where it is the interface's. */
  mtu: number | undefined
  nextHops: NextHop[]
}

export function decodeRoute({ payload }: Message): Route | undefined {
  if (payload.length < rtmsg.BYTES) return undefined
  const { family, destinationLength, table, type, flags } = rtmsg.read(payload)
  const addressBytes = family === AF_INET ? 4 : family === AF_INET6 ? 16 : 0
  const attributes = parseAttributes(payload, rtmsg.BYTES)
  const address = attributes.get(Attribute.destination) ?? new Uint8Array(addressBytes)
  if (addressBytes === 0 || address.length !== addressBytes || destinationLength > addressBytes * 8) return undefined
  const metrics = parseAttributes(attributes.get(Attribute.metrics) ?? new Uint8Array(0), 0)
  return {
    destination: { address, length: destinationLength },
    type: TYPES[type] ?? 'unspecified',
    table: numberIn(attributes, Attribute.table) ?? table,
    priority: numberIn(attributes, Attribute.priority) ?? 0,
    preferredSource: attributes.get(Attribute.preferredSource),
    mtu: numberIn(metrics, METRIC_MTU),
    nextHops: nextHopsIn(attributes, flags),
  }
}

function nextHopsIn(attributes: Attributes, flags: number): NextHop[] {
  const several = attributes.get(Attribute.multipath)
  if (!several) {
    const interfaceIndex = numberIn(attributes, Attribute.output)
    if (interfaceIndex === undefined) return []
    return [{ interfaceIndex, gateway: gatewayIn(attributes), weight: 1, usable: (flags & NOT_USABLE) === 0 }]
  }
  const found: NextHop[] = []
  for (let at = 0; at + rtnexthop.BYTES <= several.length; ) {
    const { bytes, flags, hops, interfaceIndex } = rtnexthop.read(several, at)
    if (bytes < rtnexthop.BYTES || at + bytes > several.length) break
    const gateway = gatewayIn(parseAttributes(several.subarray(at, at + bytes), rtnexthop.BYTES))
    found.push({ interfaceIndex, gateway, weight: hops + 1, usable: (flags & NOT_USABLE) === 0 })
    at += (bytes + 3) & ~3
  }
  return found
}

function gatewayIn(attributes: Attributes): IpAddress | undefined {
  return attributes.get(Attribute.gateway) ?? attributes.get(Attribute.via)?.subarray(2) // struct rtvia: family, address
}

/** Reads all routes, now and again: one that is as it was the last time, down to the byte, is the same object. */
export class RouteReader {
  #known = new Map<string, Route | undefined>()

  /** All tables but the local one, and without what was cloned for a single destination. */
  read(netlink: Netlink): Route[] {
    const now = new Map<string, Route | undefined>()
    for (const message of netlink.dump(RouteMessage.get, rtmsg.make())) {
      const { buffer, byteOffset, length } = message.payload
      const text = Buffer.from(buffer, byteOffset, length).toString('latin1')
      now.set(text, this.#known.has(text) ? this.#known.get(text) : decodeListed(message))
    }
    this.#known = now
    return [...now.values()].filter((route) => route !== undefined)
  }
}

function decodeListed(message: Message): Route | undefined {
  const route = decodeRoute(message)
  const aside = !route || route.table === TABLE_LOCAL || rtmsg.read(message.payload).flags & CLONED
  return aside ? undefined : route
}

/**
 * How the kernel would reach a destination now, over one of the next hops, with the path MTU that it has learnt; or, where
 * `entry` is wanted, the entry of its table that says so, with its priority.
 */
export function lookupRoute(netlink: Netlink, destination: IpAddress, { entry = false } = {}): Route | undefined {
  const family = destination.length === 4 ? AF_INET : AF_INET6
  const flags = entry ? FIB_MATCH : 0
  const header = rtmsg.make({ family, destinationLength: destination.length * 8, flags })
  try {
    const [answer] = netlink.request(RouteMessage.get, 0, encodeBody(header, [[Attribute.destination, destination]]))
    const route = answer && decodeRoute(answer)
    return route?.type === 'unicast' || route?.type === 'local' ? route : undefined
  } catch (error) {
    if (error instanceof LinuxError && NOT_THERE.has(error.code)) return undefined
    throw error
  }
}

/** RTM_F_FIB_MATCH. */
const FIB_MATCH = 0x2000

const NOT_THERE = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL'])

/** A route of the main table. */
export interface RouteChange {
  destination: Prefix
  nextHops: readonly { interfaceIndex: number; gateway?: IpAddress; weight?: number }[]
  priority?: number
  preferredSource?: IpAddress
  mtu?: number
}

export function replaceRoute(netlink: Netlink, route: RouteChange): void {
  netlink.request(RouteMessage.new, Flag.create | Flag.replace, routeBody(route))
}

export function deleteRoute(netlink: Netlink, route: RouteChange): void {
  netlink.request(RouteMessage.delete, 0, routeBody(route))
}

function routeBody({ destination, nextHops, priority, preferredSource, mtu }: RouteChange): Uint8Array {
  const family = destination.address.length === 4 ? AF_INET : AF_INET6
  const onLink = nextHops.length > 0 && nextHops.every(({ gateway }) => !gateway)
  const header = rtmsg.make({
    family,
    destinationLength: destination.length,
    table: TABLE_MAIN,
    protocol: PROTOCOL_STATIC,
    scope: onLink && family === AF_INET ? SCOPE_LINK : 0,
    type: TYPES.indexOf('unicast'),
  })
  const [only] = nextHops
  return encodeBody(header, [
    [Attribute.destination, destination.address],
    [Attribute.priority, priority],
    [Attribute.preferredSource, preferredSource],
    [Attribute.metrics, mtu === undefined ? undefined : [[METRIC_MTU, mtu]]],
    [Attribute.output, nextHops.length === 1 ? only!.interfaceIndex : undefined],
    [Attribute.gateway, nextHops.length === 1 ? only!.gateway : undefined],
    [Attribute.multipath, nextHops.length > 1 ? Buffer.concat(nextHops.map(nextHopBytes)) : undefined],
  ])
}

function nextHopBytes({ interfaceIndex, gateway, weight = 1 }: RouteChange['nextHops'][number]): Uint8Array {
  const attributes = encodeBody(new Uint8Array(0), [[Attribute.gateway, gateway]])
  const header = rtnexthop.make({ bytes: rtnexthop.BYTES + attributes.length, hops: weight - 1, interfaceIndex })
  return Buffer.concat([header, attributes])
}
