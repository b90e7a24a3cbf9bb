/** What the site file says of a neighbour, as its session, its sockets and its routes take it. */

import { parseAddress, parseInterface } from '../../base/address.ts'
import type { Neighbour, Routing } from '../../config/routing.ts'
import type { Md5Key } from '../../linux/tcp-md5.ts'
import { CONTROL_TRAFFIC_CLASS, type TcpOptions } from '../../linux/tcp-option.ts'
import type { ConnectOptions } from '../../linux/tcp-socket.ts'
import { familyBit, familyNamed } from '../../wire/bgp/family.ts'
import type { RouteHandling } from './messages.ts'
import { routerIdOf } from './router-id.ts'
import { defaultSessionOptions, type SessionOptions } from './session/session-options.ts'

const GTSM_TTL = 255
/** RFC 4724: for so long a tenant's neighbour keeps what it has from us when its session ends without a word. */
export const RESTART_TIME_s = 120

/** `once`: for one connection; `restarting`: of a speaker that may have been here before. */
export function sessionOptionsOf(
  routing: Routing,
  neighbour: Neighbour,
  { once, restarting }: { once: boolean; restarting: boolean },
): SessionOptions {
  const { as, as_range: range } = neighbour
  const { receive, send } = neighbour.add_paths
  const isOverIpv6 = (neighbour.address ?? neighbour.prefix)!.includes(':')
  const families = neighbour.families.map((name) => ({
    family: familyNamed(name)!,
    ...{ addPathReceive: receive, addPathSend: send > 0 },
    // IPv4 routes have our IPv6 address as their next hop where we have no other there (RFC 8950).
    extendedNextHop: isOverIpv6 && (name === 'ipv4-unicast' || name === 'vpnv4'),
  }))
  return {
    ...defaultSessionOptions,
    passive: neighbour.passive || once,
    once,
    offer: {
      localAs: routing.as,
      localId: routerIdOf(routing.router_id),
      remoteAs: [range ?? { from: as!, to: as! }],
      holdTime_s: neighbour.hold_time_s,
      holdTimeMin_s: 3,
      families,
      extendedMessages: neighbour.extended_messages,
      // Packets are forwarded by others, who go on when a routing node or a route server ends.
      ...(neighbour.graceful_restart && {
        gracefulRestart: {
          ...{ restartTime_s: RESTART_TIME_s, restarting, notification: true },
          forwarding: families.reduce((bits, { family }) => bits | familyBit(family), 0),
        },
      }),
    },
  }
}

export function socketOptionsOf({ ttl_security_hops: hops }: Neighbour): TcpOptions {
  const gtsm = hops === undefined ? {} : { ttl: GTSM_TTL, minimumTtl: GTSM_TTL + 1 - hops }
  return { trafficClass: CONTROL_TRAFFIC_CLASS, ...gtsm }
}

/** Where neighbours come from that are not known one by one, and are no tenant's. */
export function rangesOf({ neighbours }: Routing): Neighbour[] {
  return neighbours.filter(
    ({ prefix, tenant, shutdown }) => prefix !== undefined && tenant === undefined && shutdown === false,
  )
}

/** TCP-MD5, of neighbours that are no tenant's: the relay sees to the others. */
export function keysOf(neighbours: readonly Neighbour[]): Md5Key[] {
  return neighbours.flatMap((one) => (one.tenant === undefined ? md5KeysOf(one) : []))
}

function md5KeysOf({ password, address, prefix }: Neighbour): Md5Key[] {
  if (password === undefined) return []
  const bytes = address === undefined ? undefined : parseAddress(address)!
  const peers = bytes ? { address: bytes, length: bytes.length * 8 } : parseInterface(prefix!)!
  return [{ peers, key: Buffer.from(password) }]
}

export function connectOptionsOf(neighbour: Neighbour): ConnectOptions {
  const local = neighbour.local_address === undefined ? undefined : parseAddress(neighbour.local_address)!
  return {
    ...socketOptionsOf(neighbour),
    md5Keys: md5KeysOf(neighbour),
    ...(local && { local: { address: local, port: 0 } }),
  }
}

export function handlingOf(neighbour: Neighbour, vrf: number): RouteHandling {
  return {
    vrf,
    routeServerClient: neighbour.route_server_client,
    reflectorClient: neighbour.route_reflector_client,
    nextHopSelf: neighbour.next_hop_self,
    nextHopUnchanged: neighbour.next_hop_unchanged,
    allowAsIn: neighbour.allow_as_in,
    enforceFirstAs: neighbour.enforce_first_as,
    ...maximumOf(neighbour),
    asOverride: neighbour.as_override,
    defaultOriginate: neighbour.default_originate,
    addPathSend: neighbour.add_paths.send,
  }
}

function maximumOf({ maximum_prefixes: maximum }: Neighbour) {
  if (!maximum) return { maximumPrefixes: 0, warningPrefixes: 0 }
  return {
    maximumPrefixes: maximum.limit,
    warningPrefixes: Math.floor((maximum.limit * maximum.warning_percent) / 100),
  }
}
