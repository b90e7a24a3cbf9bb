/**
 * Measuring on machines that others use too: many short rounds, those of what is compared in turn, and the middle of each.
 * What disturbs then disturbs all of them, and a median does not see it unless it lasts.
 */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { setScheduling } from '../src/linux/thread.ts'

/**
 * Lets no ordinary thread interrupt this one, nor the processes that it starts, while the work goes on; where that is
 * forbidden it goes on all the same. For seconds, not for minutes: others get the rest of the machine.
 */
export async function undisturbed<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    setScheduling('round-robin')
  } catch {
    return work()
  }
  try {
    return await work()
  } finally {
    setScheduling('other')
  }
}

/**
 * Frees what the last round left, for otherwise the next one pays for it: tens of thousands of arrays of a table that nobody
 * has any more. Once more, for V8 gives memory back beside its work, and a second collection waits for the first one's.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The value that so much of them is not above, 0 to 1; 0 of none. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
}

/** How long it takes, in seconds. */
export function seconds(work: () => void): number {
  const start_ms = performance.now()
  work()
  return (performance.now() - start_ms) / 1000
}
