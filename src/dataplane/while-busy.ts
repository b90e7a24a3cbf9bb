/**
 * A process that was killed a moment ago still holds its queues and its XDP programs: the kernel lets go of them in a
 * work queue. So whoever takes its place asks again for a while before it says that another program is in the way.
 */

import type { Clock } from '../base/clock.ts'
import { LinuxError } from '../linux/error.ts'

const TRIES_MAX = 200
/** Two seconds in all; the work queue takes some milliseconds. */
const WAIT_ms = 10

/** Throws EBUSY when it stays so, and every other error at once. */
export async function whileBusy<T>(clock: Clock, run: () => T): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return run()
    } catch (error) {
      if (!(error instanceof LinuxError) || error.code !== 'EBUSY' || tries === TRIES_MAX) throw error
    }
    await new Promise<void>((resolve) => clock.after(WAIT_ms, resolve))
  }
}
