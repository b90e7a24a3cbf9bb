/**
 * Reading a stream across everything that can happen to a reader: lost connections, leaders that change, consumers
 * that the server has forgotten or that fall silent. Each time there is another consumer, behind what was handed over.
 */

import { BusError } from '../bus.ts'
import { Consumer, type Delivered, type Source } from './consumer.ts'
import type { Link } from './link.ts'

/** A server that refuses us is not asked in a circle. */
const RETRY_ms = 500

/**
 * What is stored from a sequence on, as it comes, each once and in order, until the signal or until the bus is closed.
 * `position` is asked before each consumer is made: it gets the sequence behind what was handed over (0 at first), sees
 * to it that the stream is there and says where to go on. What it throws with one of the codes `ends` ends it all,
 * anything else is waited out.
 */
export async function* follow(
  link: Link,
  source: Source,
  position: (next: number) => Promise<number>,
  options: { signal: AbortSignal; ends: readonly BusError['code'][] },
): AsyncGenerator<readonly Delivered[], void> {
  const { signal, ends } = options
  let next = 0
  for (;;) {
    await link.untilConnected(signal)
    if (signal.aborted || link.closed) return
    let consumer: Consumer | undefined
    try {
      next = await position(next)
      consumer = await Consumer.open(link, source, Math.max(next, 1))
      for (;;) {
        const found = await consumer.next(signal)
        if (signal.aborted) return
        next = found.at(-1)!.sequence + 1
        yield found
      }
    } catch (error) {
      if (!(error instanceof BusError)) throw error
      if (signal.aborted || link.closed) return
      if (ends.includes(error.code)) throw error
    } finally {
      consumer?.close()
    }
    link.forget(source.stream)
    if (link.connected) await link.pause(RETRY_ms)
  }
}
