/**
 * Rendezvous hashing, or highest random weight (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
 * 1998): of a list of members each key has one, whoever asks and in whatever order the list is. A member that leaves gives
 * away its own keys and nobody else's; one that joins takes its share from all others.
 *
 * Which routing node holds a tenant's session is asked here by the node itself and by who tells forwarding nodes where to
 * send the session's packets: both by `sessionKey`, or they would not meet.
 */

import type { IpAddress } from './address.ts'
import { mix32 } from './hash.ts'

/** FNV-1a's offset basis and prime, 32 bits. */
const FNV_BASIS = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** Of lists that are asked again and again. */
const hashes = new WeakMap<readonly string[], Int32Array>()

/** Undefined when there are no members. */
export function rendezvous(key: Uint8Array, members: readonly string[]): string | undefined {
  const own = hashOf(key)
  const weights = hashesOf(members)
  let best: string | undefined
  let most = -1
  for (let i = 0; i < members.length; i++) {
    const weight = mix32(own ^ weights[i]!) >>> 0
    // Of equal ones, which a list of names in another order must not change.
    if (weight < most || (weight === most && members[i]! > best!)) continue
    best = members[i]!
    most = weight
  }
  return best
}

/** Of a session: the segment that its packets come over, and the peer's address there. */
export function sessionKey(vni: number, peer: IpAddress): Uint8Array {
  const key = new Uint8Array(3 + peer.length)
  key[0] = vni >>> 16
  key[1] = vni >>> 8
  key[2] = vni
  key.set(peer, 3)
  return key
}

function hashesOf(members: readonly string[]): Int32Array {
  const known = hashes.get(members)
  if (known) return known
  const made = Int32Array.from(members, (name) => hashOf(Buffer.from(name)))
  hashes.set(members, made)
  return made
}

function hashOf(bytes: Uint8Array): number {
  let hash = FNV_BASIS
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, FNV_PRIME)
  return mix32(hash)
}
