/**
 * Processor time of the whole machine: everything but idling, so that what the kernel does for a packet counts, in whatever
 * thread's name it is done. A forwarded packet's work is spread over softirqs, which run on top of whoever sent; and Linux
 * charges them to that thread. So a process's own time would be wrong both ways: the sender's contains the device's receive
 * path, and a kernel that forwards would seem to cost nothing.
 *
 * Of what was busy the sender and the receiver have their part. It is what the same generator takes a packet when it is
 * wired to the receiver directly, in the same run, with the same frames:
 *
 *   device's time = machine's time - packets * (machine's time a packet, wired directly)
 */

import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** proc_stat(5): USER_HZ is 100 on all that we run on. */
const TICKS_PER_S = 100
const IDLE = 3
const IO_WAIT = 4
const STEAL = 7

/** Of all cores together, in seconds since boot. */
export interface ProcessorTime {
  readonly at_ms: number
  readonly idle_s: number
  /** Taken by the hypervisor for others: neither busy nor idle. */
  readonly stolen_s: number
}

export function processorTime(): ProcessorTime {
  const at_ms = performance.now()
  const [, ...fields] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!.split(/\s+/)
  const seconds = (field: number): number => Number(fields[field]) / TICKS_PER_S
  return { at_ms, idle_s: seconds(IDLE) + seconds(IO_WAIT), stolen_s: seconds(STEAL) }
}

/** Seconds of processor time that the machine was busy since then. Idle time is exact where a tick would only sample. */
export function busySince_s(before: ProcessorTime): number {
  const now = processorTime()
  const passed_s = ((now.at_ms - before.at_ms) / 1000) * cpus().length
  return passed_s - (now.idle_s - before.idle_s) - (now.stolen_s - before.stolen_s)
}
