/**
 * OPEN messages, RFC 4271 section 4.2, with their optional parameters in the form of that RFC and, where 255 bytes do not
 * hold them, in that of RFC 9072:
 *
 *   version u8 | AS u16 | hold time u16 | identifier u32 | length u8 | parameters: type u8 | length u8 | value
 *   version u8 | AS u16 | hold time u16 | identifier u32 | 255 | 255 | length u16 | parameters: type u8 | length u16 | value
 */

import { type Reader, Writer } from '../cursor.ts'
import { type Capability, capabilitiesOf, readCapability, writeCapability } from './capability.ts'
import { MESSAGE, messageOf } from './message.ts'
import { type Notification, notification, OPEN_ERROR } from './notification.ts'

const BGP_VERSION = 4
/** Stands for an AS number that two octets do not hold (RFC 6793). */
export const AS_TRANS = 23_456

export interface Open {
  /** Of four octets where the peer has said so in a capability. */
  readonly as: number
  /** 0 for none, or 3 and more. */
  readonly holdTime_s: number
  /** Of the router, as an IPv4 address's number; not 0. */
  readonly identifier: number
  readonly capabilities: readonly Capability[]
}

const PARAMETER = { capabilities: 2, extended: 255 } as const
const HOLD_TIME_MIN_S = 3

/** The reader's window is the message's body. */
export function decodeOpen(from: Reader): Open | Notification {
  const version = from.u8()
  const as2 = from.u16()
  const holdTime_s = from.u16()
  const identifier = from.u32()
  if (version !== BGP_VERSION && !from.failed)
    return notification(OPEN_ERROR.code, OPEN_ERROR.version, Uint8Array.of(0, BGP_VERSION))
  const capabilities: Capability[] = []
  const error = readParameters(from, capabilities)
  if (error !== undefined) return notification(OPEN_ERROR.code, error)
  const [four] = capabilitiesOf(capabilities, 'four-octet-as')
  const as = four?.as ?? as2
  // AS 0 is nobody (RFC 7607); an identifier is any number but 0 (RFC 6286).
  if (as === 0 || as2 === 0) return notification(OPEN_ERROR.code, OPEN_ERROR.peerAs)
  if (holdTime_s > 0 && holdTime_s < HOLD_TIME_MIN_S) return notification(OPEN_ERROR.code, OPEN_ERROR.holdTime)
  if (identifier === 0) return notification(OPEN_ERROR.code, OPEN_ERROR.identifier)
  return { as, holdTime_s, identifier, capabilities }
}

/** Returns a subcode, or undefined when the parameters are sound to the last byte. */
function readParameters(from: Reader, into: Capability[]): number | undefined {
  const classicBytes = from.u8()
  if (classicBytes === 0) return from.failed || from.remaining > 0 ? OPEN_ERROR.unspecific : undefined
  const first = from.u8()
  // The first parameter's type says which form it is, and then the length of one byte is not looked at (RFC 9072).
  const extended = first === PARAMETER.extended
  const bytes = extended ? from.u16() : classicBytes - 1
  if (from.failed || bytes !== from.remaining) return OPEN_ERROR.unspecific
  let type = extended && bytes > 0 ? from.u8() : first
  if (extended && bytes === 0) return undefined
  for (;;) {
    const outer = from.enter(extended ? from.u16() : from.u8())
    if (from.failed) return OPEN_ERROR.unspecific
    if (type !== PARAMETER.capabilities) return OPEN_ERROR.optionalParameter
    while (from.remaining > 0) into.push(readCapability(from))
    if (from.failed) return OPEN_ERROR.unspecific
    from.leave(outer)
    if (from.remaining === 0) return undefined
    type = from.u8()
  }
}

/** A whole message. An AS number of more than two octets needs its capability among the others. */
export function encodeOpen({ as, holdTime_s, identifier, capabilities }: Open): Uint8Array {
  const values = new Writer()
  for (const capability of capabilities) writeCapability(values, capability, new Writer())
  const value = values.finish()
  const out = new Writer()
  out.u8(BGP_VERSION)
  out.u16(as > 0xffff ? AS_TRANS : as)
  out.u16(holdTime_s)
  out.u32(identifier)
  // All in one parameter: some old speakers read no second one.
  if (value.length === 0) out.u8(0)
  else if (value.length <= 255 - 2) {
    out.u8(value.length + 2)
    out.u8(PARAMETER.capabilities)
    out.u8(value.length)
  } else {
    out.u8(PARAMETER.extended)
    out.u8(PARAMETER.extended)
    out.u16(value.length + 3)
    out.u8(PARAMETER.capabilities)
    out.u16(value.length)
  }
  out.bytes(value)
  return messageOf(MESSAGE.open, out.finish())
}
