/**
 * What a source of routes tells the control module: routes of tenants, each with the next hops that it was learnt with,
 * as addresses in the tenant's own network. The control module resolves them, chooses and compiles. Batches of one
 * origin are taken in their order.
 */

import {
  address,
  appended,
  column32,
  flag,
  list,
  type MessageValue,
  message,
  optional,
  record,
  text,
  u16,
  u53,
  type Value,
  word,
} from './codec.ts'
import { routes4, routes6 } from './columns.ts'

const gateway = record({
  /** A neighbour in a connection's subnet, or a machine of a VPC. */
  address,
  weight: u16,
  /** Packets go there only while none of those that are no backup is up (RFC 5714). */
  backup: appended(flag, false),
})

/** No gateway: packets are discarded. Several: they are spread by weight, over the backups only when all others are down. */
const gateways = list(gateway)
export type Gateways = Value<typeof gateways>

export const routeBatch = message(
  'route batch',
  1,
  {
    /** Who says so, such as `bgp-1`. */
    origin: text,
    /**
     * Of several origins with a route to the same prefix the one with the lower preference is taken; the site's own win.
     */
    preference: u16,
    /** All that this origin said before is withdrawn. */
    replaces: flag,
    /** Tenants by name; `tables` is the place in this list. */
    tenants: list(text),
    /** `nextHops` is the place in this list, plus one; 0 withdraws. */
    gateways: list(gateways),
    routes4,
    routes6,
  },
  {
    /**
     * Of a batch that replaces and is too large for one message: it is taken over once its last part is there. A batch of
     * this origin that is no part of it means that it will not come.
     */
    part: word('first', 'middle', 'last'),
    /** When it was said, in seconds since 1970. */
    at_s: u53,
    /**
     * Where its routes were learnt before it was said, such as in what is kept of many batches: when, in seconds since 1970,
     * row by row.
     */
    times4: column32,
    times6: column32,
  },
)
export type RouteBatch = MessageValue<typeof routeBatch>

/**
 * What the control module tells the sources of routes, as a plain publish: that a batch was refused, with nothing of it
 * taken over, or that batches are lost. Either way the source says everything again, in a batch that replaces. After
 * lost batches it has to within minutes, or its routes are withdrawn: some of them may be gone for long.
 */
export const routeNews = message('route news', 10, {
  /** Undefined: all origins. */
  origin: optional(text),
  /** Why a batch was refused; undefined: batches are lost. */
  refused: optional(text),
})
