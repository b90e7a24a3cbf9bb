/**
 * The switch's own addresses, in shared memory: what its ICMP errors come from. Written by the agent, in rare changes.
 */

import { type IpAddress, ipv4Number } from '../base/address.ts'
import { ipv6 } from '../wire/ipv6.ts'

// Words: the IPv4 address, whether there is an IPv6 address, and that.
const HAS_6 = 1
const ADDRESS_6 = 2

export function createOwnAddressMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer((ADDRESS_6 + 4) * 4)
}

export class OwnAddresses {
  readonly #words: Int32Array

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory)
  }

  /** 0 while there is none. */
  get ipv4(): number {
    return this.#words[0]! >>> 0
  }

  get has6(): boolean {
    return this.#words[HAS_6] !== 0
  }

  /** Writes the IPv6 address as the source of the packet at `l3`. */
  writeSource6(frame: DataView, l3: number): void {
    for (let i = 0; i < 4; i++) frame.setInt32(l3 + ipv6.source.offset + i * 4, this.#words[ADDRESS_6 + i]!)
  }

  set(address: IpAddress): void {
    if (address.length === 4) {
      this.#words[0] = ipv4Number(address)
      return
    }
    const view = new DataView(address.buffer, address.byteOffset, 16)
    for (let i = 0; i < 4; i++) this.#words[ADDRESS_6 + i] = view.getInt32(i * 4)
    Atomics.store(this.#words, HAS_6, 1)
  }
}
