/**
 * What a stream hands out, from a sequence on: a consumer on the server, of one connection, that is asked for a page
 * whenever the reader has taken the last one. Not the library's: that one can fall silent after a stream has changed
 * its leader. Here the server sends a heartbeat while there is nothing, what is handed out is numbered, and silence, a
 * gap or any word that is not expected ends the consumer. Whoever reads makes another one behind what it has
 * (`follow.ts`), which is always right because nothing is acknowledged.
 */

import { AckPolicy, type ConsumerConfig, DeliverPolicy } from '@nats-io/jetstream'
import { createInbox, type Msg, type MsgHdrs, type Subscription } from '@nats-io/transport-node'
import type { Timer } from '../../base/clock.ts'
import { BusError } from '../bus.ts'
import { positionOf, wholeOf } from './delivery.ts'
import type { Link, Wire } from './link.ts'

/** The page: what a reader that does not read costs us. More than two of the largest entries. */
const PAGE_ENTRIES = 512
const PAGE_BYTES = 2_200_000
const PAGE_EXPIRES_s = 30
const HEARTBEAT_s = 1
/** Three heartbeats and the wait for a busy machine. */
const SILENCE_ms = 4000
/** After which the server forgets a consumer whose reader is gone. */
const INACTIVE_s = 60

const NANOSECONDS = 1e9

const Status = { heartbeat: 100, notFound: 404, expired: 408, conflict: 409 } as const

export interface Delivered {
  readonly sequence: number
  readonly subject: string
  readonly payload: Uint8Array
  /** False for the mark that a deleted key leaves in a bucket. */
  readonly present: boolean
}

export interface Source {
  readonly stream: string
  /** Only what is stored under subjects that match. */
  readonly filter?: string
}

export class Consumer {
  readonly #link: Link
  readonly #wire: Wire
  readonly #source: Source
  readonly #name: string
  readonly #subscription: Subscription
  #arrived: Delivered[] = []
  #broken: BusError | undefined
  #wake = (): void => {}
  /** Entries that the server may still send of the page asked for. */
  #open = 0
  #number = 0

  static async open(link: Link, source: Source, from: number): Promise<Consumer> {
    const config: Partial<ConsumerConfig> = {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: from,
      inactive_threshold: INACTIVE_s * NANOSECONDS,
      mem_storage: true,
      num_replicas: 1,
      ...(source.filter !== undefined && { filter_subject: source.filter }),
    }
    // It is given to one of the stream's servers by lot, and one that has died gets its share: nobody answers then, and the
    // next attempt draws again.
    const add = async (wire: Wire) => ({ wire, ...(await wire.manager.consumers.add(source.stream, config)) })
    const { wire, name } = await link.callAgain(`reading ${source.stream}`, add)
    return new Consumer(link, wire, source, name)
  }

  private constructor(link: Link, wire: Wire, source: Source, name: string) {
    this.#link = link
    this.#wire = wire
    this.#source = source
    this.#name = name
    const callback = (error: Error | null, message: Msg): void => this.#receive(error, message)
    this.#subscription = wire.connection.subscribe(createInbox(), { callback })
    void wire.connection.closed().then(() => this.#break('the connection was lost'))
  }

  /**
   * What has arrived, at least one; none only after the signal. Rejects with 'disconnected' when this consumer is not
   * to be trusted any more.
   */
  async next(signal: AbortSignal): Promise<readonly Delivered[]> {
    while (this.#arrived.length === 0 && !signal.aborted) {
      if (this.#broken) throw this.#broken
      if (this.#open === 0) this.#ask()
      await this.#somethingHappens(signal)
    }
    const arrived = this.#arrived
    this.#arrived = []
    return arrived
  }

  close(): void {
    this.#subscription.unsubscribe()
    const { manager, connection } = this.#wire
    // Should it not be told, the server forgets it by itself.
    if (!connection.isClosed()) manager.consumers.delete(this.#source.stream, this.#name).catch(() => {})
  }

  #ask(): void {
    this.#open = PAGE_ENTRIES
    const page = {
      batch: PAGE_ENTRIES,
      max_bytes: PAGE_BYTES,
      expires: PAGE_EXPIRES_s * NANOSECONDS,
      idle_heartbeat: HEARTBEAT_s * NANOSECONDS,
    }
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#source.stream}.${this.#name}`
    try {
      this.#wire.connection.publish(subject, JSON.stringify(page), { reply: this.#subscription.getSubject() })
    } catch {
      this.#break('the connection was lost')
    }
  }

  #somethingHappens(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#broken) return resolve()
      let silence: Timer | undefined
      const settle = (): void => {
        silence?.cancel()
        signal.removeEventListener('abort', settle)
        this.#wake = () => {}
        resolve()
      }
      silence = this.#link.clock.after(SILENCE_ms, () => this.#break('the server has fallen silent'))
      signal.addEventListener('abort', settle)
      this.#wake = settle
    })
  }

  #receive(error: Error | null, message: Msg): void {
    if (error) this.#break(error.message)
    else if (message.headers?.code) this.#receiveStatus(message.headers)
    else this.#receiveEntry(message)
  }

  #receiveEntry(message: Msg): void {
    const position = positionOf(message.reply ?? '')
    if (position?.number !== this.#number + 1) {
      this.#break('a gap in what the server hands out')
      return
    }
    this.#number = position.number
    if (this.#open > 0) this.#open--
    this.#arrived.push({
      sequence: position.sequence,
      subject: message.subject,
      payload: new Uint8Array(message.data),
      present: !message.headers?.has('KV-Operation'),
    })
    this.#wake()
  }

  #receiveStatus(headers: MsgHdrs): void {
    const { code, description } = headers
    if (code === Status.heartbeat) {
      if ((wholeOf(headers.get('Nats-Last-Consumer')) ?? 0) > this.#number)
        this.#break('the server has handed out what did not arrive')
    } else if (code === Status.expired || code === Status.notFound || isFull(code, description)) {
      this.#open = 0
    } else {
      this.#break(`${code} ${description}`)
    }
    this.#wake()
  }

  #break(reason: string): void {
    this.#broken ??= new BusError('disconnected', `reading ${this.#source.stream}: ${reason}`)
    this.#wake()
  }
}

/** The rest of the page has no room for the next entry. */
function isFull(code: number, description: string): boolean {
  return code === Status.conflict && /maxbytes/i.test(description)
}
