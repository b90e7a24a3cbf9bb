/**
 * What a site offers to the other sites of its tenants: where the gateway takes their packets, to which prefixes it has ways
 * of its own, and how good those are. The control module of the site says it as a feed; an orchestrator carries that to the
 * other sites, where control modules and routing nodes follow it. What a site has learnt from other sites it offers nobody,
 * so no route comes back to where it came from.
 *
 * A batch is a snapshot, or the difference from generation `base`. It is applied in this order: tenants, routes, removed tenants.
 */

import {
  address,
  flag,
  list,
  type MessageValue,
  mac,
  message,
  optional,
  record,
  text,
  u16,
  u32,
  u53,
  type Value,
} from './codec.ts'
import { routes4, routes6 } from './columns.ts'

/** One of the site's connections of the tenant. */
const path = record({
  name: text,
  isUp: flag,
  preference: u16,
  cost: u32,
  isProbed: flag,
  /** Unknown, unless something has measured it. */
  latency_us: optional(u53),
  loss_ppm: optional(u32),
  /** Of how many probes the loss is. */
  probes: u32,
  bandwidth_kbps: optional(u53),
})
export type OfferedPath = Value<typeof path>

const tenant = record({
  name: text,
  /** One that has another VNI at another site is another tenant. */
  vni: u32,
  /** The tunnel endpoint that takes its packets. */
  vip: address,
  /** The best first, as the site itself uses them. */
  paths: list(path),
})
export type OfferedTenant = Value<typeof tenant>

export const siteOffer = message('site offer', 18, {
  site: text,
  epoch: u53,
  generation: u53,
  base: u53,
  snapshot: flag,
  /** The gateway's MAC address. */
  mac,
  /** All tunnel endpoints that the site's nodes send from. */
  vips: list(address),
  tenants: list(tenant),
  removedTenants: list(text),
  /** Of the routes: `tables` is the place in this list, and next hop 0 withdraws. */
  tables: list(text),
  routes4,
  routes6,
})
export type SiteOffer = MessageValue<typeof siteOffer>
