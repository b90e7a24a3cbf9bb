/**
 * The order of tenants' paths as the leader has it, on the bus: the next one goes on with it, so that a change of leaders
 * moves no packet, and a path that has just come back still has to be good for a while.
 */

import { z } from 'zod'
import { BUCKET } from '../agent/names.ts'
import type { Logger } from '../base/log.ts'
import { type Bucket, type Bus, BusError } from '../bus/bus.ts'
import type { KnownPath } from './path-order.ts'

const kept = z.array(z.object({ name: z.string(), isUp: z.boolean() }))

export class PathMemory {
  readonly #bucket: Bucket
  readonly #log: Logger
  /** By tenant; only the last one counts. */
  readonly #waiting = new Map<string, readonly KnownPath[]>()
  #isBusy = false

  constructor(bus: Bus, log: Logger) {
    this.#bucket = bus.bucket(BUCKET.paths)
    this.#log = log
  }

  /** By tenant, the best first. Rejects with what the bus says. */
  async load(): Promise<Map<string, readonly KnownPath[]>> {
    const entries = await this.#bucket.entries('*')
    return new Map(
      entries.flatMap(({ key, value }) => {
        const read = kept.safeParse(jsonOf(value))
        return read.success ? [[key, read.data] as const] : []
      }),
    )
  }

  /** Returns at once. */
  keep(tenant: string, paths: readonly KnownPath[]): void {
    this.#waiting.set(tenant, paths)
    if (!this.#isBusy) void this.#write()
  }

  /** What the bus does not take waits for the next change: nobody but another leader misses it. */
  async #write(): Promise<void> {
    this.#isBusy = true
    try {
      for (const [tenant, paths] of this.#waiting) {
        await this.#bucket.put(tenant, Buffer.from(JSON.stringify(paths)))
        if (this.#waiting.get(tenant) === paths) this.#waiting.delete(tenant)
      }
    } catch (error) {
      if (!(error instanceof BusError)) throw error
      this.#log.warn({ error: error.message }, 'the order of paths is not kept')
    }
    this.#isBusy = false
  }
}

function jsonOf(value: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(value).toString())
  } catch {
    return undefined
  }
}
