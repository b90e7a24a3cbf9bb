/**
 * Long work that lets others have their turn: a generator that yields wherever it may be interrupted, and two ways to run
 * it. What it works on may have been changed by others wherever it yields.
 */

import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { Clock } from './clock.ts'

export type Slices<T> = Generator<void, T>

/** A turn of the event loop in between costs some microseconds. */
const SLICE_us = 1000

/**
 * Ends in a later turn of the event loop, unless the work is done within a slice. What takes longer is done in the
 * `manner` that is asked for then, until it ends.
 */
export async function inSlices<T>(work: Slices<T>, clock: Clock, manner?: () => Disposable): Promise<T> {
  using stack = new DisposableStack()
  let isLong = false
  let due_us = clock.now_us() + SLICE_us
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
    if (clock.now_us() < due_us) continue
    if (!isLong && manner) stack.use(manner())
    isLong = true
    await yieldToEventLoop()
    due_us = clock.now_us() + SLICE_us
  }
}

export function atOnce<T>(work: Slices<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
  }
}
