/** For tests: whether a process sleeps while it has nothing to do. */

import { readdirSync, readFileSync } from 'node:fs'
import { systemClock } from '../base/clock.ts'

const WINDOW_s = 2
const WINDOWS_MAX = 10
/** One thread that spins takes all of a core, on any machine; what a wake-up costs differs between machines. */
const CORE_SHARE_MAX = 0.1

export interface Idling {
  /** How often its threads began to sleep, all together. */
  readonly sleepsPerSecond: number
  /** How much of a core its threads took, all together. */
  readonly coreShare: number
}

/**
 * Looks at the process for two seconds, and again while it wakes more often than that or takes a tenth of a core: what
 * the compiler still does in the background after a start is not idling. Undefined if it idled, else the last look.
 */
export async function restless(pid: number, sleepsPerSecondMax: number): Promise<Idling | undefined> {
  let idling: Idling | undefined
  for (let window = 0; window < WINDOWS_MAX; window++) {
    const before = spent(pid)
    await new Promise<void>((resolve) => systemClock.after(WINDOW_s * 1000, resolve))
    const after = spent(pid)
    idling = {
      sleepsPerSecond: (after.sleeps - before.sleeps) / WINDOW_s,
      coreShare: (after.busy_s - before.busy_s) / WINDOW_s,
    }
    if (idling.sleepsPerSecond <= sleepsPerSecondMax && idling.coreShare < CORE_SHARE_MAX) return undefined
  }
  return idling
}

/** As the scheduler counts: the times in proc(5)'s stat are samples, and too coarse for so little. */
function spent(pid: number): { busy_s: number; sleeps: number } {
  let busy_ns = 0
  let sleeps = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const read = (file: string): string => readFileSync(`/proc/${pid}/task/${thread}/${file}`, 'utf8')
    busy_ns += Number(read('schedstat').split(' ')[0])
    sleeps += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(read('status'))![1])
  }
  return { busy_s: busy_ns / 1e9, sleeps }
}
