/**
 * A prefix as the key of a Map: a number for IPv4 (address times 64, plus length: 38 bits), a text of nine characters for
 * IPv6 (eight words of 16 bits and the length). Both compare and hash as one value, and no object is made for either.
 */

import { formatPrefix, type IpAddress, ipv4Bytes, ipv4Number, type Prefix } from '../base/address.ts'
import type { RouteColumns, RouteColumnsBuilder } from '../wire/control/columns.ts'

export type PrefixKey = number | string

export function keyOf({ address, length }: Prefix): PrefixKey {
  return address.length === 4 ? key4(ipv4Number(address), length) : key6(wordsOf(address), 0, length)
}

export function hostKey(address: IpAddress): PrefixKey {
  return keyOf({ address, length: address.length * 8 })
}

const key4 = (address: number, length: number): number => address * 64 + length

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
    const length = key % 64
    v4.add4(table, (key - length) / 64, length, nextHop)
    return
  }
  for (let i = 0; i < 4; i++) words[i] = (key.charCodeAt(i * 2) << 16) | key.charCodeAt(i * 2 + 1)
  v6.add6(table, words, key.charCodeAt(8), nextHop)
}

export function prefixOf(key: PrefixKey): Prefix {
  if (typeof key === 'number') return { address: ipv4Bytes(Math.floor(key / 64)), length: key % 64 }
  const address = new Uint8Array(16)
  for (let i = 0; i < 8; i++) new DataView(address.buffer).setUint16(i * 2, key.charCodeAt(i))
  return { address, length: key.charCodeAt(8) }
}

export const formatKey = (key: PrefixKey): string => formatPrefix(prefixOf(key))
