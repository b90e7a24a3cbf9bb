/**
 * Is a text a community, and of which kind? What it means in bytes is BGP's (`community.ts` of the wire); the two agree,
 * which their tests hold.
 *
 *   65001:100, no-export             standard
 *   65001:2:3                        large
 *   rt:65001:1, ro:.., color:7 ..    extended
 *
 * In a list that routes are compared with, `*` may stand for a number of the first two kinds: `65001:*`, `*:*:666`.
 */

import { parseAddress } from '../base/address.ts'

export type CommunityKind = 'standard' | 'extended' | 'large'

export const COMMUNITY_NAMES = [
  'graceful-shutdown',
  'llgr-stale',
  'no-llgr',
  'blackhole',
  'no-export',
  'no-advertise',
  'no-export-subconfed',
  'no-peer',
] as const

const AS2_MAX = 0xffff
const AS4_MAX = 0xffff_ffff

/** Undefined when it is none. */
export function communityKind(text: string, wildcards: boolean): CommunityKind | undefined {
  if ((COMMUNITY_NAMES as readonly string[]).includes(text)) return 'standard'
  if (isExtended(text)) return 'extended'
  const parts = text.split(':')
  const areNumbers = (max: number): boolean => parts.every((part) => (wildcards && part === '*') || isNumber(part, max))
  if (parts.length === 2 && areNumbers(AS2_MAX)) return 'standard'
  return parts.length === 3 && areNumbers(AS4_MAX) ? 'large' : undefined
}

function isNumber(text: string | undefined, max: number): boolean {
  return text !== undefined && /^(0|[1-9]\d{0,9})$/.test(text) && Number(text) <= max
}

function isExtended(text: string): boolean {
  if (/^0x[0-9a-f]{16}$/i.test(text)) return true
  const [kind, first = '', second, ...more] = text.split(':')
  if (kind === 'color') return second === undefined && isNumber(first, AS4_MAX)
  if (more.length > 0) return false
  if (kind === 'link-bandwidth') return isNumber(first, AS2_MAX) && /^\d{1,15}$/.test(second ?? '')
  return (kind === 'rt' || kind === 'ro') && isPair(`${first}:${second}`)
}

/** Two octets and a number of four, or four octets and a number of two: route targets and route distinguishers. */
export function isPair(text: string): boolean {
  const [first = '', second, ...more] = text.split(':')
  if (more.length > 0) return false
  if (isNumber(first, AS2_MAX)) return isNumber(second, AS4_MAX)
  return (isNumber(first, AS4_MAX) || parseAddress(first)?.length === 4) && isNumber(second, AS2_MAX)
}
