/**
 * A place in a run of bytes that moves on as they are read or written: for messages of our own and for protocols of
 * variable shape, off the packet path. A `Reader` never throws. What does not fit puts it into the failed state, in
 * which everything reads as zero or empty, so a decoder reads to its end and asks once, at the end, whether it was
 * good. Scalars are big-endian. Columns are arrays of numbers in the machine's own order, little-endian on everything
 * that we run on, so they are copied and not converted.
 */

import { assert } from '../base/assert.ts'

assert(new Uint8Array(Uint16Array.of(1).buffer)[0] === 1, 'columns on the wire are little-endian')

const utf8 = new TextDecoder('utf-8', { fatal: true })
const NOTHING = new Uint8Array(0)

export class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0
  #end: number
  #failed = false

  constructor(bytes: Uint8Array) {
    // Of a Buffer a plain array: a Buffer's slice would be a view of memory that is not ours.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#end = bytes.length
  }

  /** Something did not fit. It stays so. */
  get failed(): boolean {
    return this.#failed
  }

  get remaining(): number {
    return this.#end - this.#at
  }

  /** Where the next byte is, counted from the first of all bytes. */
  get at(): number {
    return this.#at
  }

  /** Turns to another range of the same bytes and forgets a failure. A range that is not within them fails. */
  window(from: number, to: number): void {
    this.#failed = false
    this.#at = from
    this.#end = to
    if (!(from >= 0 && from <= to && to <= this.#bytes.length)) {
      this.#at = 0
      this.#end = 0
      this.#failed = true
    }
  }

  fail(): void {
    this.#failed = true
    this.#at = this.#end
  }

  u8(): number {
    const at = this.#take(1)
    return at < 0 ? 0 : this.#view.getUint8(at)
  }

  u16(): number {
    const at = this.#take(2)
    return at < 0 ? 0 : this.#view.getUint16(at)
  }

  u32(): number {
    const at = this.#take(4)
    return at < 0 ? 0 : this.#view.getUint32(at)
  }

  /** A whole number up to 2^53 - 1 in eight bytes; a larger one fails. */
  u53(): number {
    const at = this.#take(8)
    const high = at < 0 ? 0 : this.#view.getUint32(at)
    if (high >= 2 ** 21) this.fail()
    return this.#failed ? 0 : high * 2 ** 32 + this.#view.getUint32(at + 4)
  }

  skip(length: number): void {
    this.#take(length)
  }

  /** A copy. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length)
    return at < 0 ? NOTHING : this.#bytes.slice(at, at + length)
  }

  /** All that is left, as a view. */
  rest(): Uint8Array {
    const at = this.#take(this.remaining)
    return at < 0 ? NOTHING : this.#bytes.subarray(at, this.#end)
  }

  /** UTF-8 behind its length in 16 bits; what is no UTF-8 fails. */
  text(): string {
    const length = this.u16()
    const at = this.#take(length)
    if (at < 0) return ''
    try {
      return utf8.decode(this.#bytes.subarray(at, at + length))
    } catch {
      this.fail()
      return ''
    }
  }

  column32(count: number): Uint32Array {
    const bytes = this.bytes(count * 4)
    return new Uint32Array(bytes.buffer, 0, bytes.length / 4)
  }

  /**
   * Narrows the reader to the next `length` bytes and returns where it ended before, for `leave`, which skips what was
   * not read: a newer writer may have put more there.
   */
  enter(length: number): number {
    const outer = this.#end
    if (length > this.remaining) this.fail()
    else this.#end = this.#at + length
    return outer
  }

  leave(outer: number): void {
    this.#at = this.#failed ? outer : this.#end
    this.#end = outer
  }

  /** Where the next `length` bytes are, or -1 in the failed state. */
  #take(length: number): number {
    if (this.#failed || length < 0 || length > this.#end - this.#at) {
      this.fail()
      return -1
    }
    const at = this.#at
    this.#at += length
    return at
  }
}

const encoder = new TextEncoder()

/** Grows as it is written to. What does not fit its field is our own mistake. */
export class Writer {
  #bytes: Uint8Array
  #view: DataView
  #at = 0

  constructor(expected_bytes = 256) {
    this.#bytes = new Uint8Array(expected_bytes)
    this.#view = new DataView(this.#bytes.buffer)
  }

  get length(): number {
    return this.#at
  }

  u8(value: number): void {
    assert(value >= 0 && value <= 0xff && Number.isInteger(value), `${value} is no u8`)
    const at = this.#grow(1)
    this.#view.setUint8(at, value)
  }

  u16(value: number): void {
    assert(value >= 0 && value <= 0xffff && Number.isInteger(value), `${value} is no u16`)
    const at = this.#grow(2)
    this.#view.setUint16(at, value)
  }

  u32(value: number): void {
    assert(value >= 0 && value <= 0xffff_ffff && Number.isInteger(value), `${value} is no u32`)
    const at = this.#grow(4)
    this.#view.setUint32(at, value)
  }

  u53(value: number): void {
    assert(value >= 0 && Number.isSafeInteger(value), `${value} is no u53`)
    const at = this.#grow(8)
    this.#view.setUint32(at, value / 2 ** 32)
    this.#view.setUint32(at + 4, value % 2 ** 32)
  }

  bytes(value: Uint8Array): void {
    const at = this.#grow(value.length)
    this.#bytes.set(value, at)
  }

  text(value: string): void {
    const bytes = encoder.encode(value)
    this.u16(bytes.length)
    this.bytes(bytes)
  }

  column32(values: Uint32Array): void {
    this.bytes(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }

  /** Leaves 32 bits for the length of what follows; `close` fills them. */
  open(): number {
    return this.#grow(4)
  }

  close(opened: number): void {
    this.#view.setUint32(opened, this.#at - opened - 4)
  }

  /** What was written, as a view: the writer is not used any more. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }

  /** Where the next bytes go. May replace the buffer and its view, so it comes before their use. */
  #grow(by: number): number {
    const at = this.#at
    this.#at += by
    if (this.#at > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#at, this.#bytes.length * 2))
      larger.set(this.#bytes.subarray(0, at))
      this.#bytes = larger
      this.#view = new DataView(larger.buffer)
    }
    return at
  }
}
