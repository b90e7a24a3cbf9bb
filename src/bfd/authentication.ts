/**
 * Authentication of BFD control packets, RFC 5880 section 6.7: a password, or a keyed MD5 or SHA1 digest over the
 * packet with a sequence number against replays, which the meticulous kinds raise with every packet. Small packets at a
 * low rate, so node:crypto serves.
 */

import { createHash, timingSafeEqual } from 'node:crypto'
import { assert } from '../base/assert.ts'
import { BFD_AUTHENTICATION, bfd, bfdDigest, bfdPassword } from '../wire/bfd.ts'

export interface Authentication {
  type: keyof typeof BFD_AUTHENTICATION
  keyId: number
  /** 1 to 16 bytes for a password and MD5, 1 to 20 for SHA1. */
  key: Uint8Array
}

const MD5_BYTES = 16
const SHA1_BYTES = 20

export class AuthenticationState {
  /** What is added to the control packet. */
  readonly bytes: number
  readonly #type: number
  readonly #keyId: number
  /** A digest's key is padded with zeros to the digest's length. */
  readonly #key: Uint8Array
  readonly #algorithm: 'md5' | 'sha1' | undefined
  readonly #meticulous: boolean
  #sendSequence: number
  #receivedSequence = 0
  #received_us = Number.NEGATIVE_INFINITY

  /** `firstSequence` is random, so that a restart does not repeat numbers (RFC 5880 section 6.8.1). */
  constructor({ type, keyId, key }: Authentication, firstSequence: number) {
    const sha1 = type === 'sha1' || type === 'meticulousSha1'
    const length = sha1 ? SHA1_BYTES : MD5_BYTES
    assert(key.length > 0 && key.length <= length, `a BFD key has 1 to ${length} bytes`)
    this.#type = BFD_AUTHENTICATION[type]
    this.#keyId = keyId
    this.#algorithm = type === 'password' ? undefined : sha1 ? 'sha1' : 'md5'
    this.#key = this.#algorithm ? padded(key, length) : key
    this.#meticulous = type === 'meticulousMd5' || type === 'meticulousSha1'
    this.#sendSequence = firstSequence
    this.bytes = this.#algorithm ? bfdDigest.BYTES + length : bfdPassword.BYTES + key.length
  }

  /** Fills the authentication section behind the control packet at `at`, which is complete otherwise. */
  sign(packet: DataView, at: number): void {
    const section = at + bfd.BYTES
    bfdPassword.type.set(packet, section, this.#type)
    bfdPassword.length.set(packet, section, this.bytes)
    bfdPassword.keyId.set(packet, section, this.#keyId)
    if (!this.#algorithm) {
      bytesAt(packet, section + bfdPassword.BYTES, this.#key.length).set(this.#key)
      return
    }
    // Raised with each packet, as the meticulous kinds must and the others may.
    this.#sendSequence = (this.#sendSequence + 1) >>> 0
    bfdDigest.reserved.set(packet, section, 0)
    bfdDigest.sequence.set(packet, section, this.#sendSequence)
    const digest = bytesAt(packet, section + bfdDigest.BYTES, this.#key.length)
    digest.set(this.#key)
    digest.set(this.#digestOf(bytesAt(packet, at, bfd.BYTES + this.bytes)))
  }

  /** Is the packet, which `checkBfd` has passed, from somebody who has the key, and not an old one? */
  accepts(packet: DataView, at: number, now_us: number, detectionTime_us: number): boolean {
    const section = at + bfd.BYTES
    if (bfdPassword.type.get(packet, section) !== this.#type) return false
    if (bfdPassword.keyId.get(packet, section) !== this.#keyId) return false
    if (bfdPassword.length.get(packet, section) !== this.bytes) return false
    if (bfd.length.get(packet, at) < bfd.BYTES + this.bytes) return false
    if (!this.#algorithm)
      return timingSafeEqual(bytesAt(packet, section + bfdPassword.BYTES, this.#key.length), this.#key)
    const sequence = bfdDigest.sequence.get(packet, section)
    const known = now_us - this.#received_us < 2 * detectionTime_us
    if (known && !this.#isNext(sequence, bfd.detectMultiplier.get(packet, at))) return false
    if (!this.#digestHolds(packet, at)) return false
    this.#receivedSequence = sequence
    this.#received_us = now_us
    return true
  }

  // RFC 5880 sections 6.7.3 and 6.7.4: a window of three detection multipliers, modulo 2^32.
  #isNext(sequence: number, detectMultiplier: number): boolean {
    const ahead = (sequence - this.#receivedSequence) >>> 0
    return ahead >= (this.#meticulous ? 1 : 0) && ahead <= 3 * detectMultiplier
  }

  #digestHolds(packet: DataView, at: number): boolean {
    const copy = bytesAt(packet, at, bfd.length.get(packet, at)).slice()
    const from = bfd.BYTES + bfdDigest.BYTES
    const received = copy.slice(from, from + this.#key.length)
    copy.set(this.#key, from)
    return timingSafeEqual(received, this.#digestOf(copy))
  }

  #digestOf(packet: Uint8Array): Uint8Array {
    return createHash(this.#algorithm!).update(packet).digest()
  }
}

function padded(key: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length)
  out.set(key)
  return out
}

function bytesAt(packet: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(packet.buffer, packet.byteOffset + at, length)
}
