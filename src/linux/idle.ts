/** For tests: how much of a core a process takes while it has nothing to do. */

import { readdirSync, readFileSync } from 'node:fs'
import { systemClock } from '../base/clock.ts'

const WINDOW_s = 2
const WINDOWS_MAX = 10

/**
 * Looks at the process for two seconds, and again while it takes `limit` of a core or more: what the compiler still does
 * in the background after a start is not idling, and on a busy machine the same work takes longer. Returns the least.
 */
export async function idleShare(pid: number, limit: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let window = 0; window < WINDOWS_MAX && least >= limit; window++) {
    const before_s = busy_s(pid)
    await new Promise<void>((resolve) => systemClock.after(WINDOW_s * 1000, resolve))
    least = Math.min(least, (busy_s(pid) - before_s) / WINDOW_s)
  }
  return least
}

/** Of all its threads, as the scheduler counts: the times in proc(5)'s stat are samples, and too coarse for so little. */
function busy_s(pid: number): number {
  const ofThread = (thread: string): number =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
  return readdirSync(`/proc/${pid}/task`).reduce((sum_ns, thread) => sum_ns + ofThread(thread), 0) / 1e9
}
