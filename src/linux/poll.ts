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
export const POLLOUT = 0x004

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
  /** From now on `run` is called when there is something to read, or room to write, or either, or not at all. */
  want(readable: boolean, writable: boolean): void
  /** To be called before the descriptor is closed. */
  stop(): void
}

export interface WatchOptions {
  /** Does not keep the process alive. */
  background?: boolean
  readable?: boolean
  writable?: boolean
}

/**
 * Calls `run` in this thread's event loop each time that the descriptor is readable or writable, whichever is wanted;
 * `run` must read until nothing is left, write until nothing fits, or say that it wants it no more, or it is called
 * again at once. A descriptor's error counts as both: reading and writing say what it is. One watch a descriptor.
 */
export function watch(
  fd: number,
  run: (readable: boolean, writable: boolean) => void,
  { background = false, readable = true, writable = false }: WatchOptions = {},
): Watch {
  let stopped = false
  const wanted = { readable, writable }
  // libuv calls from outside of any JavaScript, where a promise's continuation would not run and an exception would be
  // lost. An immediate runs right after, in the same turn of the loop, with both in order.
  const later = (ready: Ready): void => {
    if (!stopped) run(wanted.readable && ready.readable, wanted.writable && ready.writable)
  }
  const failed = (): void => {
    if (stopped) return
    run(wanted.readable, wanted.writable)
    if (!stopped) handle.start(wanted, event)
  }
  // The first argument, which koffi's types leave out, is libuv's status. Below zero it stands for the descriptor's
  // error, and libuv has stopped watching.
  const event = ((status: number, ready: Ready) =>
    void (status < 0 ? setImmediate(failed) : setImmediate(later, ready))) as unknown as (ready: Ready) => void
  const handle = koffi.node.poll(fd, wanted, event)
  if (background) handle.unref()
  const one: Watch = {
    want(readable, writable) {
      if (stopped || (readable === wanted.readable && writable === wanted.writable)) return
      Object.assign(wanted, { readable, writable })
      handle.start(wanted, event)
    },
    stop() {
      if (!stopped) handle.close()
      stopped = true
      watches.delete(one)
    },
  }
  watches.add(one)
  return one
}

/** Of this thread: those that have not been stopped. */
const watches = new Set<Watch>()

/**
 * Nothing of this thread's is watched any more. To be called by a thread that is about to be terminated: an event that came
 * meanwhile would be told to JavaScript that cannot run, which ends the whole process.
 */
export function stopWatching(): void {
  for (const one of [...watches]) one.stop()
}

interface Ready {
  readonly readable: boolean
  readonly writable: boolean
}
