/**
 * The lookup stage: the one longest-prefix match of every packet of the batch, all at once, so that the memory's latency is
 * waited for together. Writes the `slot` column.
 */

import { BATCH_MAX, type Batch, FORWARD } from '../dataplane/batch.ts'
import { ETHERTYPE } from '../wire/ethernet.ts'
import { ipv4 } from '../wire/ipv4.ts'
import { ipv6 } from '../wire/ipv6.ts'
import type { Shared } from './shared.ts'

export class Lookup {
  readonly #shared: Shared
  // The IPv4 rows of the batch, gathered; the FIB has columns for the rest.
  readonly #rows = new Uint8Array(BATCH_MAX)

  constructor(shared: Shared) {
    this.#shared = shared
  }

  run(batch: Batch): void {
    const { columns, frames, fib } = this.#shared
    let count = 0
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] !== FORWARD) continue
      const etherType = columns.etherType[row]!
      if (etherType === ETHERTYPE.ipv4) {
        this.#rows[count] = row
        fib.vrfs[count] = batch.tenant[row]!
        fib.addresses[count++] = ipv4.destination.get(frames.view, batch.l3[row]!)
      } else if (etherType === ETHERTYPE.ipv6) {
        const destination = batch.l3[row]! + ipv6.destination.offset
        columns.slot[row] = fib.lookup6(batch.tenant[row]!, frames.view, destination)
      }
    }
    fib.lookup4Batch(count)
    for (let i = 0; i < count; i++) columns.slot[this.#rows[i]!] = fib.slots[i]!
  }
}
