/**
 * Updates on their way to the route thread: whole messages of many sessions gathered into chunks of shared memory, a chunk a
 * turn of the event loop. With too many on their way peers are read no more until some have been taken.
 *
 *   filled --> on its way: the route thread reads it, and the history --> read by both --> filled again
 *
 * A chunk that both have read is filled again. To V8 shared memory weighs nothing, so a thread that has no other garbage
 * would keep each chunk that it ever saw.
 */

import type { Updates } from './messages.ts'
import type { Message } from './session/connection.ts'

const CHUNK_BYTES = 256 * 1024
/** On their way at a time. With more, what comes stays in the kernel, and from there with the peers; it is 0.5 s of work. */
const UNTAKEN_MAX_BYTES = 8 << 20
/** Chunks that are known to be on their way. When the history is further behind, its chunks are garbage after it. */
const GIVEN_MAX = (2 * UNTAKEN_MAX_BYTES) / CHUNK_BYTES

export interface UpdateChunksParts {
  readonly send: (updates: Updates) => void
  /** Peers are to be read no more, or again. */
  readonly paused: (isPaused: boolean) => void
  /** What the history was given of what was sent, and how much of that it is done with: counters of 32 bits. */
  readonly history?: { readonly given: number; readonly taken: number } | undefined
}

/** A chunk on its way: how far the route thread and the history are when they have read it. */
interface Given {
  readonly memory: SharedArrayBuffer
  readonly taken_bytes: number
  readonly history: number
}

export class UpdateChunks {
  readonly #parts: UpdateChunksParts
  #memory = new SharedArrayBuffer(CHUNK_BYTES)
  #bytes = new Uint8Array(this.#memory)
  #filled = 0
  #runs: number[] = []
  #isFlushing = false
  /** Of all time. */
  #given_bytes = 0
  #taken_bytes = 0
  /** In the order in which they are read. */
  readonly #given: Given[] = []
  #isPaused = false

  constructor(parts: UpdateChunksParts) {
    this.#parts = parts
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  /** A message of this session. It is copied. */
  add(session: number, { bytes, at, end }: Message): void {
    if (this.#filled + end - at > CHUNK_BYTES) this.flush()
    this.#bytes.set(bytes.subarray(at, end), this.#filled)
    const from = this.#filled
    this.#filled += end - at
    const { length } = this.#runs
    // Behind one of the same session: one run.
    if (length > 0 && this.#runs[length - 3] === session) this.#runs[length - 1] = this.#filled
    else this.#runs.push(session, from, this.#filled)
    if (this.#isFlushing) return
    this.#isFlushing = true
    setImmediate(() => this.flush())
  }

  /** Hands over what was gathered: before anything that must not overtake it. */
  flush(): void {
    this.#isFlushing = false
    if (this.#filled === 0) return
    const memory = this.#memory
    this.#given_bytes += this.#filled
    this.#parts.send({ kind: 'updates', memory, runs: Int32Array.from(this.#runs) })
    this.#given.push({ memory, taken_bytes: this.#given_bytes, history: this.#parts.history?.given ?? 0 })
    this.#memory = this.#takeMemory()
    this.#bytes = new Uint8Array(this.#memory)
    this.#filled = 0
    this.#runs = []
    if (this.#given_bytes - this.#taken_bytes > UNTAKEN_MAX_BYTES) this.#setPaused(true)
  }

  #takeMemory(): SharedArrayBuffer {
    const [first] = this.#given
    if (first && this.#isRead(first)) {
      this.#given.shift()
      return first.memory
    }
    if (this.#given.length > GIVEN_MAX) this.#given.shift()
    return new SharedArrayBuffer(CHUNK_BYTES)
  }

  #isRead({ taken_bytes, history }: Given): boolean {
    return taken_bytes <= this.#taken_bytes && (((this.#parts.history?.taken ?? 0) - history) | 0) >= 0
  }

  /** The route thread has taken so many bytes. */
  taken(bytes: number): void {
    this.#taken_bytes += bytes
    if (this.#isPaused && this.#given_bytes - this.#taken_bytes < UNTAKEN_MAX_BYTES / 2) this.#setPaused(false)
  }

  #setPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return
    this.#isPaused = isPaused
    this.#parts.paused(isPaused)
  }
}
