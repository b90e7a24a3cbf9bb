/** Messages to begin with, and what becomes of them when bytes are changed, cut out and repeated: for fuzzers. */

import type { Random } from '../../base/random.ts'
import { Writer } from '../cursor.ts'
import { drawn } from './drawn.ts'
import { BGP_HEADER_BYTES, MESSAGE, messageOf } from './message.ts'

const update = (withdrawn: string, attributes: string, nlri: string): Uint8Array => {
  const out = new Writer()
  for (const part of [drawn(withdrawn), drawn(attributes)]) {
    out.u16(part.length)
    out.bytes(part)
  }
  out.bytes(drawn(nlri))
  return messageOf(MESSAGE.update, out.finish())
}

export const ORIGIN = '40 01 01 00'
export const PATH = '40 02 10 02 02 0000fde9 fa56ea00 01 01 00000007'
const PATH_2 = '40 02 08 02 03 fde9 5ba0 5ba0'
export const NEXT_HOP = '40 03 04 c0000201'
const SOME = `80 04 04 00000001 40 05 04 00000064 40 06 00 c0 08 08 fde90064 ffffff01 80 09 04 0a000001 80 0a 04 0a000002
  c0 10 10 0002fde900000001 4004fde94cbebc20 c0 20 0c 0000fde90000000200000003 c0 23 04 0000fde9
  80 1a 0b 01 000b 00000000000003e8 c0 19 14 0002 20010db8 00000000 00000000 00000001 0007
  c0 63 02 0102 80 64 01 00 c0 28 0a 00000000000000000000 c0 17 07 0008 00ff 01 ff 00 d0 f0 0004 01020304`
const AGGREGATOR = 'c0 07 08 0000fde9 0a000001'
const FOUR = 'c0 07 06 5ba0 0a000001 c0 11 0a 02 02 fa56ea00 00000007 c0 12 08 fa56ea00 0a000001'
const REACH_6 = '80 0e 1c 0002 01 10 20010db8 00000000 00000000 00000001 00 30 20010db8ffff'
const REACH_VPN = `80 0e 20 0001 80 0c 0000000000000000 c0000201 00 70 000641 0000fde900000064 0a0102`
const REACH_VPN6 = `80 0e 31 0002 80 18 0000000000000000 20010db8 00000000 00000000 00000001 00
  88 000641 0000fde900000064 20010db8ffff`

/** Messages of every kind, with every attribute. */
export const corpus: readonly Uint8Array[] = [
  messageOf(
    MESSAGE.open,
    drawn(`04 5ba0 005a 0a000001 4e 02 4c 01 04 0001 00 01 02 00 05 06 0001 0001 0002 06 00 09 01 03 40 06 c078 0001 01 80
      41 04 fa56ea00 45 08 0001 01 03 0002 01 01 46 00 47 07 0001 01 80 000e10 49 0c 02 7231 08 6c61622e74657374
      63 02 abcd 80 00`),
  ),
  messageOf(MESSAGE.open, drawn('04 fde9 005a 0a000001 ff ff 0008 02 0002 02 00 02 0000')),
  messageOf(MESSAGE.open, drawn('04 fde9 0000 0a000001 08 02 02 02 00 02 02 46 00')),
  messageOf(MESSAGE.notification, drawn('06 09 06 02 04 62796521')),
  messageOf(MESSAGE.notification, drawn('06 01 0001 01 000003e8')),
  messageOf(MESSAGE.routeRefresh, drawn('0001 01 01')),
  update('18 0a0102 08 0b', '', ''),
  update('', `${ORIGIN} ${PATH} ${NEXT_HOP}`, '00 08 0a 18 0a0102 20 0a010203'),
  update('18 0a0102', `${ORIGIN} ${PATH} ${NEXT_HOP} ${SOME} ${AGGREGATOR}`, '18 0a0102'),
  update('', `${ORIGIN} ${PATH_2} ${NEXT_HOP} ${FOUR}`, '18 0a0102 11 0a0180'),
  update('00000001 18 0a0102', `${ORIGIN} ${PATH} ${NEXT_HOP}`, '00000001 18 0a0102 00000002 00'),
  update('', `${REACH_6} ${ORIGIN} ${PATH}`, ''),
  update('', `${REACH_VPN} ${ORIGIN} ${PATH} c0 10 08 0002fde900000001`, ''),
  update('', `${REACH_VPN6} ${ORIGIN} ${PATH}`, ''),
  update('', '80 0f 0a 0002 01 30 20010db8ffff', ''),
  update('', '80 0f 12 0001 80 70 000641 0000fde900000064 0a0102', ''),
  update('', '80 0f 03 0002 01', ''),
]

/** In most mutants the lengths are made to agree again, so that what is behind the first check is met. */
export function mutated(sample: Uint8Array, random: Random): Uint8Array {
  let body = sample.slice(BGP_HEADER_BYTES)
  const end = sample.length - BGP_HEADER_BYTES
  let grown = 0
  for (let change = random.below(3); change >= 0 && body.length > 0; change--) {
    const before = body.length
    const at = random.below(body.length)
    const kind = random.below(5)
    if (kind === 0) body[at] = random.u32()
    else if (kind === 1) body[at]! ^= 1 << random.below(8)
    else if (kind === 2) body.fill(random.pick([0, 0xff]), at, at + 1 + random.below(4))
    else if (kind === 3) body = joined(body.subarray(0, at), body.subarray(at + random.below(8)))
    else body = joined(body.subarray(0, at), body.subarray(random.below(at + 1), at), body.subarray(at))
    grown += body.length - before
  }
  const type = sample[18]!
  if (type === MESSAGE.update && grown !== 0 && body.length > 4 && random.chance(0.8)) refit(body, end)
  const whole = messageOf(type, body)
  if (random.chance(0.02)) whole[random.below(BGP_HEADER_BYTES)] = random.u32()
  return whole
}

// Gives what was put in or taken out to the attributes.
function refit(body: Uint8Array, end: number): void {
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const at = 2 + view.getUint16(0)
  if (at + 2 > body.length) return
  const length = view.getUint16(at) + body.length - end
  if (length >= 0 && length <= 0xffff) view.setUint16(at, length)
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Writer()
  for (const part of parts) out.bytes(part)
  return out.finish().slice() as Uint8Array<ArrayBuffer>
}
