/**
 * A port that plays a recording: the packets of a capture file come out of `receive`, at once or at the pace at which
 * they were captured, and what is sent goes to a capture of its own, if one is asked for. For warming up, for trying a
 * site on real traffic, and for looking at what a node made of it. A packet that was cut when it was captured comes as
 * cut.
 */

import type { Clock } from '../base/clock.ts'
import { type Pcap, type PcapRecord, pcapFileHeader, pcapRecordBytes } from '../wire/pcap.ts'
import type { Batch } from './batch.ts'
import type { FramePool, Frames } from './frames.ts'
import { MemoryPort } from './memory-port.ts'
import { type KernelDrops, noKernelDrops, type Port } from './port.ts'

/** Takes a capture file's bytes in order: its header, then a record a call. */
export type CaptureWriter = (bytes: Uint8Array) => void

export interface ReplayOptions {
  readonly recording: Pcap
  readonly clock: Clock
  /** As captured, the first packet at once. Without it as fast as it is asked for. */
  readonly paced?: boolean
  readonly capture?: CaptureWriter
}

export class ReplayPort implements Port {
  readonly name: string
  readonly fds: readonly number[] = []
  readonly unsent = false
  readonly #memory: MemoryPort
  readonly #options: ReplayOptions
  readonly #start_us: number
  #next = 0

  constructor(name: string, frames: Frames, pool: FramePool, options: ReplayOptions) {
    this.name = name
    this.#memory = new MemoryPort(name, frames, pool)
    this.#options = options
    this.#start_us = options.clock.now_us()
    options.capture?.(pcapFileHeader())
  }

  /** The whole recording has been received. */
  get ended(): boolean {
    return this.#next === this.#options.recording.records.length && this.#memory.holds === 0
  }

  get pending(): boolean {
    return !this.ended
  }

  receive(batch: Batch, index: number, max: number): void {
    const { records } = this.#options.recording
    for (let room = Math.min(max, batch.room); room > 0 && this.#next < records.length; room--) {
      const record = records[this.#next]!
      if (!this.#isDue(record) || !this.#memory.inject(record.bytes)) return
      this.#next++
      this.#memory.receive(batch, index, 1)
    }
  }

  #isDue(record: PcapRecord): boolean {
    if (!this.#options.paced) return true
    const first = this.#options.recording.records[0]!
    const after_us = (record.seconds - first.seconds) * 1e6 + (record.nanoseconds - first.nanoseconds) / 1e3
    return this.#options.clock.now_us() - this.#start_us >= after_us
  }

  send(address: number, length: number, total: number): boolean {
    return this.#memory.send(address, length, total)
  }

  flush(): void {
    this.#memory.flush()
    const wall_ms = this.#options.clock.wall_ms()
    const seconds = Math.floor(wall_ms / 1000)
    const nanoseconds = Math.floor((wall_ms - seconds * 1000) * 1e6)
    for (const bytes of this.#memory.sent())
      this.#options.capture?.(pcapRecordBytes({ seconds, nanoseconds, bytes, originalLength: bytes.length }))
  }

  get holds(): number {
    return this.#memory.holds
  }

  kernelDrops(): KernelDrops {
    return noKernelDrops
  }

  close(): void {
    this.flush()
    this.#memory.close()
  }
}
