/**
 * Which routing nodes live. Each holds a lease while it speaks, and whoever has to know (control modules, the other routing
 * nodes) watches the leases. A node that was killed and is there again within its lease's time never seems gone, but its
 * lease has another epoch: what it had learnt before is not what it knows now.
 */

import type { Bus, Subscription } from '../bus/bus.ts'

/**
 * After a kill sessions move within this time, unless the node is back by then, which takes it three seconds. A peer with a
 * hold time of 9 s, from which it last heard up to 3 s before, must hear of the other node before its own patience ends.
 */
export const SPEAKER_LEASE_ms = 4000

export const speakerLease = (name: string): string => `routing-${name}`

export class LiveSpeakers {
  readonly #bus: Bus
  readonly #changed: (name: string, epoch: number | undefined) => void
  readonly #watches = new Map<string, Subscription>()
  readonly #epochs = new Map<string, number>()

  /** `changed` is told of each that is followed: its epoch at first, and then whenever it is another one, undefined for none. */
  constructor(bus: Bus, changed: (name: string, epoch: number | undefined) => void) {
    this.#bus = bus
    this.#changed = changed
  }

  get live(): ReadonlySet<string> {
    return new Set(this.#epochs.keys())
  }

  /** These and no others. Resolves when it is known of each whether it lives; rejects when it is closed before. */
  async follow(names: readonly string[]): Promise<void> {
    const wanted = new Set(names)
    for (const [name, watch] of this.#watches) {
      if (wanted.has(name)) continue
      watch.close()
      this.#watches.delete(name)
      this.#epochs.delete(name)
    }
    for (const name of wanted) if (!this.#watches.has(name)) this.#watch(name)
    await Promise.all(Array.from(this.#watches.values(), ({ ready }) => ready))
  }

  close(): void {
    for (const watch of this.#watches.values()) watch.close()
    this.#watches.clear()
  }

  #watch(name: string): void {
    const watch = this.#bus.watchLease(speakerLease(name), (holder) => {
      if (holder) this.#epochs.set(name, holder.epoch)
      else this.#epochs.delete(name)
      this.#changed(name, holder?.epoch)
    })
    watch.ready.catch(() => {})
    this.#watches.set(name, watch)
  }
}
