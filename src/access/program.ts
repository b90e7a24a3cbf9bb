/**
 * The switch program, as a worker runs it: the same at the site's edge and in the rack (DSR figure 4, the access
 * module). What a switch does follows from its ports and tables alone: it has customers' ports with attachments, or a
 * VIP to spread, or both, and routes the rest.
 *
 *   classify -> (dispatcher) -> bridge (customers' ports, our tunnel endpoint)
 *                            -> route  (all else)
 */

import { type Batch, FORWARD } from '../dataplane/batch.ts'
import { UNKNOWN_TENANT } from '../dataplane/ledger.ts'
import type { Program } from '../dataplane/program.ts'
import { Bridge } from './bridge.ts'
import { Classifier } from './classify.ts'
import type { PortTable } from './port-table.ts'
import { Router } from './router.ts'
import { rowOfAttachment, Shared, type SwitchViews } from './shared.ts'

export class SwitchProgram implements Program {
  readonly originated: Batch
  readonly #shared: Shared
  readonly #classifier: Classifier
  readonly #bridge: Bridge
  readonly #router: Router
  readonly #ports: PortTable

  constructor(views: SwitchViews) {
    this.#shared = new Shared(views)
    this.originated = this.#shared.originated
    this.#ports = views.ports
    this.#classifier = new Classifier(views.frames, views.pool, this.#shared.columns, views.attachments, views.ports)
    this.#bridge = new Bridge(this.#shared)
    this.#router = new Router(this.#shared, this.#bridge)
  }

  classify(batch: Batch): void {
    this.#classifier.classify(batch)
  }

  process(batch: Batch): void {
    for (let row = 0; row < batch.count; row++) {
      batch.tenant[row] = UNKNOWN_TENANT
      if (batch.verdict[row] === FORWARD) batch.verdict[row] = this.#admit(batch, row)
    }
    this.#shared.views.ledger.admitted(batch)
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] !== FORWARD) continue
      const isCustomer = this.#isCustomer(batch, row)
      batch.verdict[row] = isCustomer ? this.#bridge.fromCustomer(batch, row) : this.#router.route(batch, row)
    }
  }

  housekeeping(now_us: number): void {
    this.#shared.now_us = now_us
    this.#shared.views.macs.tick(now_us)
  }

  /** The agent speaks through shared memory alone. */
  message(): void {}

  #admit(batch: Batch, row: number): number {
    if (!this.#isCustomer(batch, row)) return this.#router.admit(batch, row)
    batch.tenant[row] = rowOfAttachment(batch.segment[row]!)
    return FORWARD
  }

  #isCustomer(batch: Batch, row: number): boolean {
    return this.#ports.isCustomer(batch.port[row]!)
  }
}
