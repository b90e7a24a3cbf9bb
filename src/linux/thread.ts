/**
 * The calling thread: which cores it may use and how the scheduler treats it. A worker calls these for itself, for a
 * thread number of 0 means the caller. Timers of a thread beside spinning workers are 3 to 5 ms late; under SCHED_RR
 * 0.2.
 */

import { closeSync, openSync, readSync } from 'node:fs'
import { libc, must } from './libc.ts'
import { struct, u32 } from './struct.ts'

/** cpu_set_t, sched.h: a bit a core. */
const MASK_BYTES = 128

const POLICIES = { other: 0, 'round-robin': 2 } as const

/** SCHED_RR priorities are 1 to 99; ours stay below the kernel's own interrupt threads, which are at 50. */
const PRIORITY = 10
/** Of what says to others that we are alive: it takes microseconds and does not wait for an agent that takes long. */
export const LIVENESS_PRIORITY = 20

const schedParam = struct('struct sched_param, sched.h', { priority: u32 })

/** The kernel's number of the calling thread, as top and perf show it. */
export function threadId(): number {
  return libc.gettid()
}

/** The numbers of the cores that the calling thread may run on. */
export function allowedCores(): number[] {
  const mask = new Uint8Array(MASK_BYTES)
  must('sched_getaffinity', libc.sched_getaffinity(0, MASK_BYTES, mask))
  const cores: number[] = []
  for (let core = 0; core < MASK_BYTES * 8; core++) if (mask[core >> 3]! & (1 << (core & 7))) cores.push(core)
  return cores
}

export function pinTo(cores: readonly number[]): void {
  const mask = new Uint8Array(MASK_BYTES)
  for (const core of cores) mask[core >> 3]! |= 1 << (core & 7)
  const advice = { EINVAL: `none of the cores ${cores.join(', ')} is one that this process may use` }
  must('sched_setaffinity', libc.sched_setaffinity(0, MASK_BYTES, mask), advice)
}

export function setScheduling(policy: keyof typeof POLICIES, priority = PRIORITY): void {
  const parameter = schedParam.make({ priority: policy === 'other' ? 0 : priority })
  must('sched_setscheduler', libc.sched_setscheduler(0, POLICIES[policy], parameter))
}

/**
 * Until it is disposed of, the calling thread takes turns with all others. For long work of a thread whose deadlines come
 * first otherwise: under SCHED_RR it would keep its core from a worker to the end.
 */
export function withoutPriority(): Disposable {
  const isAhead = must('sched_getscheduler', libc.sched_getscheduler(0)) === POLICIES['round-robin']
  if (isAhead) setScheduling('other')
  return { [Symbol.dispose]: () => isAhead && setScheduling('round-robin') }
}

/** Of the thread that makes it: how long it was ready to run and others had its core. Linux with CONFIG_SCHED_INFO. */
export class WaitingTime {
  /** Undefined where the kernel does not tell. */
  readonly #fd: number | undefined
  readonly #text = Buffer.alloc(64)

  constructor(path = '/proc/thread-self/schedstat') {
    try {
      this.#fd = openSync(path, 'r')
    } catch {
      this.#fd = undefined
    }
  }

  /** Since the thread began, in microseconds; undefined where the kernel does not tell. */
  get us(): number | undefined {
    if (this.#fd === undefined) return undefined
    // Time on a core, time waiting for one, in nanoseconds, and time slices (Documentation/scheduler/sched-stats.rst).
    const bytes = readSync(this.#fd, this.#text, 0, this.#text.length, 0)
    return Number(this.#text.toString('latin1', 0, bytes).split(' ')[1]) / 1000
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
  }
}
