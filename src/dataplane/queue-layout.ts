/**
 * Which worker serves which queues of a device. Queue q is worker q's; queues beyond the workers are dealt out in turn,
 * and a worker beyond the queues sends through one that has some.
 *
 *   3 workers, 5 queues: 0 3 | 1 4 | 2        3 workers, 2 queues: 0 | 1 | sends through worker 0
 */

export interface WorkerQueues {
  /** Queues of its own, most often one. */
  readonly own: readonly number[]
  /** Without any: the worker through which it sends. */
  readonly through: number | undefined
  /** The workers that send through it. */
  readonly sendsFor: readonly number[]
}

export function queuesOf(worker: number, workers: number, queues: number): WorkerQueues {
  const others = Array.from({ length: workers }, (_, other) => other)
  return {
    own: Array.from({ length: queues }, (_, queue) => queue).filter((queue) => queue % workers === worker),
    through: worker < queues ? undefined : worker % queues,
    sendsFor: others.filter((other) => other >= queues && other % queues === worker),
  }
}
