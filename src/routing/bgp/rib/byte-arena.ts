/**
 * Runs of bytes of any length up to a message's, side by side in one growing array: what attribute sets are made of. A
 * run is known by where it begins. Runs that came back are used again for others of about their length. The array
 * doubles while it is short, and takes address space for all that is to come once it is not (columns.ts says why).
 *
 *   sizes   16, 32, 48 ... bytes; a list of free runs each, linked through their first four bytes
 */

import { assert } from '../../../base/assert.ts'
import { reserve } from './columns.ts'

const STEP = 16
const FIRST_BYTES = 1 << 12
/** An extended message (RFC 8654) and a next hop. */
const RUN_BYTES_MAX = 65_536 + 64
const NONE = 0
/** Copying so much takes some 100 us. With more than is reserved, 16 M sets as the Internet's, it goes on by doubling. */
const COPIED_MAX_BYTES = 1 << 20
const RESERVED_BYTES = 1 << 30

export class ByteArena {
  bytes: Uint8Array
  view: DataView
  readonly #free = new Int32Array(RUN_BYTES_MAX / STEP + 1)
  /** Nothing begins at 0. */
  #end = STEP
  #used = 0

  constructor() {
    this.bytes = new Uint8Array(FIRST_BYTES)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Bytes in runs, with what rounding costs. */
  get used(): number {
    return this.#used
  }

  /** Where a run of so many bytes begins. May replace `bytes` and `view`. */
  allocate(length: number): number {
    assert(length <= RUN_BYTES_MAX, `a run of ${length} bytes`)
    const size = sizeOf(length)
    this.#used += size
    const free = this.#free[size / STEP]!
    if (free !== NONE) {
      this.#free[size / STEP] = this.view.getInt32(free)
      return free
    }
    const at = this.#end
    this.#end += size
    if (this.#end > this.bytes.length) this.#grow()
    return at
  }

  free(at: number, length: number): void {
    const size = sizeOf(length)
    this.#used -= size
    this.view.setInt32(at, this.#free[size / STEP]!)
    this.#free[size / STEP] = at
  }

  #grow(): void {
    const bytes = Math.max(this.#end, this.bytes.length * 2)
    const isLong = bytes > COPIED_MAX_BYTES && bytes <= RESERVED_BYTES
    const larger = new Uint8Array((isLong ? reserve(RESERVED_BYTES) : undefined) ?? new ArrayBuffer(bytes))
    larger.set(this.bytes)
    this.bytes = larger
    this.view = new DataView(larger.buffer)
  }
}

function sizeOf(length: number): number {
  return Math.max(STEP, (length + STEP - 1) & -STEP)
}
