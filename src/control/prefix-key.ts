/**
 * A prefix as the key of a Map. For IPv4 its place in the binary tree of all prefixes, the root being 1 and the
 * children of n 2n and 2n + 1: up to a /30 that is a small integer, for which Maps are several times faster than for
 * other numbers. For IPv6 a text of nine characters, eight words of 16 bits and the length.
 */

import { formatPrefix, type IpAddress, ipv4Bytes, ipv4Number, type Prefix } from '../base/address.ts'
import type { RouteColumns, RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { Digest } from '../wire/control/digest.ts'

export type PrefixKey = number | string

export function keyOf({ address, length }: Prefix): PrefixKey {
  return address.length === 4 ? key4(ipv4Number(address), length) : key6(wordsOf(address), 0, length)
}

export function hostKey(address: IpAddress): PrefixKey {
  return keyOf({ address, length: address.length * 8 })
}

/** Looked up, for `**` is dear where every route has its key made. */
const POWERS_OF_2 = Float64Array.from({ length: 33 }, (_, i) => 2 ** i)

const key4 = (address: number, length: number): number =>
  POWERS_OF_2[length]! + (length === 0 ? 0 : address >>> (32 - length))

const length4 = (key: number): number => (key >= 2 ** 32 ? 32 : 31 - Math.clz32(key))

function address4(key: number, length: number): number {
  return length === 0 ? 0 : ((key - POWERS_OF_2[length]!) << (32 - length)) >>> 0
}

/** `words` are four of 32 bits, from `at` on. */
function key6(words: Uint32Array, at: number, length: number): string {
  const a = words[at]!
  const b = words[at + 1]!
  const c = words[at + 2]!
  const d = words[at + 3]!
  return String.fromCharCode(
    a >>> 16,
    a & 0xffff,
    b >>> 16,
    b & 0xffff,
    c >>> 16,
    c & 0xffff,
    d >>> 16,
    d & 0xffff,
    length,
  )
}

function wordsOf(address: IpAddress): Uint32Array {
  const view = new DataView(address.buffer, address.byteOffset, 16)
  return Uint32Array.of(view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12))
}

export function keyAt4(columns: RouteColumns, row: number): number {
  return key4(columns.addresses[row]!, columns.lengths[row]!)
}

export function keyAt6(columns: RouteColumns, row: number): string {
  return key6(columns.addresses, row * 4, columns.lengths[row]!)
}

export interface RouteBuilders {
  readonly v4: RouteColumnsBuilder
  readonly v6: RouteColumnsBuilder
}

const words = new Uint32Array(4)

/** Adds a row for the key to the columns of its family. */
export function addRow({ v4, v6 }: RouteBuilders, table: number, key: PrefixKey, nextHop: number): void {
  if (typeof key === 'number') {
    const length = length4(key)
    v4.add4(table, address4(key, length), length, nextHop)
    return
  }
  for (let i = 0; i < 4; i++) words[i] = (key.charCodeAt(i * 2) << 16) | key.charCodeAt(i * 2 + 1)
  v6.add6(table, words, key.charCodeAt(8), nextHop)
}

/** The same for a digest. */
export function addToDigest(digest: Digest, key: PrefixKey, nextHop: number): void {
  if (typeof key === 'number') {
    const length = length4(key)
    words[0] = address4(key, length)
    digest.addRoute(words, 0, 1, length, nextHop)
    return
  }
  for (let i = 0; i < 4; i++) words[i] = (key.charCodeAt(i * 2) << 16) | key.charCodeAt(i * 2 + 1)
  digest.addRoute(words, 0, 4, key.charCodeAt(8), nextHop)
}

function prefixOf(key: PrefixKey): Prefix {
  if (typeof key === 'number') {
    const length = length4(key)
    return { address: ipv4Bytes(address4(key, length)), length }
  }
  const address = new Uint8Array(16)
  for (let i = 0; i < 8; i++) new DataView(address.buffer).setUint16(i * 2, key.charCodeAt(i))
  return { address, length: key.charCodeAt(8) }
}

/** As people read them: IPv4 first, by address, the shorter prefix of two with the same one first. */
export function compareKeys(a: PrefixKey, b: PrefixKey): number {
  if (typeof a === 'string' || typeof b === 'string') {
    if (typeof a === 'number') return -1
    return typeof b === 'number' || a > b ? 1 : -1
  }
  const [lengthA, lengthB] = [length4(a), length4(b)]
  return address4(a, lengthA) - address4(b, lengthB) || lengthA - lengthB
}

export const formatKey = (key: PrefixKey): string => formatPrefix(prefixOf(key))
