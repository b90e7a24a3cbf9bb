/** Rows of routes in columns, as batches bring them and as the FIB gives them back. */

import { ipv4Bytes, type Prefix } from '../base/address.ts'

/** Between two of so many rows others may have their turn: a millisecond. */
export const ROWS_AT_ONCE = 1024

export interface RouteRows {
  /** One word a row, or four with the most significant first. */
  readonly addresses: Uint32Array
  readonly lengths: Uint8Array
}

export function prefixAt({ addresses, lengths }: RouteRows, row: number, family: 4 | 6): Prefix {
  if (family === 4) return { address: ipv4Bytes(addresses[row]!), length: lengths[row]! }
  const address = new Uint8Array(16)
  const view = new DataView(address.buffer)
  for (let word = 0; word < 4; word++) view.setUint32(word * 4, addresses[row * 4 + word]!)
  return { address, length: lengths[row]! }
}
