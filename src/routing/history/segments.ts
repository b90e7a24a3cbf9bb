/**
 * The files of a history, in one directory: segments that follow each other, each with the notes beside it. What is there
 * is never changed; when it is too much, the oldest segment goes.
 *
 *   00000007.mrt  00000007.notes     the oldest
 *   00000008.mrt  00000008.notes
 *   00000009.mrt  00000009.notes     is being written
 *
 * Nothing waits for the disk: after a power cut the last seconds may be missing.
 */

import { closeSync, ftruncateSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const NAME = /^(\d{8})\.mrt$/
/** Of all that a history may take: how much goes at a time when there is too much. */
const SEGMENTS = 8
/** Who asks reads a segment whole: it has to fit into memory, and Node reads no file of more than 2 GiB. */
export const SEGMENT_BYTES_MAX = 256 << 20

export interface Segment {
  readonly number: number
  readonly records: string
  readonly notes: string
}

export function segmentsIn(directory: string): Segment[] {
  return readdirSync(directory)
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .sort()
    .map((digits) => ({
      number: Number(digits),
      records: join(directory, `${digits}.mrt`),
      notes: join(directory, `${digits}.notes`),
    }))
}

export interface SegmentWriterOptions {
  readonly directory: string
  /** Of all segments with their notes. */
  readonly size_bytes: number
  /** What every segment's notes begin with. */
  readonly head: () => string
}

/** Throws what the file system says. */
export class SegmentWriter {
  readonly #options: SegmentWriterOptions
  readonly #segmentBytesMax: number
  /** Those that are full, with their sizes. */
  readonly #old: { readonly segment: Segment; readonly bytes: number }[]
  #records: number | undefined
  #notes = -1
  #current: Segment | undefined
  #recordBytes = 0
  #noteBytes = 0

  /** Makes the directory. What is in it of an earlier run stays, as part of the whole. */
  constructor(options: SegmentWriterOptions) {
    this.#options = options
    this.#segmentBytesMax = Math.min(Math.floor(options.size_bytes / SEGMENTS), SEGMENT_BYTES_MAX)
    mkdirSync(options.directory, { recursive: true, mode: 0o750 })
    this.#old = segmentsIn(options.directory).map((segment) => ({ segment, bytes: bytesOf(segment) }))
  }

  get segmentBytesMax(): number {
    return this.#segmentBytesMax
  }

  /** There is one to write into. */
  get isOpen(): boolean {
    return this.#records !== undefined
  }

  /** Makes room for so many bytes more, notes among them: with another segment if they do not fit this one. */
  reserve(bytes: number): void {
    const isFull = this.#recordBytes > 0 && this.#recordBytes + this.#noteBytes + bytes > this.#segmentBytesMax
    if (this.#records !== undefined && !isFull) return
    this.close()
    this.#open()
  }

  /** Whole records, for which there is room. */
  write(bytes: Uint8Array): void {
    if (this.#records === undefined) throw new Error('no segment is open')
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#records, bytes, done)
    this.#recordBytes += bytes.length
  }

  /** Whole lines, into the segment that is being written. */
  note(lines: string): void {
    if (this.#records === undefined) throw new Error('no segment is open')
    const bytes = Buffer.from(lines)
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#notes, bytes, done)
    this.#noteBytes += bytes.length
  }

  close(): void {
    if (this.#records === undefined) return
    const descriptors = [this.#records, this.#notes]
    this.#records = undefined
    this.#old.push({ segment: this.#current!, bytes: this.#recordBytes + this.#noteBytes })
    for (const descriptor of descriptors) closeSync(descriptor)
  }

  /**
   * Leaves the segment as it is, but for half a record at its end: what comes next goes into another. Returns whether it is
   * gone with its notes, because there was no record in it: on a full disk each attempt would leave one.
   */
  abandon(): boolean {
    if (this.#records === undefined) return false
    const segment = this.#current!
    const isEmpty = this.#recordBytes === 0
    try {
      if (!isEmpty) ftruncateSync(this.#records, this.#recordBytes)
    } catch {
      // Who reads it takes half a record for its end.
    }
    try {
      this.close()
      if (isEmpty) this.#remove(segment)
    } catch {
      // Its descriptors are gone either way.
    }
    return isEmpty
  }

  /** It was never there: its number is the next one's. */
  #remove(segment: Segment): void {
    if (this.#old.at(-1)?.segment === segment) this.#old.pop()
    this.#current = undefined
    removeFiles(segment)
  }

  #open(): void {
    const { directory, size_bytes, head } = this.#options
    let total = this.#old.reduce((sum, { bytes }) => sum + bytes, 0)
    while (this.#old.length > 0 && total + this.#segmentBytesMax > size_bytes) {
      const { segment, bytes } = this.#old.shift()!
      removeFiles(segment)
      total -= bytes
    }
    const number = (this.#old.at(-1)?.segment.number ?? 0) + 1
    const name = join(directory, String(number).padStart(8, '0'))
    const segment = { number, records: `${name}.mrt`, notes: `${name}.notes` }
    this.#recordBytes = this.#noteBytes = 0
    this.#notes = openSync(segment.notes, 'w', 0o640)
    try {
      this.#records = openSync(segment.records, 'w', 0o640)
    } catch (error) {
      closeSync(this.#notes)
      removeFiles(segment)
      throw error
    }
    this.#current = segment
    this.note(head())
  }
}

function removeFiles({ records, notes }: Segment): void {
  for (const path of [records, notes]) rmSync(path, { force: true })
}

function bytesOf({ records, notes }: Segment): number {
  return [records, notes].reduce((sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0)
}
