/**
 * The batches that a module has taken over, on its own disk, so that it starts with them when nobody is there to ask:
 * the latest snapshot and what came after it. A file that ends in the middle of a batch is good up to there.
 *
 * A snapshot is on the disk before it takes the place of the file before it, so a power cut finds one or the other. What
 * is appended is not waited for: after a power cut the last batches may be missing, and come from the feed again.
 *
 *   file     magic u32 | version u8 | incarnation text, then records
 *   record   length u32 | crc32 u32 | next u53 | message           next: the feed's sequence to go on from
 */

import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { MESSAGE_BYTES_MAX } from '../wire/control/pieces.ts'
import { Reader, Writer } from '../wire/cursor.ts'

const MAGIC = 0x47484b42 // 'GHKB'
const VERSION = 1
const RECORD_BYTES = 16

export interface Kept {
  readonly incarnation: string
  /** The feed's sequence behind the last of them. */
  readonly next: number
  readonly messages: readonly Uint8Array[]
}

export class KeptBatches {
  readonly #path: string
  #file: FileHandle | undefined
  #bytes = 0

  constructor(path: string) {
    this.#path = path
  }

  /** What is on disk; undefined if there is nothing that can be used. */
  async load(): Promise<Kept | undefined> {
    let bytes: Uint8Array
    try {
      bytes = await readFile(this.#path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    const from = new Reader(bytes)
    const sound = from.u32() === MAGIC && from.u8() === VERSION
    const incarnation = from.text()
    if (!sound || from.failed) return undefined
    const messages: Uint8Array[] = []
    let next = 0
    let good = bytes.length - from.remaining
    for (;;) {
      const record = readRecord(from)
      if (!record) break
      messages.push(record.message)
      next = record.next
      good = bytes.length - from.remaining
    }
    if (messages.length === 0) return undefined
    this.#file = await open(this.#path, 'r+')
    await this.#file.truncate(good)
    this.#bytes = good
    return { incarnation, next, messages }
  }

  /** In place of all that is there. */
  async replace(incarnation: string, next: number, message: Uint8Array): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o750 })
    const fresh = await open(`${this.#path}.new`, 'w', 0o640)
    let bytes: number
    try {
      const head = new Writer()
      head.u32(MAGIC)
      head.u8(VERSION)
      head.text(incarnation)
      const bytesOfHead = await writeAll(fresh, head.finish(), 0)
      bytes = bytesOfHead + (await writeAll(fresh, recordOf(next, message), bytesOfHead))
      await fresh.datasync()
      await rename(`${this.#path}.new`, this.#path)
      await syncDirectory(dirname(this.#path))
    } catch (error) {
      await fresh.close()
      throw error
    }
    await this.#file?.close()
    this.#file = fresh
    this.#bytes = bytes
  }

  /** After a `replace` or a `load` that found something. */
  async append(next: number, message: Uint8Array): Promise<void> {
    this.#bytes += await writeAll(this.#file!, recordOf(next, message), this.#bytes)
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
  }
}

function recordOf(next: number, message: Uint8Array): Uint8Array {
  const out = new Writer(RECORD_BYTES + message.length)
  out.u32(message.length)
  out.u32(crc32(message))
  out.u53(next)
  out.bytes(message)
  return out.finish()
}

/** The system may take less than it was given. Returns how many bytes there were. */
async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<number> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done)
    done += bytesWritten
  }
  return bytes.length
}

/** A new name in it is there after a power cut, too. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

function readRecord(from: Reader): { next: number; message: Uint8Array } | undefined {
  const length = from.u32()
  const checksum = from.u32()
  const next = from.u53()
  if (from.failed || length > MESSAGE_BYTES_MAX) return undefined
  const message = from.bytes(length)
  return from.failed || crc32(message) !== checksum ? undefined : { next, message }
}
