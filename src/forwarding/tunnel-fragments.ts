/**
 * Fragmentation of tunnel packets, for the one case that asks for it. Every link takes IPv6 packets of 1,280 bytes (RFC 8200
 * section 5), no sender makes them smaller whatever it is told (RFC 8201 section 4), and so a tunnel whose path takes less
 * carries them in pieces (RFC 2473 section 7.1). The tunnel's far end puts them together: hosts do, by Linux or Open vSwitch.
 * Our own switches and nodes do not and drop them as `outer-fragment`, so the path to an edge switch must take 1,330 bytes
 * over IPv4 and 1,350 over IPv6 if its tenants are to have IPv6.
 */

import { mix32 } from '../base/hash.ts'
import { OUTER_IP_AT } from '../dataplane/action.ts'
import { type Batch, FORWARD } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { HEADROOM } from '../dataplane/frames.ts'
import { trim } from '../dataplane/trim.ts'
import { ETHERTYPE, ethernet } from '../wire/ethernet.ts'
import { IPV4_MORE_FRAGMENTS, ipv4, PROTOCOL, writeIpv4Checksum } from '../wire/ipv4.ts'
import { ipv6, ipv6Fragment } from '../wire/ipv6.ts'
import { copyPiece, FRAGMENT_UNIT } from './fragment.ts'
import type { Shared } from './shared.ts'

/**
 * Cuts the finished tunnel packet of the row into pieces whose outer packets have at most `mtu` bytes. The row keeps the
 * first, the others are originated. `count` tells the packets of a flow apart. Returns the row's verdict.
 */
export function fragmentTunnel(shared: Shared, batch: Batch, row: number, mtu: number, count: number): number {
  const { frames, pool } = shared
  const isIpv4 = ethernet.etherType.get(frames.view, batch.address[row]!) === ETHERTYPE.ipv4
  const before = OUTER_IP_AT + (isIpv4 ? ipv4.BYTES : ipv6.BYTES)
  const added = isIpv4 ? 0 : ipv6Fragment.BYTES
  const piece = (mtu - (before - OUTER_IP_AT) - added) & ~(FRAGMENT_UNIT - 1)
  const payload = batch.total[row]! - before
  if (payload <= piece) return FORWARD
  if (piece < FRAGMENT_UNIT) return Drop['too-big']
  const more = Math.ceil(payload / piece) - 1
  // A packet of our own does not leave before it is finished.
  const room = batch === shared.originated ? batch.room : more
  if (more > Math.min(room, pool.free)) return Drop['no-frames']
  // Nodes and workers share the VIP and do not agree on numbers: drawn ones rarely meet (RFC 4963), counted ones would.
  const id = mix32(batch.hash[row]! ^ mix32(count))
  const head = batch.address[row]!
  for (let done = piece; done < payload; done += piece) {
    const bytes = Math.min(piece, payload - done)
    const to = pool.take() + HEADROOM
    frames.bytes.copyWithin(to, head, head + before)
    copyPiece(frames, batch, row, head + before + done, to + before + added, bytes)
    finish(frames.view, to + OUTER_IP_AT, isIpv4, id, done, bytes, done + bytes < payload)
    shared.originateFrame(batch.tenant[row]!, to, before + added + bytes, batch.out[row]!)
  }
  trim(pool, batch, row, head + before + piece)
  frames.bytes.copyWithin(head - added, head, head + before)
  batch.address[row] = head - added
  batch.length[row] = batch.length[row]! + added
  batch.total[row] = batch.total[row]! + added
  finish(frames.view, head - added + OUTER_IP_AT, isIpv4, id, 0, piece, true)
  return FORWARD
}

/** Makes the headers at `ip` those of a fragment that carries `bytes` bytes from `offset` on. */
function finish(
  frame: DataView,
  ip: number,
  isIpv4: boolean,
  id: number,
  offset: number,
  bytes: number,
  more: boolean,
): void {
  if (isIpv4) {
    ipv4.totalLength.set(frame, ip, ipv4.BYTES + bytes)
    ipv4.id.set(frame, ip, id & 0xffff)
    ipv4.flagsFragment.set(frame, ip, (more ? IPV4_MORE_FRAGMENTS : 0) | (offset / FRAGMENT_UNIT))
    writeIpv4Checksum(frame, ip)
    return
  }
  const header = ip + ipv6.BYTES
  ipv6Fragment.nextHeader.set(frame, header, ipv6.nextHeader.get(frame, ip))
  ipv6Fragment.reserved.set(frame, header, 0)
  ipv6Fragment.offsetMore.set(frame, header, offset | Number(more))
  ipv6Fragment.id.set(frame, header, id)
  ipv6.nextHeader.set(frame, ip, PROTOCOL.fragment)
  ipv6.payloadLength.set(frame, ip, ipv6Fragment.BYTES + bytes)
}
