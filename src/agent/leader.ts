/** Which control module leads, and what it tells people: only it knows the state of the site. */

import type { Clock } from '../base/clock.ts'
import { pause } from '../base/signal.ts'
import { type Bus, BusError } from '../bus/bus.ts'
import { CONTROL_LEASE } from './names.ts'
import { askToShow } from './show.ts'

/** A leader that was killed is replaced within this time; the next one needs a moment to find out what there is. */
const ANSWER_WITHIN_MS = 4000
const TRY_AGAIN_MS = 100

/** Undefined when nobody leads. */
export async function leaderOf(bus: Bus): Promise<string | undefined> {
  let leader: string | undefined
  const watch = bus.watchLease(CONTROL_LEASE, (holder) => {
    leader = holder?.holder
  })
  try {
    await watch.ready
  } finally {
    watch.close()
  }
  return leader
}

/** Waits while one control module takes over from another. Rejects with what the bus says: 'no-responders' if none leads. */
export async function askLeader(bus: Bus, clock: Clock, thing: string, filter = ''): Promise<unknown[]> {
  const until_us = clock.now_us() + ANSWER_WITHIN_MS * 1000
  for (;;) {
    try {
      const leader = await leaderOf(bus)
      if (leader === undefined) throw new BusError('no-responders', 'no control module leads')
      return await askToShow(bus, leader, thing, filter)
    } catch (error) {
      const isBetween = error instanceof BusError && (error.code === 'no-responders' || error.code === 'timeout')
      if (!isBetween || clock.now_us() > until_us) throw error
      await pause(clock, TRY_AGAIN_MS, new AbortController().signal)
    }
  }
}
