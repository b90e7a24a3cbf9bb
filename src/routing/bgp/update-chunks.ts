/**
 * Updates on their way to the route thread: whole messages of many sessions gathered into chunks of shared memory, a chunk a
 * turn of the event loop. With too many on their way peers are read no more until some have been taken.
 */

import type { Updates } from './messages.ts'
import type { Message } from './session/connection.ts'

const CHUNK_BYTES = 256 * 1024
/** On their way at a time. With more, what comes stays in the kernel, and from there with the peers; it is 2 s of work. */
const UNTAKEN_MAX_BYTES = 32 << 20

export interface UpdateChunksParts {
  readonly send: (updates: Updates) => void
  /** Peers are to be read no more, or again. */
  readonly paused: (isPaused: boolean) => void
}

export class UpdateChunks {
  readonly #parts: UpdateChunksParts
  #memory = new SharedArrayBuffer(CHUNK_BYTES)
  #bytes = new Uint8Array(this.#memory)
  #filled = 0
  #runs: number[] = []
  #isFlushing = false
  #untaken_bytes = 0
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
    this.#untaken_bytes += this.#filled
    this.#parts.send({ kind: 'updates', memory: this.#memory, runs: Int32Array.from(this.#runs) })
    this.#memory = new SharedArrayBuffer(CHUNK_BYTES)
    this.#bytes = new Uint8Array(this.#memory)
    this.#filled = 0
    this.#runs = []
    if (this.#untaken_bytes > UNTAKEN_MAX_BYTES) this.#setPaused(true)
  }

  /** The route thread has taken so many bytes. */
  taken(bytes: number): void {
    this.#untaken_bytes -= bytes
    if (this.#isPaused && this.#untaken_bytes < UNTAKEN_MAX_BYTES / 2) this.#setPaused(false)
  }

  #setPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return
    this.#isPaused = isPaused
    this.#parts.paused(isPaused)
  }
}
