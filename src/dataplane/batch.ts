/**
 * The batch that a worker carries through its stages: columns of small integers, a row a frame. A stage is a loop over
 * the rows whose verdict is still FORWARD; what it learns it writes into a column, and what it drops it marks with the
 * reason. Nothing is removed on the way, and the frames are accounted for in one place at the end (`ledger.ts`).
 */

/** 64 frames keep a batch's headers in the first-level cache and one system call a batch below a tenth of its time. */
export const BATCH_MAX = 64

/** Verdicts: 0 goes on, a drop reason is itself, and the rest is out of the numbers' way at the top. */
export const FORWARD = 0
export const DELIVERED = 255
export const MOVED = 254

/** The counter row of frames of which no tenant is known: 0 is the worker's own, and tenants follow from 2 on. */
export const UNKNOWN_TENANT = 1

/** The columns that name ports are bytes. */
export const PORTS_MAX = 256

export class Batch {
  count = 0
  /** The port it came from. */
  readonly port = new Uint8Array(BATCH_MAX)
  /** UMEM address of the frame's first byte. */
  readonly address = new Uint32Array(BATCH_MAX)
  /** Bytes in the head. */
  readonly length = new Uint32Array(BATCH_MAX)
  /** Bytes in the head and all of its chain. */
  readonly total = new Uint32Array(BATCH_MAX)
  readonly verdict = new Uint8Array(BATCH_MAX)
  /** Counter row: UNKNOWN_TENANT until one is known. */
  readonly tenant = new Uint32Array(BATCH_MAX)
  /** Flow hash of the innermost packet, the same for both directions. */
  readonly hash = new Uint32Array(BATCH_MAX)
  /** UMEM address of the IP header to be routed. */
  readonly l3 = new Uint32Array(BATCH_MAX)
  /** Where it came in, in the module's own numbering: a segment, an attachment. */
  readonly segment = new Uint32Array(BATCH_MAX)
  /** The action that `route` chose. */
  readonly action = new Uint32Array(BATCH_MAX)
  /** The port that it leaves by, once rewritten. */
  readonly out = new Uint8Array(BATCH_MAX)

  /** Appends a frame; the caller has looked at `room`. */
  push(port: number, address: number, length: number, total: number): number {
    const row = this.count++
    this.port[row] = port
    this.address[row] = address
    this.length[row] = length
    this.total[row] = total
    this.verdict[row] = FORWARD
    this.tenant[row] = UNKNOWN_TENANT
    return row
  }

  get room(): number {
    return BATCH_MAX - this.count
  }
}
