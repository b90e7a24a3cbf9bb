/**
 * The schema of what a routing node watches by itself: probes of a path's quality (IP SLA), and BFD with neighbours. Both
 * say whether something is up, and routes may be tied to it.
 */

import { z } from 'zod'
import { RESPONDERS_MAX } from './limits.ts'
import { address, listOf, name, whole } from './scalar.ts'

const DAY_MS = 86_400_000

/** A value that is bad above (or, of bandwidth, below) `down`, and good again only beyond `up`. */
function limit(what: string, max: number, isFloor: boolean) {
  return z
    .strictObject({ down: whole(what, 1, max), up: whole(what, 0, max) })
    .refine(({ down, up }) => (isFloor ? up >= down : up <= down), {
      error: isFloor
        ? `${what} that is good again cannot be less than what is bad`
        : `${what} that is good again cannot be more than what is bad`,
    })
    .optional()
}

/** Packets of a probe in a tenant's network are not cut in pieces. */
export const TENANT_PROBE_BYTES_MAX = 1500

const train = z.strictObject({
  /** How often one is sent. */
  interval_ms: whole('interval', 1000, DAY_MS).default(60_000),
  /** Back to back, of so many bytes each with their headers. */
  packets: whole('number of packets', 8, 256).default(50),
  bytes: whole('number of bytes', 64, 9000).default(1400),
})

export const probe = z
  .strictObject({
    name,
    /** The routing node that sends it; by default the first one. */
    node: name.optional(),
    /** Whose network `to` is in: an address on one of its connections, which hears from the gateway's address there. */
    tenant: name.optional(),
    to: address,
    /** Ours; by default the one that the kernel chooses. */
    from: address.optional(),
    /** What is sent: one of these. */
    icmp: z.strictObject({ bytes: whole('number of bytes', 0, 8000).default(56) }).optional(),
    udp: z
      .strictObject({
        port: whole('port', 1, 65_535).default(8862),
        bytes: whole('number of bytes', 32, 8000).default(64),
      })
      .optional(),
    tcp: z.strictObject({ port: whole('port', 1, 65_535) }).optional(),
    http: z
      .strictObject({
        port: whole('port', 1, 65_535).default(80),
        path: z
          .string()
          .regex(/^\/[\x21-\x7e]*$/, { error: 'a path begins with / and has no spaces' })
          .default('/'),
        /** The Host header; by default the address. */
        host: z
          .string()
          .regex(/^[\x21-\x7e]+$/, { error: 'a host name has no spaces' })
          .optional(),
        /** Of the answer; by default any from 200 to 399. */
        status: whole('status', 100, 599).optional(),
      })
      .optional(),
    interval_ms: whole('interval', 10, DAY_MS).default(1000),
    /** An answer that takes longer is a lost one. */
    timeout_ms: whole('time', 1, 60_000).default(1000),
    /** How many of the last probes values are taken from. */
    window: whole('number of probes', 2, 1000).default(60),
    /** So many lost in a row: down. So many answered in a row: up. */
    fall: whole('number of probes', 1, 1000).default(3),
    rise: whole('number of probes', 1, 1000).default(3),
    /** Down beyond these too, though answers come. */
    limits: z
      .strictObject({
        loss_percent: limit('loss', 100, false),
        delay_ms: limit('delay', 60_000, false),
        jitter_ms: limit('jitter', 60_000, false),
        bandwidth_kbps: limit('bandwidth', 1_000_000_000, true),
      })
      .prefault({}),
    /**
     * Available bandwidth is measured with trains of packets; with http, by as many bytes of the answer's body; with tcp, by as
     * many that are sent, to a port that takes whatever comes (discard, echo).
     */
    bandwidth: train.optional(),
  })
  .refine(({ icmp, udp, tcp, http }) => [icmp, udp, tcp, http].filter(Boolean).length === 1, {
    error: 'a probe is one of icmp, udp, tcp and http',
  })
  .refine(({ limits, bandwidth }) => !limits.bandwidth_kbps || bandwidth, {
    error: 'a limit of the bandwidth needs it measured: bandwidth: {}',
    path: ['limits'],
  })
export type Probe = z.output<typeof probe>

/** Which of the routing nodes sends it: one that names none is the first one's. */
export function nodeOfProbe({ node }: Probe, nodes: readonly string[]): string | undefined {
  return node ?? nodes[0]
}

/** Answers the UDP probes of others. */
const responder = z.strictObject({
  /** The routing node that it is on; by default all of them, each at this address. */
  node: name.optional(),
  address,
  port: whole('port', 1, 65_535).default(8862),
})
export const responders = listOf('responders', responder, RESPONDERS_MAX).default([])

/** RFC 5880 section 6.7: bytes of a password, and of a key, which is padded to its digest. */
const KEY_BYTES_MAX = { password: 16, md5: 16, 'meticulous-md5': 16, sha1: 20, 'meticulous-sha1': 20 } as const

const authentication = z
  .strictObject({
    type: z.enum(Object.keys(KEY_BYTES_MAX) as (keyof typeof KEY_BYTES_MAX)[]),
    key_id: whole('key ID', 0, 255).default(1),
    key: z.string().min(1, { error: 'a key has a byte at least' }),
  })
  .refine(({ type, key }) => Buffer.byteLength(key) <= KEY_BYTES_MAX[type], {
    error: ({ input }) =>
      `a key of ${(input as { type: string }).type} has at most ${KEY_BYTES_MAX[(input as { type: 'sha1' }).type]} bytes`,
    path: ['key'],
  })

/** BFD with a neighbour (RFC 5880). */
export const bfd = z
  .strictObject({
    interval_ms: whole('interval', 10, 60_000).default(300),
    multiplier: whole('multiplier', 1, 255).default(3),
    /** Routers lie between (RFC 5883). */
    multihop: z.boolean().default(false),
    /** Echo packets too, where the peer sends them back. */
    echo: z.boolean().default(false),
    authentication: authentication.optional(),
  })
  .refine(({ multihop, echo }) => !(multihop && echo), {
    error: 'over several hops there is no echo (RFC 5883 section 3)',
    path: ['echo'],
  })
export type BfdSettings = z.output<typeof bfd>
