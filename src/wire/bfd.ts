/**
 * Bidirectional Forwarding Detection control packets, RFC 5880 section 4, and those of its rules for reception (section
 * 6.8.6) that need no session. Digests are not verified here: that takes the session's key.
 */

import { Fault } from './fault.ts'
import { header, u8, u32 } from './header.ts'

export const bfd = header('BFD control packet, RFC 5880 section 4.1', {
  versionDiagnostic: u8,
  stateFlags: u8,
  detectMultiplier: u8,
  length: u8,
  myDiscriminator: u32,
  yourDiscriminator: u32,
  desiredMinTx_us: u32,
  requiredMinRx_us: u32,
  requiredMinEchoRx_us: u32,
})

/** Follows the control packet when its authentication flag is set. The password begins where `keyId` ends. */
export const bfdPassword = header('BFD simple password, RFC 5880 section 4.2', {
  type: u8,
  length: u8,
  keyId: u8,
})

/** The digest of 16 (MD5) or 20 bytes (SHA1) follows. */
export const bfdDigest = header('BFD keyed MD5 and SHA1, RFC 5880 sections 4.3 and 4.4', {
  type: u8,
  length: u8,
  keyId: u8,
  reserved: u8,
  sequence: u32,
})

export const BFD_STATE = { adminDown: 0, down: 1, init: 2, up: 3 } as const

/** The lower six bits of `stateFlags`. */
export const BFD_FLAG = {
  poll: 0x20,
  final: 0x10,
  controlPlaneIndependent: 0x08,
  authentication: 0x04,
  demand: 0x02,
  multipoint: 0x01,
} as const

/** RFC 5880 section 4.1. */
export const BFD_DIAGNOSTIC = {
  none: 0,
  detectionTimeExpired: 1,
  echoFailed: 2,
  neighbourSignalledDown: 3,
  forwardingPlaneReset: 4,
  pathDown: 5,
  concatenatedPathDown: 6,
  administrativelyDown: 7,
  reverseConcatenatedPathDown: 8,
} as const

export const BFD_AUTHENTICATION = { password: 1, md5: 2, meticulousMd5: 3, sha1: 4, meticulousSha1: 5 } as const

const VERSION = 1
const PASSWORD_MAX = 16
const MD5_BYTES = 16
const SHA1_BYTES = 20

export function checkBfd(frame: DataView, at: number, end: number): number {
  if (at + bfd.BYTES > end) return Fault.truncated
  if (bfd.versionDiagnostic.get(frame, at) >>> 5 !== VERSION) return Fault['bad-version']
  const flags = bfd.stateFlags.get(frame, at)
  const authenticated = (flags & BFD_FLAG.authentication) !== 0
  const bytes = bfd.length.get(frame, at)
  if (bytes < bfd.BYTES + (authenticated ? 2 : 0)) return Fault['bad-header-length']
  if (at + bytes > end) return Fault['bad-header-length']
  if (bfd.detectMultiplier.get(frame, at) === 0) return Fault['bad-field']
  if ((flags & BFD_FLAG.multipoint) !== 0) return Fault['reserved-bits']
  if (bfd.myDiscriminator.get(frame, at) === 0) return Fault['bad-field']
  // Only a session that has not heard from us yet may not know our discriminator.
  if (bfd.yourDiscriminator.get(frame, at) === 0 && bfdState(frame, at) > BFD_STATE.down) return Fault['bad-field']
  return authenticated ? checkAuthentication(frame, at + bfd.BYTES, at + bytes) : Fault.none
}

function checkAuthentication(frame: DataView, at: number, end: number): number {
  const bytes = bfdPassword.length.get(frame, at)
  if (at + bytes > end) return Fault['bad-header-length']
  switch (bfdPassword.type.get(frame, at)) {
    case BFD_AUTHENTICATION.password:
      return bytes > bfdPassword.BYTES && bytes <= bfdPassword.BYTES + PASSWORD_MAX
        ? Fault.none
        : Fault['bad-header-length']
    case BFD_AUTHENTICATION.md5:
    case BFD_AUTHENTICATION.meticulousMd5:
      return bytes === bfdDigest.BYTES + MD5_BYTES ? Fault.none : Fault['bad-header-length']
    case BFD_AUTHENTICATION.sha1:
    case BFD_AUTHENTICATION.meticulousSha1:
      return bytes === bfdDigest.BYTES + SHA1_BYTES ? Fault.none : Fault['bad-header-length']
    default:
      return Fault['unknown-protocol']
  }
}

/** One of BFD_STATE. */
export function bfdState(frame: DataView, at: number): number {
  return bfd.stateFlags.get(frame, at) >>> 6
}

/** One of BFD_DIAGNOSTIC, or a number of a later standard. */
export function bfdDiagnostic(frame: DataView, at: number): number {
  return bfd.versionDiagnostic.get(frame, at) & 0x1f
}
