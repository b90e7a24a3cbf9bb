/**
 * How much frame memory the workers of a process have, and how long their sockets' rings are. Every chunk is pinned from
 * the start, so a process with many ports has shorter rings instead of more memory.
 */

import { queuesOf } from './queue-layout.ts'
import type { RingSizes } from './worker-setup.ts'
import { POOL_RESERVE } from './xdp-port.ts'

/** 1 GB in chunks of 4 KB; the kernel's own limit of a UMEM is four times that. */
export const CHUNKS_MAX = 1 << 18

/** Two milliseconds of 1 M packets/s while the worker is off its core; the send side never waits that long. */
const longestRings: RingSizes = { receiveSize: 2048, sendSize: 1024, fillSize: 2048, completionSize: 1024 }

/** An eighth: two batches on their way out, and what 1 M packets/s are in a quarter of a millisecond. */
const SHORTER_MAX = 8

/**
 * Chunks a worker beyond what its rings take: its reserve, and a ring's worth for what other workers are slow to pay
 * back.
 */
const CHUNKS_BESIDE_RINGS = POOL_RESERVE + 512

export interface FrameLayout {
  readonly rings: RingSizes
  /** Of each worker. */
  readonly chunks: readonly number[]
}

/** For ports with so many queues each. Throws when there are too many. */
export function layFrames(workers: number, queues: readonly number[]): FrameLayout {
  let needed = 0
  for (let shorter = 1; shorter <= SHORTER_MAX; shorter *= 2) {
    const rings = shorterRings(shorter)
    const chunks = Array.from({ length: workers }, (_, worker) => chunksFor(worker, workers, queues, rings))
    needed = chunks.reduce((sum, count) => sum + count, 1)
    if (needed <= CHUNKS_MAX) return { rings, chunks }
  }
  const all = queues.reduce((sum, count) => sum + count, 0)
  const [mb, room_mb] = [needed, CHUNKS_MAX].map((chunks) => Math.ceil(chunks / 256))
  throw new Error(
    `${queues.length} ports with ${all} queues need at least ${mb} MB for frames, and a process ` +
      `has ${room_mb}: it takes fewer ports, fewer workers, or fewer queues (ethtool --set-channels)`,
  )
}

function shorterRings(times: number): RingSizes {
  const { receiveSize, sendSize, fillSize, completionSize } = longestRings
  return {
    receiveSize: receiveSize / times,
    sendSize: sendSize / times,
    fillSize: fillSize / times,
    completionSize: completionSize / times,
  }
}

/**
 * Enough for every ring of its own to be full: its fill rings, and what is sent and not yet said to be. What it sends
 * through another worker's queue is likewise its own until that is out.
 */
function chunksFor(worker: number, workers: number, queues: readonly number[], rings: RingSizes): number {
  let chunks = CHUNKS_BESIDE_RINGS
  for (const count of queues) {
    const { own, through } = queuesOf(worker, workers, count)
    chunks += own.length * (rings.fillSize + rings.sendSize) + (through === undefined ? 0 : rings.sendSize)
  }
  return chunks
}
