/**
 * The shared memory of a switch, made once by its agent: what the agent writes and the workers read. `SwitchWriters` is
 * the agent's side of it, `viewsOf` a worker's.
 */

import { type ActionMemory, Actions, ActionWriter, createActionMemory } from '../dataplane/action.ts'
import { createFibMemory, type FibMemory, FibReader, FibWriter } from '../dataplane/fib/fib.ts'
import type { FramePool, Frames } from '../dataplane/frames.ts'
import type { Ledger } from '../dataplane/ledger.ts'
import { QsbrWriter } from '../dataplane/qsbr.ts'
import { type AttachmentMemory, Attachments, AttachmentWriter, createAttachmentMemory } from './attachments.ts'
import { createMacMemory, MacTable } from './mac-table.ts'
import { createOwnAddressMemory, OwnAddresses } from './own-addresses.ts'
import { createPortMemory, PortTable } from './port-table.ts'
import { type SwitchViews, VRFS } from './shared.ts'

/** 64 MB: some millions of underlay routes, of which a fabric has thousands. */
const FIB_WORDS = 1 << 24

/** 2^20 members are 256 resilient groups: VIPs on one switch, and multipath routes that differ. */
const ACTION_LIMITS = { actions: 1 << 16, slots: 1 << 16, members: 1 << 20 }

/** Can be posted to a worker thread. */
export interface SwitchMemory {
  readonly actions: ActionMemory
  readonly fib: FibMemory
  readonly attachments: AttachmentMemory
  readonly macs: SharedArrayBuffer
  readonly own: SharedArrayBuffer
  readonly ports: SharedArrayBuffer
  readonly pathSalt: number
}

export function createSwitchMemory(pathSalt: number): SwitchMemory {
  return {
    actions: createActionMemory(ACTION_LIMITS),
    fib: createFibMemory({ words: FIB_WORDS, vrfs: VRFS }),
    attachments: createAttachmentMemory(),
    macs: createMacMemory(),
    own: createOwnAddressMemory(),
    ports: createPortMemory(),
    pathSalt,
  }
}

/** A worker's views of the switch's memory, and of its own frames and counters. */
export function viewsOf(memory: SwitchMemory, frames: Frames, pool: FramePool, ledger: Ledger): SwitchViews {
  return {
    frames,
    pool,
    ledger,
    fib: new FibReader(memory.fib),
    actions: new Actions(memory.actions),
    attachments: new Attachments(memory.attachments),
    macs: new MacTable(memory.macs),
    own: new OwnAddresses(memory.own),
    ports: new PortTable(memory.ports),
    pathSalt: memory.pathSalt,
  }
}

/** The agent's side: exactly one a process. */
export class SwitchWriters {
  readonly qsbr: QsbrWriter
  readonly actions: ActionWriter
  readonly fib: FibWriter
  readonly attachments: AttachmentWriter
  readonly own: OwnAddresses
  readonly ports: PortTable

  constructor(memory: SwitchMemory, qsbr: SharedArrayBuffer) {
    this.qsbr = new QsbrWriter(qsbr)
    this.actions = new ActionWriter(memory.actions, this.qsbr)
    this.fib = new FibWriter(memory.fib, this.qsbr)
    this.attachments = new AttachmentWriter(memory.attachments, this.qsbr)
    this.own = new OwnAddresses(memory.own)
    this.ports = new PortTable(memory.ports)
  }
}
