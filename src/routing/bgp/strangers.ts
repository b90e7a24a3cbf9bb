/**
 * Connections of strangers, to a speaker that expects nobody from there: each is counted, and of all in a second one thing is
 * said, so that ten thousand a second cost a line and not a log.
 */

import { formatAddress, type IpAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'

const EVERY_ms = 1000

export interface StrangerNews {
  /** Since it was said last. */
  readonly connections: number
  /** Where one of them came from. */
  readonly from: string
  readonly reason: string
}

export class Strangers {
  readonly #clock: Clock
  readonly #say: (news: StrangerNews) => void
  #connections = 0

  constructor(clock: Clock, say: (news: StrangerNews) => void) {
    this.#clock = clock
    this.#say = say
  }

  came(from: IpAddress): void {
    if (this.#connections++ > 0) return
    this.#clock.after(EVERY_ms, () => {
      const connections = this.#connections
      this.#connections = 0
      this.#say({ connections, from: formatAddress(from), reason: 'no neighbour is expected from there' })
    })
  }
}
