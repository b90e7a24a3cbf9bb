/** Two speakers on a memory network and a clock of the test's, for tests and fuzzers of sessions. */

import { equal } from 'node:assert/strict'
import { type IpAddress, parseAddress } from '../../../base/address.ts'
import { ManualClock } from '../../../base/clock.ts'
import { Random } from '../../../base/random.ts'
import { FAMILY } from '../../../wire/bgp/family.ts'
import type { Connection, Message } from './connection.ts'
import type { Down } from './down.ts'
import { type MemoryConnection, MemoryNetwork, type MemoryNetworkOptions } from './memory-network.ts'
import type { Offer } from './negotiate.ts'
import { BgpSession, type SessionEvents } from './session.ts'
import { defaultSessionOptions, type SessionOptions } from './session-options.ts'
import type { State } from './states.ts'

/** What speaker `number`, of AS 65000 + number, offers to speaker `other`. */
export function offerOf(number: number, other: number): Offer {
  return {
    localAs: 65_000 + number,
    localId: number,
    remoteAs: [{ from: 65_000 + other, to: 65_000 + other }],
    holdTime_s: 90,
    holdTimeMin_s: 3,
    families: [{ family: FAMILY.ipv4Unicast }],
    extendedMessages: true,
  }
}

/** One speaker: its session, what that tells, and whether it accepts connections at all. */
export class Speaker implements SessionEvents {
  readonly address: IpAddress
  readonly news: string[] = []
  /** The length of each. */
  readonly updates: number[] = []
  session!: BgpSession
  listens = true

  constructor(address: string) {
    this.address = parseAddress(address)!
  }

  accept = (): ((connection: Connection) => void) | undefined =>
    this.listens ? (connection) => this.session.accept(connection) : undefined

  stateChanged(from: State, to: State, reason: Down | undefined): void {
    this.news.push(`${from} ${to}${reason ? ` ${reason.cause}` : ''}`)
  }

  established(): void {
    this.news.push('up')
  }

  update({ at, end }: Message): void {
    this.updates.push(end - at)
  }

  refresh(): void {
    this.news.push('refresh')
  }

  down({ sentence }: Down): void {
    this.news.push(`down: ${sentence}`)
  }
}

export interface SpeakersOptions {
  /** Of the first and the second, where they differ from the default. */
  a?: Partial<SessionOptions>
  b?: Partial<SessionOptions>
  offerA?: Partial<Offer>
  offerB?: Partial<Offer>
  network?: MemoryNetworkOptions
  seed?: number
}

/** Neither has started. */
export class Speakers {
  readonly clock = new ManualClock()
  readonly network: MemoryNetwork
  readonly one = new Speaker('10.0.0.1')
  readonly two = new Speaker('10.0.0.2')
  readonly #random: Random

  constructor({ a, b, offerA, offerB, network, seed = 7 }: SpeakersOptions = {}) {
    this.network = new MemoryNetwork(this.clock, network)
    this.#random = new Random(seed)
    this.begin(this.one, { ...a, offer: { ...offerOf(1, 2), ...offerA } })
    this.begin(this.two, { ...b, offer: { ...offerOf(2, 1), ...offerB } })
  }

  get states(): [State, State] {
    return [this.one.session.state, this.two.session.state]
  }

  /** A session for the speaker, in the place of the one that it had. */
  begin(speaker: Speaker, options: Partial<SessionOptions> & { offer: Offer }): void {
    const other = speaker === this.one ? this.two : this.one
    const connector = this.network.connector(speaker.address, other.address, () => other.accept())
    const { clock } = this
    const all = { ...defaultSessionOptions, ...options }
    speaker.session = new BgpSession({ options: all, connector, events: speaker, clock, random: this.#random })
  }

  /** A connection to the speaker from where it expects its peer, held by nobody's session. */
  connectTo(speaker: Speaker): MemoryConnection {
    const other = speaker === this.one ? this.two : this.one
    this.network.connector(other.address, speaker.address, () => speaker.accept()).open()
    return this.network.connections.at(-1)!
  }

  /** Both ends of all connections that are open at both. */
  openEnds(): MemoryConnection[] {
    return this.network.connections
      .filter((end) => !end.isClosed && !end.peer.isClosed)
      .flatMap((end) => [end, end.peer])
  }

  /** Who asked for the one connection that is open. */
  keeper(): string {
    const ends = this.openEnds()
    equal(ends.length, 2)
    return ends[0]!.local.join('.')
  }

  start(): void {
    this.one.session.start()
    this.two.session.start()
  }

  up(): void {
    this.start()
    this.clock.advance(1000)
    equal(this.states.join(), 'established,established')
  }
}
