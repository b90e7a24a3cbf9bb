/**
 * Waiting. Three ways, for three kinds of thread:
 *
 * - `PollSet` blocks the whole thread in poll(2), bounded. For packet workers, which own their thread.
 * - `EventFd` is the bell that another thread rings to end such a wait.
 * - `watch` has the thread's own event loop watch a descriptor (libuv's uv_poll, reached through koffi). Nothing runs
 *   while nothing arrives and what arrives is seen in some ten microseconds, so BFD, netlink and TUN need neither a
 *   polling timer nor a helper thread.
 */

import koffi from 'koffi'
import { LinuxError } from './error.ts'
import { closeDescriptor, errno, libc, must } from './libc.ts'

export const POLLIN = 0x001

const EINTR = LinuxError.numberOf('EINTR')

/** struct pollfd, poll(2): an int, two shorts. */
const ENTRY_BYTES = 8

export class PollSet {
  readonly #entries: Int32Array
  readonly #events: Uint16Array
  readonly #count: number

  constructor(descriptors: readonly number[], events = POLLIN) {
    const memory = new ArrayBuffer(descriptors.length * ENTRY_BYTES)
    this.#entries = new Int32Array(memory)
    this.#events = new Uint16Array(memory)
    this.#count = descriptors.length
    descriptors.forEach((fd, i) => {
      this.#entries[i * 2] = fd
      this.#events[i * 4 + 2] = events
    })
  }

  /** Sleeps until a descriptor is ready or the time is over; returns how many are ready. A signal ends it early. */
  wait(timeout_ms: number): number {
    const ready = libc.poll(this.#entries, this.#count, timeout_ms)
    if (ready >= 0) return ready
    if (errno() === EINTR) return 0
    return must('poll', ready)
  }

  /** What the last wait found at the i-th descriptor: POLLIN, an error's bit, or 0. */
  ready(i: number): number {
    return this.#events[i * 4 + 3]!
  }
}

const EFD_CLOEXEC = 0o2000000
const EFD_NONBLOCK = 0o4000
/** eventfd(2) adds this to its counter. */
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)

/** Rung by any thread that knows the descriptor's number, heard by the one that polls it. */
export class EventFd {
  readonly fd: number
  readonly #counter = new Uint8Array(8)

  constructor(fd = must('eventfd', libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {
    this.fd = fd
  }

  signal(): void {
    libc.write(this.fd, ONE, 8)
  }

  /** Silences the bell. True if it had rung. */
  drain(): boolean {
    return libc.read(this.fd, this.#counter, 8) === 8
  }

  close(): void {
    closeDescriptor(this.fd)
  }
}

export interface Watch {
  /** To be called before the descriptor is closed. */
  stop(): void
}

/**
 * Calls `run` in this thread's event loop each time that the descriptor is readable; `run` must read until nothing is
 * left or it is called again at once. Keeps the process alive unless `background`. One watch a descriptor.
 */
export function watch(fd: number, run: () => void, { background = false } = {}): Watch {
  let stopped = false
  // libuv calls from outside of any JavaScript, where a promise's continuation would not run and an exception would be
  // lost. An immediate runs right after, in the same turn of the loop, with both in order.
  const later = (): void => {
    if (!stopped) run()
  }
  const handle = koffi.node.poll(fd, () => void setImmediate(later))
  if (background) handle.unref()
  return {
    stop() {
      if (!stopped) handle.close()
      stopped = true
    },
  }
}
