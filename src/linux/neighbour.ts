/** The kernel's ARP and neighbour discovery tables. rtnetlink(7), RTM_NEWNEIGH and its kin. */

import type { IpAddress, MacAddress } from '../base/address.ts'
import { type Attributes, encodeBody, Flag, type Message, type Netlink, numberIn, parseAttributes } from './netlink.ts'
import { i32, struct, u8, u16 } from './struct.ts'

export const NeighbourMessage = { new: 28, delete: 29, get: 30 } as const

const AF_INET = 2
const AF_INET6 = 10

const ndmsg = struct('struct ndmsg', {
  family: u8,
  pad: u8,
  pad2: u16,
  interfaceIndex: i32,
  state: u16,
  flags: u8,
  type: u8,
})
const Attribute = { destination: 1, mac: 2, protocol: 12, extendedFlags: 15 } as const
const EXTENDED_MANAGED = 1

/** Who entered it, as with routes (rtnetlink(7), rtm_protocol): a number of our own, and free in iproute2's list. */
const PROTOCOL_OURS = 71

/** linux/neighbour.h, NUD_*, a bit each; RFC 4861 section 7.3.2 for the middle five. */
const STATES = ['incomplete', 'reachable', 'stale', 'delay', 'probe', 'failed', 'no-arp', 'permanent'] as const
const PERMANENT = 0x80

export interface Neighbour {
  interfaceIndex: number
  address: IpAddress
  /** Undefined while it is not known: incomplete or failed. */
  mac: MacAddress | undefined
  state: (typeof STATES)[number] | 'none'
  /** The kernel keeps it resolved because a process of ours asked for that, be it this one or one that was killed. */
  isManaged: boolean
}

export function decodeNeighbour({ payload }: Message): Neighbour | undefined {
  if (payload.length < ndmsg.BYTES) return undefined
  const { family, interfaceIndex, state } = ndmsg.read(payload)
  const attributes = parseAttributes(payload, ndmsg.BYTES)
  const address = attributes.get(Attribute.destination)
  if (!address || address.length !== (family === AF_INET ? 4 : family === AF_INET6 ? 16 : -1)) return undefined
  const name = STATES.find((_, bit) => state & (1 << bit)) ?? 'none'
  const known = name !== 'incomplete' && name !== 'failed' && name !== 'none'
  return {
    interfaceIndex,
    address,
    mac: known ? attributes.get(Attribute.mac) : undefined,
    state: name,
    isManaged: isManagedByUs(attributes),
  }
}

function isManagedByUs(attributes: Attributes): boolean {
  const flags = numberIn(attributes, Attribute.extendedFlags) ?? 0
  return (flags & EXTENDED_MANAGED) !== 0 && attributes.get(Attribute.protocol)?.[0] === PROTOCOL_OURS
}

/** Somebody said what its MAC address is, and the kernel does not question that. Such entries are not ours to touch. */
export function isFixed({ state }: Neighbour): boolean {
  return state === 'permanent' || state === 'no-arp'
}

export function listNeighbours(netlink: Netlink): Neighbour[] {
  return netlink.dump(NeighbourMessage.get, ndmsg.make()).flatMap((message) => decodeNeighbour(message) ?? [])
}

export type NeighbourKey = Pick<Neighbour, 'interfaceIndex' | 'address'>

/**
 * Has the kernel resolve a neighbour, and keep it resolved for as long as the entry stands (NTF_EXT_MANAGED, Linux
 * 5.16). An entry that is fixed loses its MAC address by this.
 */
export function manageNeighbour(netlink: Netlink, key: NeighbourKey): void {
  const attributes = [
    [Attribute.extendedFlags, EXTENDED_MANAGED],
    [Attribute.protocol, Uint8Array.of(PROTOCOL_OURS)],
  ] as const
  netlink.request(NeighbourMessage.new, Flag.create | Flag.replace, neighbourBody(key, 0, attributes))
}

/** A fixed MAC, which the kernel does not question. */
export function setNeighbour(netlink: Netlink, key: NeighbourKey, mac: MacAddress): void {
  netlink.request(
    NeighbourMessage.new,
    Flag.create | Flag.replace,
    neighbourBody(key, PERMANENT, [[Attribute.mac, mac]]),
  )
}

export function deleteNeighbour(netlink: Netlink, key: NeighbourKey): void {
  netlink.request(NeighbourMessage.delete, 0, neighbourBody(key, 0, []))
}

function neighbourBody(
  { interfaceIndex, address }: NeighbourKey,
  state: number,
  attributes: readonly (readonly [number, Uint8Array | number])[],
): Uint8Array {
  const family = address.length === 4 ? AF_INET : AF_INET6
  return encodeBody(ndmsg.make({ family, interfaceIndex, state }), [[Attribute.destination, address], ...attributes])
}
