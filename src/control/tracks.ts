/**
 * What routes depend on: which probes and BFD sessions are down, and how good the paths are, by what the routing nodes say.
 * News comes as it happens; what was last known of each node is kept on the bus, for a leader that begins. Of two nodes that
 * speak of one thing the later word counts, and of what nobody has spoken of nothing is down.
 */

import { BUCKET, LIVENESS_SUBJECT } from '../agent/names.ts'
import type { Bus, Subscription } from '../bus/bus.ts'
import { type Liveness, type LivenessNews, livenessNews } from '../wire/control/liveness.ts'

export class Tracks {
  readonly #byNode = new Map<string, LivenessNews>()
  readonly #subscriptions: readonly Subscription[]
  readonly #changed: (names: ReadonlySet<string>) => void
  readonly #heard: () => void
  #things: ReadonlyMap<string, Liveness> = new Map()
  #down: ReadonlySet<string> = new Set()

  /** `changed` hears which are down now, or not any more; `heard` of all news, before. */
  constructor(bus: Bus, changed: (names: ReadonlySet<string>) => void, heard: () => void = () => {}) {
    this.#changed = changed
    this.#heard = heard
    this.#subscriptions = [
      bus.subscribe(LIVENESS_SUBJECT, ({ payload }) => this.#take(payload)),
      bus.bucket(BUCKET.liveness).watch('>', ({ value }) => value && this.#take(value)),
    ]
    for (const { ready } of this.#subscriptions) ready.catch(() => {})
  }

  /** Resolves when it is known what was known before. */
  get ready(): Promise<unknown> {
    return Promise.all(this.#subscriptions.map(({ ready }) => ready))
  }

  /** By name, as the latest word has it. */
  get things(): ReadonlyMap<string, Liveness> {
    return this.#things
  }

  get down(): ReadonlySet<string> {
    return this.#down
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.close()
  }

  #take(payload: Uint8Array): void {
    const news = livenessNews.decode(payload)
    if (!news.ok || news.value.said_us <= (this.#byNode.get(news.value.node)?.said_us ?? -1)) return
    this.#byNode.set(news.value.node, news.value)
    const latest = new Map<string, Liveness>()
    for (const thing of Array.from(this.#byNode.values(), ({ things }) => things).flat()) {
      const known = latest.get(thing.name)
      if (!known || thing.since_ms >= known.since_ms) latest.set(thing.name, thing)
    }
    this.#things = latest
    const before = this.#down
    const down = new Set([...latest.values()].filter(({ isUp }) => !isUp).map(({ name }) => name))
    this.#down = down
    this.#heard()
    const others = before.symmetricDifference(down)
    if (others.size > 0) this.#changed(others)
  }
}
