/**
 * NATS does not say what it threw away: a client that reads too slowly is disconnected by its server, and what was on
 * the way to it is gone. So whoever publishes numbers the messages of each subject, in a header, and whoever subscribes
 * counts what is missing between two numbers of one publisher. Both ends remember a bounded number of subjects; the
 * publisher starts over under another name when it forgets.
 */

import type { Random } from '../../base/random.ts'
import { wholeOf } from './delivery.ts'

export const NUMBER_HEADER = 'Gatehouse-Number'

/** Subjects that one publisher remembers. A site has some hundreds. */
const SUBJECTS_MAX = 4096
/** Pairs of publisher and subject that one subscription remembers: all nodes of a large site. */
const FOLLOWED_MAX = 16_384

export class Numberer {
  readonly #random: Random
  readonly #numbers = new Map<string, number>()
  #publisher = ''

  constructor(random: Random) {
    this.#random = random
    this.#startOver()
  }

  /** For the header of the next message on the subject: `PUBLISHER.NUMBER`. */
  next(subject: string): string {
    const known = this.#numbers.get(subject)
    if (known === undefined && this.#numbers.size >= SUBJECTS_MAX) this.#startOver()
    const number = (known ?? 0) + 1
    this.#numbers.set(subject, number)
    return `${this.#publisher}.${number}`
  }

  #startOver(): void {
    this.#numbers.clear()
    this.#publisher = Buffer.from(this.#random.bytes(8)).toString('hex')
  }
}

export class Gaps {
  readonly #last = new Map<string, number>()

  /** How many messages of this publisher on this subject are missing before this one. Any header is good enough. */
  missedBefore(subject: string, header: string): number {
    const [publisher, number] = split(header)
    if (number === undefined) return 0
    const followed = `${publisher} ${subject}`
    const last = this.#last.get(followed)
    // What was overtaken on its way was counted as missing already.
    if (last !== undefined && number <= last) return 0
    if (last === undefined && this.#last.size >= FOLLOWED_MAX) this.#last.clear()
    this.#last.set(followed, number)
    return last === undefined ? 0 : number - last - 1
  }
}

function split(header: string): [publisher: string, number: number | undefined] {
  const dot = header.indexOf('.')
  return [header.slice(0, dot), dot > 0 ? wholeOf(header.slice(dot + 1)) : undefined]
}
