/**
 * The peers of a relay: found by segment and address for what comes from them, and by number for what goes to them. What
 * is known of one, its MAC address among it, is in its record, and there are no more records than peers: no cache grows
 * with what strangers send.
 */

import type { IpAddress } from '../../base/address.ts'
import { mix32 } from '../../base/hash.ts'
import { fold, sum16 } from '../../wire/checksum.ts'
import { innerAddress, ourInnerAddress } from './inner-address.ts'
import type { Way } from './ways.ts'

export class Peer {
  readonly way: Way
  readonly number: number
  readonly remote: IpAddress
  /** As the kernel knows it, and the device's own. */
  readonly innerRemote: IpAddress
  readonly innerLocal: IpAddress
  /** The sums of both addresses, on the tenant's wire and as the kernel knows them: what translation changes. */
  readonly tenantSum: number
  readonly innerSum: number
  /** TCP-MD5. */
  readonly key: Uint8Array | undefined
  /** Of the paths that its packets take, before ports are looked at. */
  readonly entropy: number
  /** Its session is to be held here, and not by another routing node. */
  isHere = true
  /** 0 until it is known. */
  mac = 0
  /** While its MAC address is asked for: how often it was, and what waits for the answer. */
  asks = 0
  waiting: Uint8Array[] = []
  /** The next of those that hash alike. */
  next: Peer | undefined

  constructor(way: Way, number: number, remote: IpAddress) {
    this.way = way
    this.number = number
    this.remote = remote
    this.innerRemote = innerAddress(number, remote.length)
    this.innerLocal = ourInnerAddress(remote.length as 4 | 16).address
    this.tenantSum = fold(sumOf(remote) + sumOf(way.local))
    this.innerSum = fold(sumOf(this.innerRemote) + sumOf(this.innerLocal))
    this.key = way.password === undefined ? undefined : Buffer.from(way.password)
    this.entropy = mix32(way.vni ^ mix32(number))
  }
}

export class PeerTable {
  readonly #byAddress = new Map<number, Peer>()
  readonly #byNumber = new Map<number, Peer>()

  add(peer: Peer): void {
    const hash = hashOf(peer.way.vni, viewOf(peer.remote), 0, peer.remote.length)
    peer.next = this.#byAddress.get(hash)
    this.#byAddress.set(hash, peer)
    this.#byNumber.set(peer.number, peer)
  }

  remove(peer: Peer): void {
    const hash = hashOf(peer.way.vni, viewOf(peer.remote), 0, peer.remote.length)
    const first = this.#byAddress.get(hash)
    if (first === peer) {
      if (peer.next) this.#byAddress.set(hash, peer.next)
      else this.#byAddress.delete(hash)
    }
    for (let one = first; one; one = one.next) if (one.next === peer) one.next = peer.next
    this.#byNumber.delete(peer.number)
  }

  /** The peer of the segment whose address of `length` bytes is at `at`. */
  find(vni: number, view: DataView, at: number, length: number): Peer | undefined {
    let peer = this.#byAddress.get(hashOf(vni, view, at, length))
    while (peer && !(peer.way.vni === vni && isAt(peer.remote, view, at, length))) peer = peer.next
    return peer
  }

  numbered(number: number): Peer | undefined {
    return this.#byNumber.get(number)
  }

  get size(): number {
    return this.#byNumber.size
  }

  all(): Iterable<Peer> {
    return this.#byNumber.values()
  }
}

/** Whether the address stands at `at`, where `length` bytes are one. */
export function isAt(address: IpAddress, view: DataView, at: number, length: number): boolean {
  if (address.length !== length) return false
  for (let i = 0; i < length; i++) if (address[i] !== view.getUint8(at + i)) return false
  return true
}

function hashOf(vni: number, view: DataView, at: number, length: number): number {
  let hash = vni
  for (let i = 0; i < length; i += 4) hash = mix32(hash ^ view.getUint32(at + i))
  return hash
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

function sumOf(address: IpAddress): number {
  return sum16(viewOf(address), 0, address.length)
}
