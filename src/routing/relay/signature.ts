/**
 * TCP-MD5 (RFC 2385) over segments as they are on the tenant's wire: the relay signs and checks, for the kernel, which
 * knows the peers by other addresses, could not.
 *
 *   digest = MD5(pseudo-header | TCP header without options, its checksum zero | data | key)        section 2.0
 */

import { hash, timingSafeEqual } from 'node:crypto'
import { PROTOCOL } from '../../wire/ipv4.ts'
import { TCP_OPTION, tcp, tcpHeaderBytes, tcpOption } from '../../wire/tcp.ts'
import { SIGNATURE, SIGNATURE_BYTES, SIGNED_BYTES } from './tcp-options.ts'

/** A pseudo-header of IPv6 (RFC 8200 section 8.1), the longest segment, the longest key. */
const INPUT_BYTES_MAX = 40 + 65_535 + 80

const input = Buffer.alloc(INPUT_BYTES_MAX)
const inputView = new DataView(input.buffer, input.byteOffset, input.length)

export const Signed = { no: 0, right: 1, wrong: 2 } as const

/** What the segment at `at` up to `end` says of who sent it. `addresses`: where its source and destination stand. */
export function checkSignature(
  view: DataView,
  addresses: number,
  addressBytes: number,
  at: number,
  end: number,
  key: Uint8Array,
): number {
  const option = tcpOption(view, at, SIGNATURE)
  if (option === 0) return Signed.no
  if (view.getUint8(option + 1) !== SIGNATURE_BYTES) return Signed.wrong
  const digest = new Uint8Array(view.buffer, view.byteOffset + option + 2, 16)
  return timingSafeEqual(digestOf(view, addresses, addressBytes, at, end, key), digest) ? Signed.right : Signed.wrong
}

/** Signs at the end of the options, where `widenForSignature` has made room. */
export function sign(
  view: DataView,
  addresses: number,
  addressBytes: number,
  at: number,
  end: number,
  key: Uint8Array,
): void {
  const option = at + tcpHeaderBytes(view, at) - SIGNED_BYTES
  view.setUint16(option, (TCP_OPTION.noOperation << 8) | TCP_OPTION.noOperation)
  view.setUint16(option + 2, (SIGNATURE << 8) | SIGNATURE_BYTES)
  const digest = digestOf(view, addresses, addressBytes, at, end, key)
  new Uint8Array(view.buffer, view.byteOffset + option + 4, 16).set(digest)
}

function digestOf(
  view: DataView,
  addresses: number,
  addressBytes: number,
  at: number,
  end: number,
  key: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  input.set(bytes.subarray(addresses, addresses + 2 * addressBytes), 0)
  let to = 2 * addressBytes
  if (addressBytes === 4) {
    inputView.setUint16(to, PROTOCOL.tcp)
    inputView.setUint16(to + 2, end - at)
    to += 4
  } else {
    inputView.setUint32(to, end - at)
    inputView.setUint32(to + 4, PROTOCOL.tcp)
    to += 8
  }
  input.set(bytes.subarray(at, at + tcp.BYTES), to)
  inputView.setUint16(to + tcp.checksum.offset, 0)
  to += tcp.BYTES
  const data = at + tcpHeaderBytes(view, at)
  input.set(bytes.subarray(data, end), to)
  to += end - data
  input.set(key, to)
  return hash('md5', input.subarray(0, to + key.length), 'buffer')
}
