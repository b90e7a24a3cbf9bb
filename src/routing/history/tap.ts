/**
 * The session thread's end of the history. It hands on by reference what the route thread gets anyway, and never waits:
 * when too much is on its way it lets whole chunks go, counts them, and says so once there is room again, whether more
 * comes or not. That a session is up or down is always told, for what comes later is understood by it.
 */

import type { Clock, Timer } from '../../base/clock.ts'
import { REFRESH } from '../../wire/bgp/refresh.ts'
import type { ToRoutes, Updates } from '../bgp/messages.ts'
import type { HostEvent } from '../bgp/session-host.ts'
import type { Gap, ToHistory } from './messages.ts'

/** On its way at a time: a table of a million routes is some 20 MB. */
export const WAITING_MAX_BYTES = 32 << 20
/** What an event counts for, and what a chunk of a few bytes does: a page, and the message. */
export const EVENT_BYTES = 512
const CHUNK_BYTES_MIN = 8192
/** While something that was lost is not told: how often it is looked whether there is room. */
const LOOK_ms = 1000

export interface HistoryTapOptions {
  readonly tell: (message: ToHistory) => void
  /** One word: the bytes that the history is done with, modulo 2^32. */
  readonly taken: Int32Array
  readonly clock: Clock
}

export class HistoryTap {
  readonly #options: HistoryTapOptions
  #given = 0
  #gap: Gap | undefined
  #look: Timer | undefined
  #wall_ms = 0
  #since_us = 0

  constructor(options: HistoryTapOptions) {
    this.#options = options
  }

  /** Bytes that the history was given, and those that it is done with, modulo 2^32. */
  get given(): number {
    return this.#given
  }

  get taken(): number {
    return Atomics.load(this.#options.taken, 0)
  }

  /** What the route thread is being told. */
  routes(message: ToRoutes): void {
    if (message.kind === 'updates') this.#updates(message)
    else if (message.kind === 'up') this.#options.tell({ kind: 'up', at_us: this.#now_us(), up: message })
    else if (message.kind === 'down') this.#options.tell({ ...message, at_us: this.#now_us() })
    else if (message.kind === 'refresh' && message.subtype !== REFRESH.request)
      this.#event({ ...message, at_us: this.#now_us() })
  }

  event(event: HostEvent): void {
    this.#event({ kind: 'event', at_us: this.#now_us(), event })
  }

  #event(message: Extract<ToHistory, { kind: 'event' | 'refresh' }>): void {
    if (this.#takes(EVENT_BYTES, message.at_us)) this.#options.tell(message)
    else this.#lose(message.at_us, { chunks: 0, bytes: 0, events: 1 })
  }

  /** What was lost is told, room or not: nothing comes any more. */
  close(): void {
    this.#tellGap(this.#now_us())
  }

  #updates({ memory, runs }: Updates): void {
    const at_us = this.#now_us()
    const filled = runs.at(-1)!
    if (this.#takes(costOf(runs), at_us)) this.#options.tell({ kind: 'updates', at_us, memory, runs })
    else this.#lose(at_us, { chunks: 1, bytes: filled, events: 0 })
  }

  #takes(bytes: number, at_us: number): boolean {
    if (!this.#hasRoom(bytes)) return false
    this.#given = (this.#given + bytes) | 0
    if (this.#gap) this.#tellGap(at_us)
    return true
  }

  #hasRoom(bytes: number): boolean {
    const waiting = (this.#given - this.taken) | 0
    // Once something was lost half of it has to be free again: few gaps that are long, and not one after the other.
    return waiting + bytes <= (this.#gap ? WAITING_MAX_BYTES / 2 : WAITING_MAX_BYTES)
  }

  #tellGap(until_us: number): void {
    this.#look?.cancel()
    this.#look = undefined
    if (this.#gap) this.#options.tell({ ...this.#gap, until_us })
    this.#gap = undefined
  }

  #lookAfter(): void {
    this.#look = this.#options.clock.after(LOOK_ms, () => {
      // It ended when the last of it came.
      if (this.#hasRoom(0)) this.#tellGap(this.#gap!.until_us)
      else this.#lookAfter()
    })
  }

  #lose(at_us: number, { chunks, bytes, events }: Pick<Gap, 'chunks' | 'bytes' | 'events'>): void {
    if (!this.#gap) this.#lookAfter()
    const before = this.#gap ?? { at_us, chunks: 0, bytes: 0, events: 0 }
    this.#gap = {
      kind: 'gap',
      at_us: before.at_us,
      until_us: at_us,
      chunks: before.chunks + chunks,
      bytes: before.bytes + bytes,
      events: before.events + events,
    }
  }

  // Wall clocks tell milliseconds; what happens within one is told apart by the other clock, in order.
  #now_us(): number {
    const { clock } = this.#options
    const wall_ms = Math.floor(clock.wall_ms())
    const now_us = clock.now_us()
    if (wall_ms !== this.#wall_ms) {
      this.#wall_ms = wall_ms
      this.#since_us = now_us
    }
    return wall_ms * 1000 + Math.min(999, Math.floor(now_us - this.#since_us))
  }
}

/** What a chunk counts for, on both ends. */
export function costOf(runs: Int32Array): number {
  return Math.max(runs.at(-1)!, CHUNK_BYTES_MIN)
}
