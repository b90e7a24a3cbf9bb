/**
 * Network interfaces: what they are, whether they carry, and up, down and MTU. rtnetlink(7), RTM_NEWLINK and its kin.
 */

import type { MacAddress } from '../base/address.ts'
import { encodeBody, type Message, type Netlink, numberIn, parseAttributes } from './netlink.ts'
import { i32, struct, textOf, u8, u16, u32, u64 } from './struct.ts'

export const LinkMessage = { new: 16, delete: 17, get: 18 } as const

const ifinfomsg = struct('struct ifinfomsg', { family: u8, pad: u8, type: u16, index: i32, flags: u32, change: u32 })
const Attribute = {
  mac: 1,
  name: 3,
  mtu: 4,
  master: 10,
  sendQueueLength: 13,
  operState: 16,
  info: 18,
  counters: 23,
  txQueues: 31,
  rxQueues: 32,
  carrier: 33,
} as const
const INFO_KIND = 1
const IFF_UP = 1
const IFF_LOOPBACK = 8

/** RFC 2863, ifOperStatus. */
const OPER_STATES = ['unknown', 'not-present', 'down', 'lower-layer-down', 'testing', 'dormant', 'up'] as const

export interface Link {
  index: number
  name: string
  mac: MacAddress
  mtu: number
  /** What the administrator wants. */
  up: boolean
  /** What the wire says. */
  carrier: boolean
  operState: (typeof OPER_STATES)[number]
  loopback: boolean
  /** `veth`, `bridge` and so on; undefined for hardware. */
  kind: string | undefined
  /** The index of the bridge or bond that it is a port of, or 0. */
  master: number
  receiveQueues: number
  transmitQueues: number
}

/** Undefined for what is no link, such as a bridge's news of its ports (family AF_BRIDGE). */
export function decodeLink({ payload }: Message): Link | undefined {
  if (payload.length < ifinfomsg.BYTES) return undefined
  const { family, index, flags } = ifinfomsg.read(payload)
  const attributes = parseAttributes(payload, ifinfomsg.BYTES)
  const name = attributes.get(Attribute.name)
  if (family !== 0 || !name) return undefined
  const kind = parseAttributes(attributes.get(Attribute.info) ?? new Uint8Array(0), 0).get(INFO_KIND)
  return {
    index,
    name: textOf(name),
    mac: attributes.get(Attribute.mac) ?? new Uint8Array(6),
    mtu: numberIn(attributes, Attribute.mtu) ?? 0,
    up: (flags & IFF_UP) !== 0,
    carrier: attributes.get(Attribute.carrier)?.[0] === 1,
    operState: OPER_STATES[attributes.get(Attribute.operState)?.[0] ?? 0] ?? 'unknown',
    loopback: (flags & IFF_LOOPBACK) !== 0,
    kind: kind && textOf(kind),
    master: numberIn(attributes, Attribute.master) ?? 0,
    receiveQueues: numberIn(attributes, Attribute.rxQueues) ?? 1,
    transmitQueues: numberIn(attributes, Attribute.txQueues) ?? 1,
  }
}

export function listLinks(netlink: Netlink): Link[] {
  return listed(netlink).flatMap((message) => decodeLink(message) ?? [])
}

function listed(netlink: Netlink): Message[] {
  return netlink.dump(LinkMessage.get, ifinfomsg.make())
}

const linkCounters = struct('the first of struct rtnl_link_stats64', {
  receivedPackets: u64,
  sentPackets: u64,
  receivedBytes: u64,
  sentBytes: u64,
  receiveErrors: u64,
  sendErrors: u64,
  receiveDropped: u64,
  sendDropped: u64,
})

/** What the device counted since it was made, for all of its users together; undefined if it is gone. */
export function countersOf(netlink: Netlink, index: number): ReturnType<typeof linkCounters.read> | undefined {
  const of = listed(netlink).find(({ payload }) => ifinfomsg.read(payload).index === index)
  const counters = of && parseAttributes(of.payload, ifinfomsg.BYTES).get(Attribute.counters)
  return counters && counters.length >= linkCounters.BYTES ? linkCounters.read(counters) : undefined
}

export function setLink(
  netlink: Netlink,
  index: number,
  { up, mtu, mac, sendQueueLength }: Partial<Pick<Link, 'up' | 'mtu' | 'mac'> & { sendQueueLength: number }>,
): void {
  const header = ifinfomsg.make({ index, flags: up ? IFF_UP : 0, change: up === undefined ? 0 : IFF_UP })
  netlink.request(
    LinkMessage.new,
    0,
    encodeBody(header, [
      [Attribute.mtu, mtu],
      [Attribute.mac, mac],
      [Attribute.sendQueueLength, sendQueueLength],
    ]),
  )
}
