/** The addresses of interfaces. rtnetlink(7), RTM_NEWADDR and its kin. */

import type { IpAddress, Prefix } from '../base/address.ts'
import { encodeBody, Flag, type Message, type Netlink, numberIn, parseAttributes } from './netlink.ts'
import { struct, u8, u32 } from './struct.ts'

export const AddressMessage = { new: 20, delete: 21, get: 22 } as const

const ifaddrmsg = struct('struct ifaddrmsg', { family: u8, prefixLength: u8, flags: u8, scope: u8, index: u32 })
const Attribute = { address: 1, local: 2, flags: 8 } as const
const NO_DAD = 0x02
const DAD_FAILED = 0x08
const TENTATIVE = 0x40

export interface InterfaceAddress {
  interfaceIndex: number
  address: IpAddress
  prefixLength: number
  /** False while duplicate address detection runs (RFC 4862 section 5.4), and for ever if it found another. */
  usable: boolean
}

export function decodeAddress({ payload }: Message): InterfaceAddress | undefined {
  if (payload.length < ifaddrmsg.BYTES) return undefined
  const { prefixLength, flags, index } = ifaddrmsg.read(payload)
  const attributes = parseAttributes(payload, ifaddrmsg.BYTES)
  const address = attributes.get(Attribute.local) ?? attributes.get(Attribute.address) // on point-to-point links, the other end
  if (!address) return undefined
  const allFlags = numberIn(attributes, Attribute.flags) ?? flags
  return { interfaceIndex: index, address, prefixLength, usable: (allFlags & (TENTATIVE | DAD_FAILED)) === 0 }
}

export function listAddresses(netlink: Netlink): InterfaceAddress[] {
  return netlink.dump(AddressMessage.get, ifaddrmsg.make()).flatMap((message) => decodeAddress(message) ?? [])
}

/** An IPv6 address is usable at once: who adds it knows that it is the only one. */
export function addAddress(netlink: Netlink, interfaceIndex: number, { address, length }: Prefix): void {
  netlink.request(AddressMessage.new, Flag.create | Flag.replace, addressBody(interfaceIndex, address, length))
}

export function deleteAddress(netlink: Netlink, interfaceIndex: number, { address, length }: Prefix): void {
  netlink.request(AddressMessage.delete, 0, addressBody(interfaceIndex, address, length))
}

function addressBody(index: number, address: IpAddress, prefixLength: number): Uint8Array {
  const family = address.length === 4 ? 2 : 10
  return encodeBody(ifaddrmsg.make({ family, prefixLength, index }), [
    [Attribute.local, address],
    [Attribute.address, address],
    [Attribute.flags, family === 10 ? NO_DAD : undefined],
  ])
}
