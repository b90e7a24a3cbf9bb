/**
 * The kinds of routes that a session can carry. A family is a small number: it indexes tables, and several of them are
 * a set of bits, `familyBit(FAMILY.vpnv4) | familyBit(FAMILY.vpnv6)`.
 */

export const FAMILY = { ipv4Unicast: 0, ipv6Unicast: 1, vpnv4: 2, vpnv6: 3 } as const
export type Family = (typeof FAMILY)[keyof typeof FAMILY]

/** What stands where a family would and is none of ours. */
export const NO_FAMILY = -1

export interface FamilyRow {
  readonly name: string
  readonly afi: number
  readonly safi: number
  /** Of the address in a prefix, in bits. */
  readonly addressBits: number
  /** What stands before the address in NLRI, in bits: label and route distinguisher. */
  readonly headBits: number
}

export const AFI = { ipv4: 1, ipv6: 2 } as const
export const SAFI = { unicast: 1, vpn: 128 } as const

/** A label of 20 bits with its three experimental bits and its bottom-of-stack bit, then a route distinguisher. */
const VPN_HEAD_BITS = 24 + 64

export const families: readonly FamilyRow[] = [
  { name: 'ipv4-unicast', afi: AFI.ipv4, safi: SAFI.unicast, addressBits: 32, headBits: 0 },
  { name: 'ipv6-unicast', afi: AFI.ipv6, safi: SAFI.unicast, addressBits: 128, headBits: 0 },
  { name: 'vpnv4', afi: AFI.ipv4, safi: SAFI.vpn, addressBits: 32, headBits: VPN_HEAD_BITS },
  { name: 'vpnv6', afi: AFI.ipv6, safi: SAFI.vpn, addressBits: 128, headBits: VPN_HEAD_BITS },
]

/** NO_FAMILY for all that we do not speak. */
export function familyOf(afi: number, safi: number): Family | typeof NO_FAMILY {
  if (safi === SAFI.unicast)
    return afi === AFI.ipv4 ? FAMILY.ipv4Unicast : afi === AFI.ipv6 ? FAMILY.ipv6Unicast : NO_FAMILY
  if (safi === SAFI.vpn) return afi === AFI.ipv4 ? FAMILY.vpnv4 : afi === AFI.ipv6 ? FAMILY.vpnv6 : NO_FAMILY
  return NO_FAMILY
}

export function familyBit(family: number): number {
  return 1 << family
}

/** Not of NO_FAMILY: nothing has it. */
export function hasFamily(bits: number, family: number): boolean {
  return family >= 0 && (bits & (1 << family)) !== 0
}

export function familyNamed(name: string): Family | undefined {
  const family = families.findIndex((row) => row.name === name)
  return family < 0 ? undefined : (family as Family)
}

/** Also of a family that we do not speak. */
export function familyName(afi: number, safi: number): string {
  const family = familyOf(afi, safi)
  return family === NO_FAMILY ? `afi ${afi} safi ${safi}` : families[family]!.name
}
