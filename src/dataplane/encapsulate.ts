/**
 * The rewrite stage's one operation: a finished action's template is put before a packet, and the few fields that
 * depend on the packet are filled in: lengths, the outer IPv4 checksum, DSCP and ECN (RFC 6040 section 4.1, normal
 * mode: the inner byte is copied), and what gives the fabric's ECMP its entropy (RFC 7348 section 5: the UDP source
 * port; RFC 6438: the flow label of an IPv6 outer header).
 */

import { ipv4 } from '../wire/ipv4.ts'
import { ipv6 } from '../wire/ipv6.ts'
import { udp } from '../wire/udp.ts'
import { type Actions, OUTER_IP_AT, TEMPLATE_AT, Tunnel } from './action.ts'
import type { Batch } from './batch.ts'
import type { Frames } from './frames.ts'

/** RFC 7348 section 5: the source port comes from the dynamic range, 49152 to 65535. */
const ENTROPY_PORTS_FROM = 0xc000
const ENTROPY_BITS = 0x3fff

export function entropyPort(hash: number): number {
  return ENTROPY_PORTS_FROM | (hash & ENTROPY_BITS)
}

/**
 * Puts the template of the action at word `at` before byte `start` of row `row`'s frame; what was before `start` is
 * gone. `tos` is the packet's own TOS or traffic class, `etherType` what it is. The caller has looked at the action's
 * MTU.
 */
export function encapsulate(
  frames: Frames,
  actions: Actions,
  batch: Batch,
  row: number,
  at: number,
  start: number,
  tos: number,
  etherType: number,
): void {
  const words = actions.words
  const bytes = words[at + 2]!
  const address = start - bytes
  const removed = address - batch.address[row]!
  const total = batch.total[row]! - removed
  copyTemplate(frames.view, words, at + TEMPLATE_AT, address, bytes)
  if (words[at + 7] !== 0) frames.view.setUint16(address + words[at + 7]!, etherType)
  batch.address[row] = address
  batch.length[row] = batch.length[row]! - removed
  batch.total[row] = total
  batch.out[row] = words[at + 1]!
  finish(frames.view, words[at + 3]!, address + OUTER_IP_AT, total - OUTER_IP_AT, tos, words[at + 5]!, batch.hash[row]!)
}

// Word by word: a byte at a time costs twice as much (a template is 42 to 84 bytes).
function copyTemplate(frame: DataView, words: Int32Array, from: number, address: number, bytes: number): void {
  let word = from
  let to = address
  const end = address + bytes
  for (; to + 4 <= end; to += 4) frame.setInt32(to, words[word++]!, true)
  if (to < end) frame.setUint16(to, words[word]!, true)
}

function finish(
  frame: DataView,
  tunnel: number,
  ip: number,
  bytes: number,
  tos: number,
  sum: number,
  hash: number,
): void {
  if (tunnel === Tunnel.none) return
  let inside: number
  if (tunnel === Tunnel.vxlan4 || tunnel === Tunnel.gre4) {
    ipv4.tos.set(frame, ip, tos)
    ipv4.totalLength.set(frame, ip, bytes)
    const total = sum + bytes + tos
    const once = (total & 0xffff) + (total >>> 16)
    ipv4.checksum.set(frame, ip, ~(once + (once >>> 16)))
    inside = ip + ipv4.BYTES
  } else {
    ipv6.versionClassFlow.set(frame, ip, 0x60000000 | (tos << 20) | (hash & 0xfffff))
    ipv6.payloadLength.set(frame, ip, bytes - ipv6.BYTES)
    inside = ip + ipv6.BYTES
  }
  if (tunnel === Tunnel.vxlan4 || tunnel === Tunnel.vxlan6) {
    udp.sourcePort.set(frame, inside, entropyPort(hash))
    udp.length.set(frame, inside, bytes - (inside - ip))
  }
}
