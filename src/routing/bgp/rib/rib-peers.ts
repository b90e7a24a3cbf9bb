/**
 * What the RIB knows of the sessions whose routes it holds, in columns by a number. A session that comes up anew is a new
 * number, so that what is left of the old one can go bit by bit while the new one's routes come in.
 */

import type { IpAddress } from '../../../base/address.ts'
import { assert } from '../../../base/assert.ts'
import { grown8, grown16, grownUnsigned32 } from './columns.ts'

/** Numbers are kept in 16 bits with every path and with what was sent. 0 is none. */
const PEERS_MAX = 65_535

export interface RibPeer {
  /** Of the site file. */
  readonly name: string
  readonly address: IpAddress
  readonly as: number
  readonly routerId: number
  /** Another AS than ours, and no member of our confederation. */
  readonly external: boolean
  /** RFC 4456: a client of ours as a route reflector. */
  readonly client: boolean
  readonly tracked?: boolean
}

export class RibPeers {
  external: Uint8Array = new Uint8Array(16)
  client: Uint8Array = new Uint8Array(16)
  routerId: Uint32Array = new Uint32Array(16)
  /** Its routes are of use only while their next hops are reachable. */
  tracked: Uint8Array = new Uint8Array(16)
  /** Who the session is now: itself, or the one that has come after it while its routes are still here (RFC 4724). */
  current: Uint16Array = new Uint16Array(16)
  readonly #peers: (RibPeer | undefined)[] = [undefined]
  readonly #free: number[] = []

  add(peer: RibPeer): number {
    const number = this.#free.pop() ?? this.#peers.length
    assert(number <= PEERS_MAX, 'more sessions than the RIB has numbers for')
    this.#peers[number] = peer
    this.external = grown8(this.external, number + 1)
    this.client = grown8(this.client, number + 1)
    this.routerId = grownUnsigned32(this.routerId, number + 1)
    this.current = grown16(this.current, number + 1)
    this.current[number] = number
    this.external[number] = peer.external ? 1 : 0
    this.client[number] = peer.client ? 1 : 0
    this.tracked = grown8(this.tracked, number + 1)
    this.tracked[number] = peer.tracked ? 1 : 0
    this.routerId[number] = peer.routerId
    return number
  }

  get(number: number): RibPeer {
    const peer = this.#peers[number]
    assert(peer !== undefined, 'a session that the RIB does not know')
    return peer
  }

  /** No path is of it any more, and nothing that was sent. */
  remove(number: number): void {
    assert(this.#peers[number] !== undefined, 'a session that goes twice')
    this.#peers[number] = undefined
    this.#free.push(number)
  }

  /** Below 0 when the address of `a` is the lower one (RFC 4271 section 9.1.2.2 g). */
  compareAddresses(a: number, b: number): number {
    const left = this.get(a).address
    const right = this.get(b).address
    if (left.length !== right.length) return left.length - right.length
    for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return left[i]! - right[i]!
    return 0
  }
}
