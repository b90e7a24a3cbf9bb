/** What the workers know of the switch's ports: whose they are, and whether they are up. Written by the agent. */

import { PORTS_MAX } from '../dataplane/batch.ts'

const CUSTOMER = 1
const DOWN = 2

export function createPortMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(PORTS_MAX)
}

export class PortTable {
  readonly #flags: Uint8Array

  constructor(memory: SharedArrayBuffer) {
    this.#flags = new Uint8Array(memory)
  }

  /** Does a tenant's wire end here? Otherwise it is a routed port of the underlay. */
  isCustomer(port: number): boolean {
    return (this.#flags[port]! & CUSTOMER) !== 0
  }

  isUp(port: number): boolean {
    return (this.#flags[port]! & DOWN) === 0
  }

  set(port: number, state: { isCustomer: boolean; isUp: boolean }): void {
    this.#flags[port] = (state.isCustomer ? CUSTOMER : 0) | (state.isUp ? 0 : DOWN)
  }
}
