/**
 * Eight bytes that people write as two numbers, `65001:100` or `192.0.2.1:7`: route distinguishers (RFC 4364 section 4.2),
 * and the values of the extended communities that look like them (RFC 4360, RFC 5668). Two words here: high and low.
 *
 *   type 0: AS u16 | number u32      type 1: IPv4 address | number u16      type 2: AS u32 | number u16
 */

import { formatAddress, ipv4Bytes, ipv4Number, parseAddress } from '../../base/address.ts'

export interface Words {
  readonly high: number
  readonly low: number
}

export const PAIR = { as2: 0, address: 1, as4: 2 } as const

/** Of the lower 16 bits of `high` and of `low`. */
export function formatPair(form: number, high: number, low: number): string {
  const middle = high & 0xffff
  if (form === PAIR.as2) return `${middle}:${low}`
  const first = ((middle << 16) | (low >>> 16)) >>> 0
  return `${form === PAIR.address ? formatAddress(ipv4Bytes(first)) : first}:${low & 0xffff}`
}

/** The form, the lower 16 bits of `high`, and `low`; undefined for what is none. An AS of two octets where it fits. */
export function parsePair(text: string): { form: number; middle: number; low: number } | undefined {
  const [, first = '', second = ''] = /^([\d.]+):(\d+)$/.exec(text) ?? []
  const number = Number(second)
  if (second === '' || !/^(0|[1-9]\d*)$/.test(second) || number > 0xffff_ffff) return undefined
  if (first.includes('.')) {
    const address = parseAddress(first)
    if (address === undefined || number > 0xffff) return undefined
    return wide(PAIR.address, ipv4Number(address), number)
  }
  const as = Number(first)
  if (!/^(0|[1-9]\d*)$/.test(first) || as > 0xffff_ffff) return undefined
  if (as <= 0xffff) return { form: PAIR.as2, middle: as, low: number }
  return number > 0xffff ? undefined : wide(PAIR.as4, as, number)
}

function wide(form: number, first: number, number: number): { form: number; middle: number; low: number } {
  return { form, middle: first >>> 16, low: ((first << 16) | number) >>> 0 }
}

export function formatDistinguisher(high: number, low: number): string {
  const type = high >>> 16
  if (type <= PAIR.as4) return formatPair(type, high, low)
  return `0x${hexWord(high)}${hexWord(low)}`
}

export function parseDistinguisher(text: string): Words | undefined {
  const raw = parseRaw(text)
  if (raw) return raw
  const pair = parsePair(text)
  return pair && { high: ((pair.form << 16) | pair.middle) >>> 0, low: pair.low }
}

/** Eight bytes as `0x` and 16 digits. */
export function parseRaw(text: string): Words | undefined {
  if (!/^0x[0-9a-f]{16}$/i.test(text)) return undefined
  return { high: Number.parseInt(text.slice(2, 10), 16), low: Number.parseInt(text.slice(10), 16) }
}

export function hexWord(word: number): string {
  return word.toString(16).padStart(8, '0')
}
