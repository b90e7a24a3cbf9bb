/**
 * Addresses as people write them and as packets hold them. An IP address is its bytes in network order: 4 of them for
 * IPv4, 16 for IPv6. Text of IPv6 is RFC 5952's. Every parser returns undefined for what it does not understand.
 */

import { isIPv4, isIPv6 } from 'node:net'

export type IpAddress = Uint8Array
export type MacAddress = Uint8Array

export interface Prefix {
  /** Host bits are zero. */
  address: IpAddress
  /** In bits, 0 to 32 or 0 to 128. */
  length: number
}

export function parseAddress(text: string): IpAddress | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number)
  if (isIPv6(text) && !text.includes('%')) return ipv6Bytes(text)
  return undefined
}

function ipv6Bytes(text: string): IpAddress {
  const dotted = text.lastIndexOf('.') < 0 ? undefined : text.slice(text.lastIndexOf(':') + 1)
  const plain = dotted ? text.slice(0, -dotted.length) + dottedAsHex(dotted) : text
  const [head = '', tail] = plain.split('::')
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16))
  const front = words(head)
  const back = tail === undefined ? [] : words(tail)
  const out = new Uint8Array(16)
  const view = new DataView(out.buffer)
  for (const [i, word] of front.entries()) view.setUint16(i * 2, word)
  for (const [i, word] of back.entries()) view.setUint16((8 - back.length + i) * 2, word)
  return out
}

function dottedAsHex(dotted: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number)
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

export function formatAddress(address: IpAddress): string {
  if (address.length === 4) return address.join('.')
  const view = new DataView(address.buffer, address.byteOffset, 16)
  const words = Array.from({ length: 8 }, (_, i) => view.getUint16(i * 2))
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff)
    return `::ffff:${address.slice(12).join('.')}`
  const zeros = longestZeroRun(words)
  const hex = words.map((word) => word.toString(16))
  if (zeros.length < 2) return hex.join(':')
  return `${hex.slice(0, zeros.start).join(':')}::${hex.slice(zeros.start + zeros.length).join(':')}`
}

function longestZeroRun(words: number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (start + length < 8 && words[start + length] === 0) length++
    if (length > best.length) best = { start, length }
    start += length
  }
  return best
}

/** `10.0.0.0/8`, `2001:db8::/32`. Host bits that are set are refused: it is nearly always a slip. */
export function parsePrefix(text: string): Prefix | undefined {
  const parsed = parseInterface(text)
  if (!parsed) return undefined
  const { address, length } = parsed
  return equalBytes(masked(address, length), address) ? { address, length } : undefined
}

/** `10.0.0.1/24`: an address with the length of its subnet's prefix. */
export function parseInterface(text: string): Prefix | undefined {
  const slash = text.indexOf('/')
  const address = parseAddress(text.slice(0, slash))
  const digits = text.slice(slash + 1)
  if (slash < 0 || !address || !/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined
  const length = Number(digits)
  return length <= address.length * 8 ? { address, length } : undefined
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.address)}/${prefix.length}`
}

/** The address with everything behind the first `length` bits zeroed. */
export function masked(address: IpAddress, length: number): IpAddress {
  const out = new Uint8Array(address.length)
  const whole = length >> 3
  out.set(address.subarray(0, whole))
  if (whole < address.length) out[whole] = address[whole]! & (0xff00 >> (length & 7))
  return out
}

export function prefixContains(prefix: Prefix, address: IpAddress): boolean {
  return prefix.address.length === address.length && equalBytes(masked(address, prefix.length), prefix.address)
}

export function parseMac(text: string): MacAddress | undefined {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return undefined
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16))
}

export function formatMac(mac: MacAddress): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':')
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** An IPv4 address as the unsigned number that packets and the FIB compare. */
export function ipv4Number(address: IpAddress): number {
  return ((address[0]! << 24) | (address[1]! << 16) | (address[2]! << 8) | address[3]!) >>> 0
}

export function ipv4Bytes(number: number): IpAddress {
  return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number)
}
