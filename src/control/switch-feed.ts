/** What one switch is told: always the whole of it, and only when it changed. */

import { isDeepStrictEqual } from 'node:util'
import { FeedWriter, refuseNewer } from '../agent/feed-writer.ts'
import { switchFeed } from '../agent/names.ts'
import type { Logger } from '../base/log.ts'
import type { Bus } from '../bus/bus.ts'
import { type SwitchBatch, switchBatch } from '../wire/control/switch.ts'
import { latestAcked } from './acks.ts'
import type { Unsent } from './edge.ts'

export class SwitchFeed {
  readonly #writer: FeedWriter
  readonly #epoch: number
  readonly #log: Logger
  #last: SwitchBatch | undefined
  /** The switch has this generation, which the feed has lost: whatever it is told next has a later one. */
  #lost = 0

  /** `fresh` is the name of the feed if it starts over. Throws if a newer version wrote it. */
  static async open(bus: Bus, name: string, fresh: string, epoch: number, log: Logger): Promise<SwitchFeed> {
    const { writer, messages } = await FeedWriter.open(bus, switchFeed(name), fresh)
    const all = messages.map((message) => switchBatch.decode(message))
    for (const one of all) refuseNewer(switchFeed(name), one)
    const decoded = all.findLast(({ ok }) => ok)
    if (!decoded?.ok && messages.length > 0) writer.startOver(fresh)
    const feed = new SwitchFeed(writer, epoch, decoded?.ok ? decoded.value : undefined, log)
    const acked = await latestAcked(bus, switchFeed(name), writer.incarnation)
    if (acked > feed.generation) {
      log.error({ switch: name, generation: feed.generation, acked }, 'a feed has lost its end')
      feed.#lost = acked
    }
    return feed
  }

  private constructor(writer: FeedWriter, epoch: number, last: SwitchBatch | undefined, log: Logger) {
    this.#writer = writer
    this.#epoch = epoch
    this.#last = last
    this.#log = log
  }

  get generation(): number {
    return this.#last?.generation ?? 0
  }

  get incarnation(): string {
    return this.#writer.incarnation
  }

  /** After a lost connection. Rejects with 'wrong-sequence' if the feed is not as it was left. */
  verify(): Promise<void> {
    return this.#writer.verify()
  }

  /** What it was told last. */
  get last(): SwitchBatch | undefined {
    return this.#last
  }

  async tell(batch: Unsent<SwitchBatch>): Promise<void> {
    const same = { ...batch, epoch: this.#epoch, generation: this.generation }
    if (isDeepStrictEqual(same, this.#last)) return
    // Under a new epoch the same is said again, under the same generation: there is nothing to do but to note the
    // epoch.
    const isNew = this.#lost > 0 || !isDeepStrictEqual(same, { ...this.#last, epoch: this.#epoch })
    const next = isNew ? { ...same, generation: Math.max(this.generation, this.#lost) + 1 } : same
    this.#lost = 0
    await this.#writer.append(switchBatch.encode(next), true)
    this.#last = next
    const { switch: name, generation, attachments } = next
    if (isNew) this.#log.info({ switch: name, generation, attachments: attachments.length }, 'told a switch')
  }
}
