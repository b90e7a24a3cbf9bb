/**
 * A whole switch in memory: its tables, one worker, ports without a kernel. A switch that starts warms itself up on
 * one; tests, fuzzers and benchmarks look at what it does frame by frame.
 */

import type { IpAddress, Prefix } from '../base/address.ts'
import { assert } from '../base/assert.ts'
import { ManualClock } from '../base/clock.ts'
import type { Action } from '../dataplane/action.ts'
import type { DropName } from '../dataplane/drop.ts'
import { createFrameMemory, FramePool, Frames } from '../dataplane/frames.ts'
import { CounterReader, createCounterMemory, Ledger, type Totals } from '../dataplane/ledger.ts'
import { MemoryPort } from '../dataplane/memory-port.ts'
import { createQsbrMemory, QsbrReader } from '../dataplane/qsbr.ts'
import { Worker } from '../dataplane/worker.ts'
import type { AttachmentRow } from './attachments.ts'
import { createSwitchMemory, SwitchWriters, viewsOf } from './memory.ts'
import { SwitchProgram } from './program.ts'
import { Local, rowOfAttachment, Vrf } from './shared.ts'

export interface MemorySwitchOptions {
  readonly customers: readonly string[]
  readonly uplinks: readonly string[]
  readonly chunks?: number
  readonly pathSalt?: number
}

export class MemorySwitch {
  readonly clock = new ManualClock()
  readonly writers: SwitchWriters
  readonly pool: FramePool
  readonly program: SwitchProgram
  readonly #ports: readonly MemoryPort[]
  readonly #worker: Worker
  readonly counters: CounterReader

  constructor({ customers, uplinks, chunks = 512, pathSalt = 0 }: MemorySwitchOptions) {
    const frames = new Frames(createFrameMemory(chunks))
    this.pool = new FramePool(frames, 0, chunks)
    const names = [...customers, ...uplinks]
    this.#ports = names.map((name) => new MemoryPort(name, frames, this.pool))
    const memory = createSwitchMemory(pathSalt)
    const qsbr = createQsbrMemory(1)
    this.writers = new SwitchWriters(memory, qsbr)
    for (const name of customers) this.writers.ports.set(names.indexOf(name), { isCustomer: true, isUp: true })
    const counters = createCounterMemory(1, ROWS)
    this.counters = new CounterReader(counters)
    const ledger = new Ledger(counters, 0, this.pool, this.#ports)
    this.program = new SwitchProgram(viewsOf(memory, frames, this.pool, ledger))
    const reader = new QsbrReader(qsbr, 0)
    this.#worker = new Worker({ ports: this.#ports, program: this.program, ledger, qsbr: reader, clock: this.clock })
    this.program.housekeeping(0)
  }

  port(name: string): number {
    const port = this.#ports.findIndex((one) => one.name === name)
    assert(port >= 0, `no port ${name}`)
    return port
  }

  /** A slot with the action. */
  slot(action: Action): number {
    const slot = this.writers.actions.allocate()
    assert(slot !== undefined, 'out of slots')
    this.writers.actions.set(slot, action)
    return slot
  }

  route(prefix: Prefix, slot: number): void {
    this.writers.fib.insert(Vrf.underlay, prefix, slot)
  }

  /** From now on VXLAN to the address is for this switch, which answers errors from it. */
  tunnelEnd(address: IpAddress): void {
    this.route(hostPrefix(address), this.slot({ kind: 'local', segment: Local.tunnelEnd }))
    this.writers.own.set(address)
  }

  /** Tunnel packets from this address are believed. */
  believe(remote: IpAddress): void {
    this.writers.fib.insert(Vrf.remotes, hostPrefix(remote), this.slot({ kind: 'local', segment: Local.host }))
  }

  /** Packets to the address go to a member of the group. */
  spread(vip: IpAddress, group: number): void {
    this.route(hostPrefix(vip), this.slot({ kind: 'local', segment: group }))
  }

  /** Returns its number. */
  attach(row: Omit<AttachmentRow, 'mtu'> & { mtu?: number }): number {
    const attachment = this.writers.attachments.add({ mtu: 9000, ...row })
    assert(attachment !== undefined && rowOfAttachment(attachment) < ROWS, 'out of attachments')
    return attachment
  }

  detach(attachment: number): void {
    this.writers.attachments.remove(attachment, () => {})
    this.run()
    this.writers.qsbr.reclaim()
    this.run()
    this.writers.qsbr.reclaim()
  }

  /** Puts frames in at a port, as many as there are buffers for; `run` carries them through. */
  inject(port: string, ...frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.#ports[this.port(port)]!.inject(frame)
  }

  run(): void {
    while (this.#worker.step() > 0);
  }

  /** Sends frames in at a port and returns all that comes out, in order, by the ports' names. */
  send(port: string, ...frames: readonly Uint8Array[]): Record<string, Uint8Array[]> {
    this.inject(port, ...frames)
    this.run()
    return this.sent()
  }

  /** What came out since the last look; only ports that sent. */
  sent(): Record<string, Uint8Array[]> {
    const out: Record<string, Uint8Array[]> = {}
    for (const port of this.#ports) {
      const sent = port.sent()
      if (sent.length > 0) out[port.name] = sent
    }
    return out
  }

  /** Moves time on: limits on ICMP errors refill, addresses age. */
  advance(by_ms: number): void {
    this.clock.advance(by_ms)
    this.program.housekeeping(this.clock.now_us())
  }

  totals(): Totals {
    return this.counters.node()
  }

  /** The counters of one row, see `shared.ts`. */
  row(row: number): Totals {
    return this.counters.tenant(row)
  }

  drops(): Partial<Record<DropName, number>> {
    return this.totals().drops
  }
}

/** Counters for this many attachments less one are enough here. */
const ROWS = 64

export function hostPrefix(address: IpAddress): Prefix {
  return { address, length: address.length * 8 }
}
