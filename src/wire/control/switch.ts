/**
 * What the control module tells an access switch, and the hosts of the virtual networks: where packets of a tenant go.
 * Always whole; the switch finds out itself what changed.
 */

import { address, list, type MessageValue, message, record, text, u16, u32, u53, type Value, word } from './codec.ts'

/** A tenant's wire: what comes in there leaves in VXLAN with this VNI to the VIP, and back. */
const attachment = record({
  port: text,
  /** 0 for untagged frames. */
  vlan: u16,
  vni: u32,
  vip: address,
})
export type Attachment = Value<typeof attachment>

const balancedNode = record({ name: text, address, weight: u16 })
export type BalancedNode = Value<typeof balancedNode>

/** A VIP whose packets this switch spreads over the live ones of the nodes by the inner packet's hash. */
const balance = record({ vip: address, selection: word('modulo', 'resilient'), nodes: list(balancedNode) })
export type Balance = Value<typeof balance>

export const switchBatch = message('switch batch', 3, {
  switch: text,
  epoch: u53,
  generation: u53,
  /** Its own tunnel endpoint. */
  address,
  /** The tunnel endpoints that packets for the attachments may come from: a tenant that moves has two for a while. */
  vips: list(address),
  attachments: list(attachment),
  balances: list(balance),
})
export type SwitchBatch = MessageValue<typeof switchBatch>

/**
 * A VPC on a host sends to the gateway at `vip`, and takes packets from every one of `accepts`: while its tenant moves,
 * two.
 */
const exit = record({ key: u32, vip: address, accepts: list(address) })
export type Exit = Value<typeof exit>

export const hostBatch = message('host batch', 4, { host: text, epoch: u53, exits: list(exit) })
export type HostBatch = MessageValue<typeof hostBatch>
