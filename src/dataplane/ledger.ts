/**
 * Every frame is accounted for, here and nowhere else: what came in, what was made, where each went, and each drop
 * under its one reason, a worker and a tenant. Conservation is two numbers a batch:
 *
 *   received + originated + taken over = sent + delivered + handed over + drops
 *
 * and a worker whose sides differ stops, because it has lost a frame or counted one twice.
 *
 * The counters are doubles in shared memory, written by one worker and read by the agent: exact to 2^53, and a row is
 * only ever a moment behind.
 */

import { assert } from '../base/assert.ts'
import { type Batch, DELIVERED, FORWARD, MOVED, UNKNOWN_TENANT } from './batch.ts'
import { Drop, type DropName, dropReasons } from './drop.ts'
import type { FramePool } from './frames.ts'
import type { Port } from './port.ts'

const COLUMNS = {
  received: 0,
  receivedBytes: 1,
  sent: 2,
  sentBytes: 3,
  delivered: 4,
  originated: 5,
  takenOver: 6,
  handedOver: 7,
} as const
const DROPS_AT = 8
const ROW = DROPS_AT + dropReasons.length

/** Row 0: the worker as a whole. Row 1, UNKNOWN_TENANT: frames of which no tenant is known. Tenants from 2 on. */
const WORKER_ROW = 0

export { UNKNOWN_TENANT }
export const FIRST_TENANT = 2

export interface CounterMemory {
  readonly buffer: SharedArrayBuffer
  readonly rows: number
}

/** `tenants` counts the rows 0 and 1 too; 10 K tenants take 4.5 MB a worker. */
export function createCounterMemory(workers: number, tenants: number): CounterMemory {
  return { buffer: new SharedArrayBuffer(workers * tenants * ROW * 8), rows: tenants }
}

export class Ledger {
  readonly #counters: Float64Array
  readonly #pool: FramePool
  readonly #ports: readonly Port[]
  #in = 0
  #out = 0

  constructor(memory: CounterMemory, worker: number, pool: FramePool, ports: readonly Port[]) {
    this.#counters = new Float64Array(memory.buffer, worker * memory.rows * ROW * 8, memory.rows * ROW)
    this.#pool = pool
    this.#ports = ports
  }

  /** Rows `from` on came from a port. */
  received(batch: Batch, from: number): void {
    const counters = this.#counters
    for (let row = from; row < batch.count; row++) counters[COLUMNS.receivedBytes]! += batch.total[row]!
    counters[COLUMNS.received]! += batch.count - from
    this.#in += batch.count - from
  }

  /** Rows `from` on came from another worker. */
  takenOver(batch: Batch, from: number): void {
    this.#counters[COLUMNS.takenOver]! += batch.count - from
    this.#in += batch.count - from
  }

  /** Once a tenant is known, or known to be unknown; frames handed to another worker are admitted there. */
  admitted(batch: Batch): void {
    const counters = this.#counters
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] === MOVED) continue
      const at = batch.tenant[row]! * ROW
      counters[at + COLUMNS.received]! += 1
      counters[at + COLUMNS.receivedBytes]! += batch.total[row]!
    }
  }

  /** A frame was made here for the tenant. */
  originated(tenant: number): void {
    this.#counters[COLUMNS.originated]! += 1
    this.#counters[tenant * ROW + COLUMNS.originated]! += 1
    this.#in++
  }

  /**
   * A frame was to be made here for the tenant and could not: counted as made and dropped, so that it is not silent.
   */
  notOriginated(tenant: number, reason: number): void {
    this.originated(tenant)
    this.#count(tenant, DROPS_AT + reason)
    this.#out++
  }

  /** Sends what is to be sent, gives every other frame's chunks back, and counts each row once. */
  settle(batch: Batch): void {
    for (let row = 0; row < batch.count; row++) {
      const verdict = batch.verdict[row]!
      if (verdict === FORWARD) this.#send(batch, row)
      else if (verdict === MOVED) this.#counters[COLUMNS.handedOver]! += 1
      else {
        if (verdict === DELIVERED) this.#count(batch.tenant[row]!, COLUMNS.delivered)
        else {
          assert(verdict < dropReasons.length, `${verdict} is no verdict`)
          this.#count(batch.tenant[row]!, DROPS_AT + verdict)
        }
        this.#pool.giveChain(batch.address[row]!, batch.length[row]!, batch.total[row]!)
      }
    }
    this.#out += batch.count
    batch.count = 0
  }

  /** At each batch's end. */
  balance(): void {
    // The message is only put together where there is one to give.
    if (this.#in !== this.#out)
      assert(false, `a worker's books do not balance: ${this.#in} frames in, ${this.#out} out`)
  }

  /** Chunks of this worker, in its pool and in its ports. */
  chunks(): number {
    let chunks = this.#pool.free
    for (let i = 0; i < this.#ports.length; i++) chunks += this.#ports[i]!.holds
    return chunks
  }

  #send(batch: Batch, row: number): void {
    const total = batch.total[row]!
    const tenant = batch.tenant[row]!
    if (this.#ports[batch.out[row]!]!.send(batch.address[row]!, batch.length[row]!, total)) {
      this.#count(tenant, COLUMNS.sent)
      this.#counters[COLUMNS.sentBytes]! += total
      this.#counters[tenant * ROW + COLUMNS.sentBytes]! += total
    } else {
      this.#count(tenant, DROPS_AT + Drop['port-full'])
      this.#pool.giveChain(batch.address[row]!, batch.length[row]!, total)
    }
  }

  #count(tenant: number, column: number): void {
    this.#counters[column]! += 1
    this.#counters[tenant * ROW + column]! += 1
  }
}

export interface Totals {
  received: number
  receivedBytes: number
  sent: number
  sentBytes: number
  delivered: number
  originated: number
  takenOver: number
  handedOver: number
  /** Only the reasons that occurred. */
  drops: Partial<Record<DropName, number>>
}

/** The agent's side: sums over all workers. */
export class CounterReader {
  readonly #all: Float64Array
  readonly #rows: number

  constructor(memory: CounterMemory) {
    this.#all = new Float64Array(memory.buffer)
    this.#rows = memory.rows
  }

  worker(worker: number): Totals {
    return this.#totals((column) => this.#all[(worker * this.#rows + WORKER_ROW) * ROW + column]!)
  }

  node(): Totals {
    return this.tenant(WORKER_ROW)
  }

  tenant(tenant: number): Totals {
    return this.#totals((column) => this.#sum(tenant, column))
  }

  /** A tenant that moved in takes an old row over: its counters start anew. Only when no worker writes to the row. */
  reset(tenant: number): void {
    for (let at = tenant * ROW; at < this.#all.length; at += this.#rows * ROW) this.#all.fill(0, at, at + ROW)
  }

  #sum(tenant: number, column: number): number {
    let sum = 0
    for (let at = tenant * ROW + column; at < this.#all.length; at += this.#rows * ROW) sum += this.#all[at]!
    return sum
  }

  #totals(read: (column: number) => number): Totals {
    const drops: Totals['drops'] = {}
    dropReasons.forEach(([name], code) => {
      const count = read(DROPS_AT + code)
      if (count > 0) drops[name] = count
    })
    const basic = Object.entries(COLUMNS).map(([name, column]) => [name, read(column)])
    return { ...(Object.fromEntries(basic) as Omit<Totals, 'drops'>), drops }
  }
}

/** Frames that came in and are neither out nor dropped: 0 for a row whose worker stands between two batches. */
export function unaccounted(totals: Totals): number {
  const drops = Object.values(totals.drops).reduce((sum, count) => sum + count, 0)
  const { received, originated, takenOver, sent, delivered, handedOver } = totals
  return received + originated + takenOver - sent - delivered - handedOver - drops
}
