/** The latest value of a key in a bucket. Values come faster than the bus takes them; those between are left out. */

import { type Bucket, type Bus, BusError } from '../bus/bus.ts'

export class Latest {
  readonly #bus: Bus
  readonly #bucket: Bucket
  readonly #key: string
  readonly #stopConnection: () => void
  #waiting: Uint8Array | undefined
  #busy = false
  #closed = false

  constructor(bus: Bus, bucket: Bucket, key: string) {
    this.#bus = bus
    this.#bucket = bucket
    this.#key = key
    this.#stopConnection = bus.onConnection(() => void this.#send())
  }

  /** Returns at once. Without a connection the value waits for one. */
  put(value: Uint8Array): void {
    this.#waiting = value
    void this.#send()
  }

  close(): void {
    this.#closed = true
    this.#stopConnection()
  }

  async #send(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    while (this.#waiting && this.#bus.connected && !this.#closed) {
      const value = this.#waiting
      this.#waiting = undefined
      try {
        await this.#bucket.put(this.#key, value)
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        this.#waiting ??= value
        // What the bus refuses for good would be refused again; the next value is tried when it comes.
        if (error.code !== 'timeout' && error.code !== 'disconnected') break
      }
    }
    this.#busy = false
  }
}
