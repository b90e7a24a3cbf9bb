/** Counts what UPDATE messages say, which it takes to be well-formed. */

import { BGP_HEADER_BYTES } from '../../src/wire/bgp/message.ts'

const EXTENDED_LENGTH = 0x10
const MP_REACH = 14
const MP_UNREACH = 15
/** Without a prefix it is the end of the first routes (RFC 4724). */
const END_OF_RIB_BYTES = 3

export class PrefixCounts {
  announced = 0
  withdrawn = 0
  readonly #except: number

  /** `except`: prefixes with this second byte do not count. */
  constructor(except = -1) {
    this.#except = except
  }

  /** Of IPv4 unicast; the message from `at` up to `end`, header and all. */
  update(buffer: Uint8Array, at: number, end: number): void {
    const withdrawnAt = at + BGP_HEADER_BYTES + 2
    const withdrawnEnd = withdrawnAt + ((buffer[withdrawnAt - 2]! << 8) | buffer[withdrawnAt - 1]!)
    const nlriAt = withdrawnEnd + 2 + ((buffer[withdrawnEnd]! << 8) | buffer[withdrawnEnd + 1]!)
    this.withdrawn += this.#prefixesIn(buffer, withdrawnAt, withdrawnEnd)
    this.announced += this.#prefixesIn(buffer, nlriAt, end)
  }

  /** The same of other families: how many messages bring routes, and how many take some. */
  multiprotocol(buffer: Uint8Array, at: number): void {
    const withdrawnEnd = at + BGP_HEADER_BYTES + 2 + ((buffer[at + 19]! << 8) | buffer[at + 20]!)
    let from = withdrawnEnd + 2
    const end = from + ((buffer[withdrawnEnd]! << 8) | buffer[withdrawnEnd + 1]!)
    while (from < end) {
      const isLong = (buffer[from]! & EXTENDED_LENGTH) !== 0
      const length = isLong ? (buffer[from + 2]! << 8) | buffer[from + 3]! : buffer[from + 2]!
      if (buffer[from + 1] === MP_REACH) this.announced++
      if (buffer[from + 1] === MP_UNREACH && length > END_OF_RIB_BYTES) this.withdrawn++
      from += (isLong ? 4 : 3) + length
    }
  }

  #prefixesIn(buffer: Uint8Array, from: number, end: number): number {
    let count = 0
    for (let at = from; at < end; at += 1 + ((buffer[at]! + 7) >>> 3)) if (buffer[at + 2] !== this.#except) count++
    return count
  }
}
