/**
 * Carries what each site offers to the other sites that name it in their files (wire/control/offer.ts), batch by batch: from
 * the feed on its own bus to one on theirs, under the same numbers. So it remembers nothing: whoever goes on with it sees how
 * far it has come, and says nothing twice. The other sites' modules read their own buses alone, and need it for what is new
 * only.
 *
 *   west: control --(feed `offer`)--> exchange --(feed `site-west`)--> east: control, routing nodes
 *
 * While it hears the one site it holds a lease at the other, so that its modules know whether the offer is fresh; and of
 * several orchestrators one carries.
 */

import { FeedWriter } from '../agent/feed-writer.ts'
import { BatchFollower } from '../agent/follower.ts'
import { SPEAKER_LEASE_ms, speakerLease } from '../agent/live-speakers.ts'
import { OFFER_FEED, offerFrom } from '../agent/names.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { aborted, pause } from '../base/signal.ts'
import { type Bus, BusError, campaign } from '../bus/bus.ts'
import { type SiteOffer, siteOffer } from '../wire/control/offer.ts'
import type { ConnectedSite, Sites } from './sites.ts'

const TRY_AGAIN_ms = 500

export interface ExchangeOptions {
  /** The orchestrator's. */
  readonly name: string
  readonly sites: Sites
  readonly clock: Clock
  readonly log: Logger
}

export interface CarriedOffer {
  readonly from: string
  readonly to: string
  /** It is this orchestrator that carries, and it hears the one site and reaches the other. */
  readonly isCarrying: boolean
  /** Of the offer, as far as the other site has it. */
  readonly generation: number
}

export class Exchange {
  readonly #options: ExchangeOptions
  readonly #carriers = new Map<string, Carrier>()
  readonly #stop: () => void

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.#stop = options.sites.onChange(() => this.#look())
    this.#look()
  }

  /** For people. */
  tell(): CarriedOffer[] {
    return Array.from(this.#carriers.values(), (carrier) => carrier.tell())
  }

  async close(): Promise<void> {
    this.#stop()
    await Promise.all(Array.from(this.#carriers.values(), (carrier) => carrier.close()))
  }

  #look(): void {
    const { sites } = this.#options
    const wanted = new Set<string>()
    for (const to of sites.all) {
      // One that cannot be read has what it had.
      const remotes = to.contents?.site.remote_sites.map(({ name }) => name)
      for (const from of sites.all) {
        const pair = `${from.name} ${to.name}`
        const isWanted = remotes ? remotes.includes(from.name) : this.#carriers.has(pair)
        if (from === to || !isWanted) continue
        wanted.add(pair)
        if (!this.#carriers.has(pair)) this.#carriers.set(pair, new Carrier(this.#options, from, to))
      }
    }
    for (const [pair, carrier] of this.#carriers) {
      if (wanted.has(pair)) continue
      this.#carriers.delete(pair)
      void carrier.close()
    }
  }
}

/** From one site to one other. */
class Carrier {
  readonly #options: ExchangeOptions
  readonly #from: ConnectedSite
  readonly #to: ConnectedSite
  readonly #closing = new AbortController()
  readonly #run: Promise<void>
  #isCarrying = false
  #generation = 0

  constructor(options: ExchangeOptions, from: ConnectedSite, to: ConnectedSite) {
    this.#options = options
    this.#from = from
    this.#to = to
    this.#run = this.#carry()
  }

  tell(): CarriedOffer {
    const { name: from } = this.#from
    return { from, to: this.#to.name, isCarrying: this.#isCarrying, generation: this.#generation }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#run
  }

  async #carry(): Promise<void> {
    const { clock, log, name } = this.#options
    const { signal } = this.#closing
    const lease = speakerLease(offerFrom(this.#from.name))
    while (!signal.aborted) {
      try {
        await untilConnected(this.#from.bus, signal)
        const held = await campaign(this.#to.bus, lease, { holder: name, ttl_ms: SPEAKER_LEASE_ms }, signal)
        const over = new AbortController()
        const stop = this.#from.bus.onConnection((isConnected) => isConnected || over.abort())
        void held.lost.then(() => over.abort())
        try {
          await this.#carryWhile(AbortSignal.any([signal, over.signal]), () => over.abort())
        } finally {
          stop()
          await held.release()
        }
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        if (signal.aborted || error.code === 'closed') return
        log.warn({ from: this.#from.name, to: this.#to.name, error: error.message }, 'an offer is not carried')
      }
      await pause(clock, TRY_AGAIN_ms, signal)
    }
  }

  async #carryWhile(signal: AbortSignal, fail: () => void): Promise<void> {
    const { clock, log } = this.#options
    const { name } = this.#from
    const copy = await Copy.open(this.#to.bus, offerFrom(name))
    const follower: BatchFollower<SiteOffer> = new BatchFollower<SiteOffer>({
      ...{ bus: this.#from.bus, feed: OFFER_FEED, message: siteOffer, module: `to-${this.#to.name}`, clock, log },
      apply: async (offer) => {
        if (signal.aborted) return 'it is carried no more'
        try {
          const failed = await copy.take(offer, follower.incarnation)
          this.#generation = copy.generation
          return failed
        } catch (error) {
          if (!(error instanceof BusError)) throw error
          // Somebody else carries it by now.
          fail()
          return error.message
        }
      },
    })
    this.#isCarrying = true
    log.info({ from: name, to: this.#to.name, generation: copy.generation }, 'an offer is carried')
    try {
      follower.start()
      await aborted(signal)
    } finally {
      this.#isCarrying = false
      await follower.close()
    }
  }
}

/** The feed at the other site. */
class Copy {
  readonly #writer: FeedWriter
  generation: number

  static async open(bus: Bus, feed: string): Promise<Copy> {
    const { writer, messages } = await FeedWriter.open(bus, feed, '')
    const last = messages.map((message) => siteOffer.decode(message)).at(-1)
    return new Copy(writer, last?.ok ? last.value.generation : 0)
  }

  private constructor(writer: FeedWriter, generation: number) {
    this.#writer = writer
    this.generation = generation
  }

  /** Returns why the batch does not go on from what is there. `incarnation` is that of the feed that it is on. */
  async take(offer: SiteOffer, incarnation: string): Promise<string | undefined> {
    const { generation, base, snapshot } = offer
    const isOther = this.#writer.incarnation !== incarnation
    if (isOther) {
      if (!snapshot) return 'another feed begins with a difference'
      this.#writer.startOver(incarnation)
    } else {
      // Of what is there already a snapshot is of use when one is due.
      const isKnown = snapshot && generation === this.generation && !this.#writer.isSnapshotDue
      if (generation < this.generation || isKnown || (!snapshot && generation === this.generation)) return undefined
      if (!snapshot && base !== this.generation) return `a difference from ${base}, where ${this.generation} is`
    }
    await this.#writer.append(siteOffer.encode(offer), snapshot)
    this.generation = generation
    return undefined
  }
}

async function untilConnected(bus: Bus, signal: AbortSignal): Promise<void> {
  if (bus.connected) return
  const connected = Promise.withResolvers<void>()
  const stop = bus.onConnection((isConnected) => isConnected && connected.resolve())
  await Promise.race([connected.promise, aborted(signal)])
  stop()
}
