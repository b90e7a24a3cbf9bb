/** The schema of the routing module: who we are in BGP, and who our neighbours are. */

import { z } from 'zod'
import { parseAddress } from '../base/address.ts'
import { directory } from './fabric.ts'
import {
  AGGREGATES_MAX,
  HISTORY_MB_MAX,
  HISTORY_MB_MIN,
  LISTENERS_MAX,
  NEIGHBOURS_MAX,
  NODES_MAX,
  PROBES_MAX,
  VIA_MAX,
} from './limits.ts'
import { policyNames, policyParts } from './policy.ts'
import { bfd, probe, responders } from './probe.ts'
import { address, as, familyName, interfaceAddress, listOf, name, prefix, whole } from './scalar.ts'

/** Written as an IPv4 address, as people do (RFC 4271 section 4.2). */
const routerId = address.refine((text) => parseAddress(text)!.length === 4 && text !== '0.0.0.0', {
  error: 'a router ID is written as an IPv4 address that is not 0.0.0.0',
})

const listener = z.strictObject({ address, port: whole('port', 1, 65_535).default(179) })

const maximumPrefixes = z.strictObject({
  /** The session ends when the peer has sent more. */
  limit: whole('limit', 1, 100_000_000),
  /** Of the limit: with more it is said that the peer comes near to it. */
  warning_percent: whole('percentage', 1, 100).default(75),
  /** So long after its end the session may come up again; without it, when it is told to. */
  restart_s: whole('time', 1, 86_400).optional(),
})

const addPaths = z.strictObject({
  receive: z.boolean().default(false),
  /** At most; 0: only the best one, and without an identifier. */
  send: whole('number of paths', 0, VIA_MAX).default(0),
})

/** A process of the routing module. Tenants' sessions are spread over all of them. */
const routingNode = z.strictObject({
  name,
  /** The network namespace that it enters; without one it stays where `gatehouse` was started. */
  namespace: name.optional(),
  /** Where tenants' BGP and BFD reach it, in VXLAN from forwarding nodes. */
  address,
})
export type RoutingNode = z.output<typeof routingNode>

/** What became of sessions and routes, on disk. */
const history = z.strictObject({
  /** By default `history` in the state directory. A directory in it for every process. */
  directory: directory('/var/lib/gatehouse/NAME/history').optional(),
  /** Of one process; 0 keeps none. */
  size_mb: whole('size', 0, HISTORY_MB_MAX)
    .refine((size) => size === 0 || size >= HISTORY_MB_MIN, {
      error: ({ input }) => `${input} MB are too few for a history: at least ${HISTORY_MB_MIN}, or 0 for none`,
    })
    .default(256),
})

const neighbour = z
  .strictObject({
    name,
    /** Whose it is: its routes enter the tenant's VRF, and its packets come over a connection of the tenant. */
    tenant: name.optional(),
    /** Its address, */
    address: address.optional(),
    /** or where those come from that we do not know one by one (dynamic neighbours). */
    prefix: interfaceAddress.optional(),
    as: as.optional(),
    as_range: z.strictObject({ from: as, to: as }).optional(),
    local_address: address.optional(),
    port: whole('port', 1, 65_535).default(179),
    /** It connects, we do not. */
    passive: z.boolean().default(false),
    hold_time_s: whole('hold time', 0, 65_535).default(90),
    /** TCP-MD5 (RFC 2385). */
    password: z.string().min(1).max(80).optional(),
    /** GTSM (RFC 5082): how many hops away it may be; 1 is the next one. */
    ttl_security_hops: whole('number of hops', 1, 254).optional(),
    families: z.array(familyName).min(1).default(['ipv4-unicast']),
    /** RFC 7947: routes are passed on as they are, our AS and next hop stay out of them. */
    route_server_client: z.boolean().default(false),
    /** RFC 4456. */
    route_reflector_client: z.boolean().default(false),
    next_hop_self: z.boolean().default(false),
    next_hop_unchanged: z.boolean().default(false),
    /** How often our own AS may be in a path. */
    allow_as_in: whole('number', 0, 10).default(0),
    /** In paths to it its own AS is told as ours, so that sites of one AS reach one another through us. */
    as_override: z.boolean().default(false),
    /** It is told a default route, whether there is one or not. */
    default_originate: z.boolean().default(false),
    /** Several paths of a prefix, each with an identifier (RFC 7911): whether it may send them, and how many it is told. */
    add_paths: addPaths.prefault({}),
    /** Its routes stay while its session is broken and may come back (RFC 4724). */
    graceful_restart: z.boolean().default(true),
    enforce_first_as: z.boolean().default(true),
    maximum_prefixes: maximumPrefixes.optional(),
    /** It has no session; true, or words for its operator (RFC 9003). */
    shutdown: z.union([z.boolean(), z.string().min(1).max(128)]).default(false),
    /** Its session ends at once when BFD with it goes down (RFC 5882). */
    bfd: bfd.optional(),
    extended_messages: z.boolean().default(true),
    /** What becomes of routes from it, and of routes to it: policies by name. */
    import: policyNames,
    export: policyNames,
  })
  .refine((one) => (one.address === undefined) !== (one.prefix === undefined), {
    error: 'a neighbour has an address, or a prefix that addresses come from',
  })
  .refine((one) => (one.as === undefined) !== (one.as_range === undefined), {
    error: 'a neighbour has an AS number, or a range of them',
  })
export type Neighbour = z.output<typeof neighbour>

/** A summary, which is there while there is a route to something in it. */
const aggregate = z.strictObject({
  prefix,
  /** Of whose routes; without it, of neighbours that are no tenant's. */
  tenant: name.optional(),
  /** Peers are told the summary alone. */
  summary_only: z.boolean().default(false),
})

export const routing = z.strictObject({
  as,
  router_id: routerId,
  /** As a route reflector; the router ID unless it is said. */
  cluster_id: routerId.optional(),
  /** Compare MEDs of different neighbouring ASes too. */
  always_compare_med: z.boolean().default(false),
  /**
   * Routes are of use only while the kernel has a way to their next hops, and the shorter way wins. Not those of a route
   * server's clients, nor tenants', whose next hops the control module resolves.
   */
  next_hop_tracking: z.boolean().default(true),
  /** How many paths of one prefix may share its packets (ECMP). */
  multipath: whole('number of paths', 1, VIA_MAX).default(16),
  aggregates: listOf('aggregates', aggregate, AGGREGATES_MAX).default([]),
  ...policyParts,
  history: history.prefault({}),
  /** What routing nodes measure: of paths' quality, and whether something is there. Static routes may be tied to it. */
  probes: listOf('probes', probe, PROBES_MAX).default([]),
  responders,
  nodes: listOf('routing nodes', routingNode, NODES_MAX).default([]),
  listen: listOf('listeners', listener, LISTENERS_MAX).default([]),
  neighbours: listOf('neighbours', neighbour, NEIGHBOURS_MAX).default([]),
})
export type Routing = z.output<typeof routing>
