/**
 * Communities, the three kinds, between bytes and what people write:
 *
 *   65001:100, no-export                 RFC 1997: four bytes
 *   rt:65001:1, ro:192.0.2.1:7, ...      RFC 4360: eight bytes; as two words, high and low
 *   65001:2:3                            RFC 8092: twelve bytes; as three words
 *
 * Every parser returns undefined for what it does not understand, and every text that a formatter writes it does.
 */

import { formatPair, hexWord, PAIR, parsePair, parseRaw, type Words } from './distinguisher.ts'

/** Well-known ones, as the registry names them. */
export const COMMUNITY = {
  gracefulShutdown: 0xffff_0000, // RFC 8326
  llgrStale: 0xffff_0006, // RFC 9494
  noLlgr: 0xffff_0007,
  blackhole: 0xffff_029a, // RFC 7999
  noExport: 0xffff_ff01, // RFC 1997
  noAdvertise: 0xffff_ff02,
  noExportSubconfed: 0xffff_ff03,
  noPeer: 0xffff_ff04, // RFC 3765
} as const

const names: readonly (readonly [string, number])[] = [
  ['graceful-shutdown', COMMUNITY.gracefulShutdown],
  ['llgr-stale', COMMUNITY.llgrStale],
  ['no-llgr', COMMUNITY.noLlgr],
  ['blackhole', COMMUNITY.blackhole],
  ['no-export', COMMUNITY.noExport],
  ['no-advertise', COMMUNITY.noAdvertise],
  ['no-export-subconfed', COMMUNITY.noExportSubconfed],
  ['no-peer', COMMUNITY.noPeer],
]

export function formatCommunity(community: number): string {
  const named = names.find(([, value]) => value === community)
  return named ? named[0] : `${community >>> 16}:${community & 0xffff}`
}

export function parseCommunity(text: string): number | undefined {
  const named = names.find(([name]) => name === text)
  if (named) return named[1]
  const [high, low, ...more] = numbers(text, 0xffff)
  return high === undefined || low === undefined || more.length > 0 ? undefined : high * 0x10000 + low
}

// The numbers between colons, without leading zeros and none larger; nothing if there is anything else.
function numbers(text: string, max: number): number[] {
  const parts = text.split(':')
  const values = parts.map(Number)
  return parts.every((part) => /^(0|[1-9]\d*)$/.test(part)) && values.every((value) => value <= max) ? values : []
}

// ---- extended

export type ExtendedCommunity = Words

/** The first byte: the form of the value in its lower bits, and this one. */
const NON_TRANSITIVE = 0x40
const SUBTYPE = { routeTarget: 2, routeOrigin: 3, linkBandwidth: 4 } as const
const OPAQUE_TYPE = 3
const COLOR_SUBTYPE = 0x0b
const COLOR = ((OPAQUE_TYPE << 24) | (COLOR_SUBTYPE << 16)) >>> 0

function typeOf(high: number): number {
  return high >>> 24
}

function subtypeOf(high: number): number {
  return (high >>> 16) & 0xff
}

/** It may leave the AS, says its first byte (RFC 4360 section 2; RFC 5701 section 2). */
export function isTransitiveType(type: number): boolean {
  return (type & NON_TRANSITIVE) === 0
}

/** In which VRFs a VPN route belongs (RFC 4364 section 4.3.1). */
export function isRouteTarget(high: number): boolean {
  return typeOf(high) <= PAIR.as4 && subtypeOf(high) === SUBTYPE.routeTarget
}

/** draft-ietf-idr-link-bandwidth, with either transitivity. */
export function isLinkBandwidth(high: number): boolean {
  return (typeOf(high) & ~NON_TRANSITIVE) === PAIR.as2 && subtypeOf(high) === SUBTYPE.linkBandwidth
}

const word = new DataView(new ArrayBuffer(4))

/** Bytes per second, of a community that isLinkBandwidth: 0 where it holds no such number. */
export function linkBandwidth(low: number): number {
  word.setUint32(0, low)
  const value = word.getFloat32(0)
  return value > 0 && Number.isFinite(value) ? value : 0
}

/** `as` is ours, of which two octets have room. */
export function linkBandwidthCommunity(as: number, bytesPerSecond: number): ExtendedCommunity {
  word.setFloat32(0, bytesPerSecond)
  const high = ((NON_TRANSITIVE << 24) | (SUBTYPE.linkBandwidth << 16) | (as & 0xffff)) >>> 0
  return { high, low: word.getUint32(0) }
}

export function formatExtendedCommunity({ high, low }: ExtendedCommunity): string {
  const type = typeOf(high)
  const subtype = subtypeOf(high)
  if (isRouteTarget(high)) return `rt:${formatPair(type, high, low)}`
  if (type <= PAIR.as4 && subtype === SUBTYPE.routeOrigin) return `ro:${formatPair(type, high, low)}`
  if (isLinkBandwidth(high) && !isTransitiveType(typeOf(high)) && (linkBandwidth(low) !== 0 || low === 0))
    return `link-bandwidth:${high & 0xffff}:${linkBandwidth(low)}`
  if (high === COLOR) return `color:${low}` // RFC 9012 section 4.3
  return `0x${hexWord(high)}${hexWord(low)}`
}

export function parseExtendedCommunity(text: string): ExtendedCommunity | undefined {
  const raw = parseRaw(text)
  if (raw) return raw
  const colon = text.indexOf(':')
  const kind = text.slice(0, colon)
  const value = text.slice(colon + 1)
  if (kind === 'rt' || kind === 'ro') {
    const pair = parsePair(value)
    const subtype = kind === 'rt' ? SUBTYPE.routeTarget : SUBTYPE.routeOrigin
    return pair && { high: ((pair.form << 24) | (subtype << 16) | pair.middle) >>> 0, low: pair.low }
  }
  if (kind === 'color') {
    const [color, ...more] = numbers(value, 0xffff_ffff)
    return color === undefined || more.length > 0 ? undefined : { high: COLOR, low: color }
  }
  return kind === 'link-bandwidth' ? parseLinkBandwidth(value) : undefined
}

function parseLinkBandwidth(text: string): ExtendedCommunity | undefined {
  const [, as = '', rate = ''] = /^(\d{1,5}):(\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/.exec(text) ?? []
  const community = as === '' || Number(as) > 0xffff ? undefined : linkBandwidthCommunity(Number(as), Number(rate))
  return community && (linkBandwidth(community.low) !== 0 || community.low === 0) ? community : undefined
}

// ---- large

export interface LargeCommunity {
  readonly global: number
  readonly local1: number
  readonly local2: number
}

export function formatLargeCommunity({ global, local1, local2 }: LargeCommunity): string {
  return `${global}:${local1}:${local2}`
}

export function parseLargeCommunity(text: string): LargeCommunity | undefined {
  const [global, local1, local2, ...more] = numbers(text, 0xffff_ffff)
  if (global === undefined || local1 === undefined || local2 === undefined || more.length > 0) return undefined
  return { global, local1, local2 }
}
