/**
 * One stream on disk: an append-only log in segment files named by their first sequence. A record is
 *
 *     +--------+-------+-----------------+---------+
 *     | length | crc32 | sequence, 8 byte| payload |      length is the payload's; the CRC covers sequence and payload
 *     +--------+-------+-----------------+---------+
 *
 * What a crash may leave is a torn record at the end of the last segment: opening cuts it off. A damaged record further
 * up ends its segment early; its successors in that segment are lost, which readers see as a gap, and are counted. A
 * segment with no sound record at all is set aside as `.damaged`.
 *
 * An append is written before it is acknowledged and so survives the death of every process. It is synchronised to the
 * disk whenever `sync` is called, which the server does once a second: a power cut may cost the last second.
 * The oldest entries are forgotten exactly as the limits say; their bytes go when their whole segment has.
 */

import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  unlinkSync,
  writevSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { assert } from '../../base/assert.ts'
import type { StreamLimits } from '../bus.ts'
import { type Item, itemBytes, PAGE_BYTES_MAX } from './protocol.ts'

const HEAD_BYTES = 16
/** Small enough that deleting whole segments follows the limits closely, large enough that files stay few. */
const SEGMENT_BYTES_MAX = 8 * 1024 * 1024

interface Segment {
  readonly path: string
  readonly file: number
  readonly first: number
  /** Where each record starts, in order, and where the next one would. */
  readonly offsets: number[]
  end: number
}

const lastOf = (segment: Segment): number => segment.first + segment.offsets.length - 1

export class Log {
  readonly #directory: string
  readonly #segments: Segment[] = []
  #limits: StreamLimits
  #first = 1
  /** Of the records from #first on, their heads included. */
  #bytes = 0
  readonly #unsynced = new Set<Segment>()
  readonly #onSyncError: (error: Error) => void
  /** Records lost to damage that is not a torn end. */
  damaged = 0

  /** `onSyncError` hears of what goes wrong when nobody waits for it. */
  constructor(directory: string, limits: StreamLimits, onSyncError: (error: Error) => void) {
    this.#directory = directory
    this.#limits = limits
    this.#onSyncError = onSyncError
    mkdirSync(directory, { recursive: true })
    const names = readdirSync(directory).filter((name) => /^\d{16}\.log$/.test(name))
    const firsts = names.map((name) => Number(name.slice(0, 16))).sort((a, b) => a - b)
    for (const [i, first] of firsts.entries()) this.#adopt(openSegment(directory, first), firsts[i + 1])
    this.#first = this.#segments[0]?.first ?? 1
    this.#retain()
  }

  #adopt(segment: Segment, next: number | undefined): void {
    this.#bytes += segment.end
    if (next === undefined) ftruncateSync(segment.file, segment.end)
    else this.damaged += next - 1 - lastOf(segment)
    if (next === undefined || segment.end > 0) {
      this.#segments.push(segment)
    } else {
      closeSync(segment.file)
      renameSync(segment.path, `${segment.path}.damaged`)
    }
  }

  get first(): number {
    return this.#first
  }

  get last(): number {
    const segment = this.#segments.at(-1)
    return segment ? lastOf(segment) : 0
  }

  setLimits(limits: StreamLimits): void {
    this.#limits = limits
    this.#retain()
  }

  /** Returns the new sequence. Throws what the file system throws; nothing was appended then. */
  append(payload: Uint8Array): number {
    const segment = this.#writable(HEAD_BYTES + payload.length)
    const sequence = lastOf(segment) + 1
    const head = Buffer.allocUnsafe(HEAD_BYTES)
    head.writeUInt32BE(payload.length, 0)
    writeSequence(head, sequence)
    head.writeUInt32BE(crc32(payload, crc32(head.subarray(8))), 4)
    const bytes = HEAD_BYTES + payload.length
    if (tryWrite(segment, head, payload) !== bytes) {
      ftruncateSync(segment.file, segment.end)
      throw new Error('the disk took only a part of the record')
    }
    segment.offsets.push(segment.end)
    segment.end += bytes
    this.#bytes += bytes
    this.#unsynced.add(segment)
    this.#retain()
    return sequence
  }

  /** A page of entries from the first one that is there at or behind `from`. */
  page(from: number): Item[] {
    const items: Item[] = []
    let bytes = 0
    for (let sequence = Math.max(from, this.#first); sequence <= this.last; sequence++) {
      const segment = this.#segments.find((candidate) => lastOf(candidate) >= sequence)!
      sequence = Math.max(sequence, segment.first)
      const item = { key: '', number: sequence, deleted: false, payload: readPayload(segment, sequence) }
      bytes += itemBytes(item)
      if (items.length > 0 && bytes > PAGE_BYTES_MAX) break
      items.push(item)
    }
    return items
  }

  /** Has the kernel write to the disk what it has not yet. Does not wait. */
  sync(): void {
    for (const segment of this.#unsynced) {
      fdatasync(segment.file, (error) => {
        if (error && this.#segments.includes(segment)) this.#onSyncError(error)
      })
    }
    this.#unsynced.clear()
  }

  close(): void {
    for (const { file } of this.#unsynced) fdatasyncSync(file)
    for (const { file } of this.#segments) closeSync(file)
    this.#segments.length = 0
  }

  #writable(bytes: number): Segment {
    const current = this.#segments.at(-1)
    if (current && (current.end === 0 || current.end + bytes <= SEGMENT_BYTES_MAX)) return current
    const segment = openSegment(this.#directory, this.last + 1)
    this.#segments.push(segment)
    syncDirectory(this.#directory)
    return segment
  }

  #retain(): void {
    const { entriesMax, bytesMax } = this.#limits
    while (this.#first < this.last && (this.last - this.#first + 1 > entriesMax || this.#bytes > bytesMax)) {
      const segment = this.#segments[0]!
      assert(segment.first <= this.#first && this.#first <= lastOf(segment), 'the first entry is in the first segment')
      const index = this.#first - segment.first
      this.#bytes -= (segment.offsets[index + 1] ?? segment.end) - segment.offsets[index]!
      this.#first++
      if (this.#first > lastOf(segment)) this.#dropOldest()
    }
  }

  #dropOldest(): void {
    const segment = this.#segments.shift()!
    this.#unsynced.delete(segment)
    closeSync(segment.file)
    unlinkSync(segment.path)
    this.#first = this.#segments[0]!.first
  }
}

function openSegment(directory: string, first: number): Segment {
  const path = join(directory, `${String(first).padStart(16, '0')}.log`)
  const segment: Segment = { path, file: openSync(path, 'a+', 0o600), first, offsets: [], end: 0 }
  const bytes = readFileSync(path)
  for (;;) {
    const length = soundRecord(bytes, segment.end, first + segment.offsets.length)
    if (length < 0) return segment
    segment.offsets.push(segment.end)
    segment.end += length
  }
}

/** So that a new segment's name survives a power cut as its bytes do. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  fsyncSync(directory)
  closeSync(directory)
}

/** The whole record's length, or -1 if there is no sound one with this sequence. */
function soundRecord(bytes: Buffer, at: number, sequence: number): number {
  if (bytes.length - at < HEAD_BYTES) return -1
  const length = HEAD_BYTES + bytes.readUInt32BE(at)
  if (bytes.length - at < length) return -1
  const wanted = Buffer.alloc(HEAD_BYTES)
  writeSequence(wanted, sequence)
  if (wanted.compare(bytes, at + 8, at + HEAD_BYTES, 8) !== 0) return -1
  return crc32(bytes.subarray(at + 8, at + length)) === bytes.readUInt32BE(at + 4) ? length : -1
}

function writeSequence(head: Buffer, sequence: number): void {
  head.writeUInt32BE(Math.floor(sequence / 2 ** 32), 8)
  head.writeUInt32BE(sequence % 2 ** 32, 12)
}

function tryWrite(segment: Segment, head: Buffer, payload: Uint8Array): number {
  try {
    return writevSync(segment.file, [head, payload])
  } catch (error) {
    ftruncateSync(segment.file, segment.end)
    throw error
  }
}

function readPayload(segment: Segment, sequence: number): Buffer {
  const index = sequence - segment.first
  const from = segment.offsets[index]! + HEAD_BYTES
  const payload = Buffer.allocUnsafe((segment.offsets[index + 1] ?? segment.end) - from)
  const read = readSync(segment.file, payload, 0, payload.length, from)
  assert(read === payload.length, `${segment.path} is shorter than it was`)
  return payload
}
