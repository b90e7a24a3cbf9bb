/**
 * What another site offers, followed on this site's own bus, where an orchestrator carries it to: batch by batch, and whether
 * it is to be believed. Whoever carries it holds a lease while he hears the other site; where nobody has for too long, nobody
 * knows what has become of that site.
 */

import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Bus } from '../bus/bus.ts'
import { type SiteOffer, siteOffer } from '../wire/control/offer.ts'
import { BatchFollower } from './follower.ts'
import { LiveSpeakers } from './live-speakers.ts'
import { BUCKET, offerFrom } from './names.ts'

const CHECK_ms = 1000

export interface OfferFollowerOptions {
  readonly bus: Bus
  readonly clock: Clock
  readonly log: Logger
  /** The other one. */
  readonly site: string
  /** Who follows. */
  readonly module: string
  readonly stale_s: number
  /** A snapshot replaces all that there was. What follows waits for it. */
  apply(offer: SiteOffer): void | Promise<void>
  /** It is stale for too long now, or not any more. */
  expired(isExpired: boolean): void
}

export class OfferFollower {
  /** Resolves once what was there before has been applied. */
  readonly ready: Promise<void>
  readonly #options: OfferFollowerOptions
  readonly #follower: BatchFollower<SiteOffer>
  readonly #carriers: LiveSpeakers
  readonly #check: { cancel(): void }
  #awaySince_us: number | undefined
  #isExpired = false

  constructor(options: OfferFollowerOptions) {
    this.#options = options
    const { bus, clock, log, site, module } = options
    const feed = offerFrom(site)
    this.#follower = new BatchFollower<SiteOffer>({
      ...{ bus, feed, message: siteOffer, module, clock, log },
      async apply(offer) {
        await options.apply(offer)
        return undefined
      },
    })
    this.#carriers = new LiveSpeakers(bus, (_, epoch) => this.#carried(epoch !== undefined))
    this.#check = clock.every(CHECK_ms, () => this.#expire())
    this.#follower.start()
    this.ready = this.#begin(feed)
    this.ready.catch(() => {})
  }

  get isExpired(): boolean {
    return this.#isExpired
  }

  async close(): Promise<void> {
    this.#check.cancel()
    this.#carriers.close()
    await this.#follower.close()
  }

  async #begin(feed: string): Promise<void> {
    await this.#carriers.follow([feed])
    if (await this.#options.bus.bucket(BUCKET.feeds).get(feed)) await this.#follower.current
  }

  #carried(isThere: boolean): void {
    if (!isThere) {
      this.#awaySince_us ??= this.#options.clock.now_us()
      return
    }
    this.#awaySince_us = undefined
    this.#set(false)
  }

  #expire(): void {
    const { clock, stale_s } = this.#options
    if (this.#awaySince_us === undefined) return
    if (clock.now_us() - this.#awaySince_us >= stale_s * 1e6) this.#set(true)
  }

  #set(isExpired: boolean): void {
    if (this.#isExpired === isExpired) return
    this.#isExpired = isExpired
    this.#options.expired(isExpired)
  }
}
