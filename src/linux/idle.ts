/** For tests: how much of a core a process takes while it has nothing to do. */

import { readFileSync } from 'node:fs'
import { systemClock } from '../base/clock.ts'

/** Of proc(5)'s times of a process: hundredths of a second. */
const TICKS_per_s = 100
const WINDOW_s = 2
const WINDOWS_MAX = 10

/**
 * Looks at the process for two seconds, and again while it takes `limit` of a core or more: what the compiler still does
 * in the background after a start is not idling, and on a busy machine the same work takes longer. Returns the least.
 */
export async function idleShare(pid: number, limit: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let window = 0; window < WINDOWS_MAX && least >= limit; window++) {
    const before = ticksOf(pid)
    await new Promise<void>((resolve) => systemClock.after(WINDOW_s * 1000, resolve))
    least = Math.min(least, (ticksOf(pid) - before) / (WINDOW_s * TICKS_per_s))
  }
  return least
}

/** User and system time. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return Number(fields[11]) + Number(fields[12])
}
