/**
 * What modules report: to the control module what they have taken over, to each other what they learnt from packets.
 */

import { address, flag, list, type MessageValue, mac, message, optional, record, text, u16, u32, u53 } from './codec.ts'

/** A module has taken over a batch, or why it could not. */
export const ack = message('acknowledgement', 5, {
  module: text,
  /** Of the feed that it was in. */
  incarnation: text,
  epoch: u53,
  generation: u53,
  /** Undefined: it took effect. */
  error: optional(text),
})
export type Ack = MessageValue<typeof ack>

/** Neighbours that a node has resolved, for the other nodes of its cluster: not every node need ask. */
export const neighbourNews = message('neighbour news', 6, {
  node: text,
  neighbours: list(record({ tenant: u32, segment: u32, address, mac })),
})
export type NeighbourNews = MessageValue<typeof neighbourNews>

/** The path to a tunnel endpoint takes no larger IP packets than this (RFC 1191, RFC 8201); believed for a lifetime. */
export const pathNews = message('path news', 7, { node: text, remote: address, mtu: u16, lifetime_s: u32 })
export type PathNews = MessageValue<typeof pathNews>

export const nodeState = message('node state', 8, {
  node: text,
  /** It takes packets: its FIB is current, it is warmed up, its workers answer. */
  ready: flag,
  epoch: u53,
  generation: u53,
  tenants: u32,
  /** Counters of the node by name, such as `received` or `drop.no-route`. */
  counters: list(record({ name: text, value: u53 })),
})

/** Where a feed of batches starts: the sequence, in the feed's stream, of the first piece of its latest snapshot. */
export const feedStart = message('feed start', 9, {
  /** Made anew when the feed starts over; epochs and generations compare within one only. */
  incarnation: text,
  sequence: u53,
})
export type FeedStart = MessageValue<typeof feedStart>
