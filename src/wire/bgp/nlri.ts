/**
 * Prefixes as objects, for people, tests and what is rare; prefix.ts draws them on the wire, and reads them where there
 * are many.
 */

import { formatPrefix, ipv4Bytes, type Prefix } from '../../base/address.ts'
import { assert } from '../../base/assert.ts'
import { Reader, Writer } from '../cursor.ts'
import { formatDistinguisher, type Words } from './distinguisher.ts'
import { FAMILY, type Family, families } from './family.ts'
import { checkNlri, readPrefix4, readPrefix6, readVpn4, readVpn6, VpnPrefix } from './prefix.ts'

export interface Nlri {
  readonly prefix: Prefix
  /** Where path identifiers were agreed on (RFC 7911). */
  readonly pathId?: number
  /** Of VPN routes. */
  readonly label?: number
  readonly distinguisher?: Words
}

const BOTTOM_OF_STACK = 1

/** Undefined unless the bytes are prefixes of the family to the last. Bits behind a prefix are dropped. */
export function decodeNlri(family: Family, bytes: Uint8Array, addPath: boolean): Nlri[] | undefined {
  const from = new Reader(bytes)
  if (!checkNlri(from, 0, bytes.length, family, addPath)) return undefined
  from.window(0, bytes.length)
  const found: Nlri[] = []
  while (from.remaining > 0) {
    const id = addPath ? { pathId: from.u32() } : {}
    found.push({ ...id, ...readNlri(family, from, from.u8()) })
  }
  return found
}

function readNlri(family: Family, from: Reader, length: number): Nlri {
  if (family === FAMILY.ipv4Unicast) return { prefix: { address: ipv4Bytes(readPrefix4(from, length)), length } }
  const vpn = new VpnPrefix()
  if (family === FAMILY.ipv6Unicast) {
    readPrefix6(from, length, vpn.words)
    return { prefix: { address: bytesOfWords(vpn.words), length } }
  }
  if (family === FAMILY.vpnv4) readVpn4(from, length, vpn)
  else readVpn6(from, length, vpn)
  const address = family === FAMILY.vpnv4 ? ipv4Bytes(vpn.address4) : bytesOfWords(vpn.words)
  return {
    prefix: { address, length: vpn.length },
    label: vpn.label,
    distinguisher: { high: vpn.distinguisherHigh, low: vpn.distinguisherLow },
  }
}

function bytesOfWords(words: Uint32Array): Uint8Array {
  const out = new Writer(16)
  for (const word of words) out.u32(word)
  return out.finish()
}

export function encodeNlri(family: Family, nlri: readonly Nlri[], addPath: boolean): Uint8Array {
  const out = new Writer()
  const { headBits, addressBits } = families[family]!
  for (const { prefix, pathId, label, distinguisher } of nlri) {
    assert(prefix.address.length * 8 === addressBits, 'the prefix is of the family')
    if (addPath) out.u32(pathId ?? 0)
    out.u8(headBits + prefix.length)
    if (headBits > 0) {
      const field = ((label ?? 0) << 4) | BOTTOM_OF_STACK
      out.u16(field >>> 8)
      out.u8(field & 0xff)
      out.u32(distinguisher?.high ?? 0)
      out.u32(distinguisher?.low ?? 0)
    }
    out.bytes(prefix.address.subarray(0, (prefix.length + 7) >>> 3))
  }
  return out.finish()
}

/** `65001:1 10.0.0.0/8 label 100 path 7`, what there is of it. */
export function formatNlri({ prefix, pathId, label, distinguisher }: Nlri): string {
  const words = [formatPrefix(prefix)]
  if (distinguisher) words.unshift(formatDistinguisher(distinguisher.high, distinguisher.low))
  if (label !== undefined) words.push(`label ${label}`)
  if (pathId !== undefined) words.push(`path ${pathId}`)
  return words.join(' ')
}
