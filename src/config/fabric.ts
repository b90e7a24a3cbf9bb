/**
 * The schema of what the gateway consists of: VIPs, clusters of forwarding nodes, switches, and the hosts it leads to.
 */

import { z } from 'zod'
import {
  CONTROL_NODES_MAX,
  DRAIN_DEFAULT_MS,
  DRAIN_MAX_MS,
  MODULE_PORTS_MAX,
  NODES_MAX,
  RUN_DIRECTORY_BYTES_MAX,
  STALE_ROUTES_DEFAULT_S,
  STALE_ROUTES_MAX_S,
  VIPS_MAX,
  WORKERS_MAX,
} from './limits.ts'
import { nats } from './nats.ts'
import { address, listOf, mac, mtu, name, port, weight, whole } from './scalar.ts'

/** An address that forwarding nodes share, at the outer end of every tunnel. */
export const vip = z.strictObject({ name, address })
export type Vip = z.output<typeof vip>

export const node = z.strictObject({
  name,
  /** The network namespace that the module enters; without one it stays where `gatehouse` was started. */
  namespace: name.optional(),
  /** Its own, by which switches watch it. */
  address,
  /** Routed ports, towards the rack. */
  ports: listOf('ports', port, MODULE_PORTS_MAX).min(1, { error: 'a node needs a port' }),
  workers: whole('number of workers', 1, WORKERS_MAX).default(1),
  /** Its share of a VIP's flows, relative to the other nodes. */
  weight: weight.default(1),
})
export type Node = z.output<typeof node>

/** Nodes that hold the same tenants: those of the VIPs that the cluster serves (DSR section 4.1.1). */
export const cluster = z.strictObject({
  name,
  vips: listOf('VIPs', name, VIPS_MAX),
  nodes: listOf('nodes', node, NODES_MAX).min(1, { error: 'a cluster needs a node' }),
})
export type Cluster = z.output<typeof cluster>

const balance = z.strictObject({
  vip: name,
  /** What happens to the other nodes' flows when a node goes: `resilient` leaves them where they are. */
  selection: z.enum(['modulo', 'resilient']).default('resilient'),
})

export const accessSwitch = z.strictObject({
  name,
  namespace: name.optional(),
  /** Its tunnel endpoint (VTEP). */
  address,
  /** Routed ports: towards the fabric, nodes and hosts. */
  uplinks: listOf('uplinks', port, MODULE_PORTS_MAX).min(1, { error: 'a switch needs an uplink' }),
  /** Ports that tenants' connections may be attached to. */
  ports: listOf('ports', port, MODULE_PORTS_MAX).default([]),
  /** VIPs whose packets it spreads over their live nodes. */
  balances: listOf('balances', balance, VIPS_MAX).default([]),
  workers: whole('number of workers', 1, WORKERS_MAX).default(1),
})
export type Switch = z.output<typeof accessSwitch>

/** Where virtual machines run: a tunnel endpoint. */
export const host = z.strictObject({
  name,
  address,
  tunnel: z.enum(['gre', 'vxlan']),
  /** What its tunnel carries: bare IP packets, or Ethernet frames. VXLAN always carries Ethernet. */
  payload: z.enum(['ip', 'ethernet']).optional(),
  /** The largest IP packet that may be sent to its machines. Without it the path's own MTU is learnt. */
  mtu: mtu.optional(),
})
export type Host = z.output<typeof host>

/** The gateway as tenants see it. */
export const gateway = z.strictObject({
  /** Its MAC address on every segment, the same on all nodes. */
  mac: mac.default('02:67:68:00:00:01'),
})

/** A control module: one leads, the others wait to take over. */
const controlNode = z.strictObject({ name })

export const control = z.strictObject({
  /** Without any there is one, of the name `control`. */
  nodes: listOf('control modules', controlNode, CONTROL_NODES_MAX).default([]),
  /** How long a cluster that a tenant has moved away from still takes its packets. */
  drain_ms: whole('drain time', 0, DRAIN_MAX_MS).default(DRAIN_DEFAULT_MS),
  /** How long routes are kept whose routing node has died: they are stale until it has said all of them again. */
  stale_routes_s: whole('time', 0, STALE_ROUTES_MAX_S).default(STALE_ROUTES_DEFAULT_S),
})

export const directory = (example: string) =>
  z.string().regex(/^\//, { error: `a directory is written from the root: ${example}` })

export const bus = z.strictObject({
  /** The run directory, where the bus has its socket. */
  directory: directory('/run/gatehouse/NAME')
    .refine((path) => Buffer.byteLength(path) <= RUN_DIRECTORY_BYTES_MAX, {
      error: `a run directory's path has at most ${RUN_DIRECTORY_BYTES_MAX} bytes, for the socket in it has 107`,
    })
    .optional(),
  /** The state directory: what has to last, as the files of the bus, what modules were last told and their logs. */
  state: directory('/var/lib/gatehouse/NAME').optional(),
  /** Without it the bus is a process of the site's own, on one host. */
  nats: nats.optional(),
})
