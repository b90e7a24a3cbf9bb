/**
 * Attachments: which tenant's wire is behind a port and VLAN of this switch, and where a VNI comes out. One shared
 * table, written by the agent and read by the workers without a lock:
 *
 *   port, vlan --> attachment: port, vlan, vni, tunnel, mtu, next ----+
 *   vni -------------^   ^--------------------------------------------+   all attachments of a VNI form a list
 *
 * Rows do not change while they can be found, but for `next` and `tunnel`, each by one store; they are used again only
 * after every worker has passed by.
 */

import { assert } from '../base/assert.ts'
import { PORTS_MAX } from '../dataplane/batch.ts'
import type { QsbrWriter } from '../dataplane/qsbr.ts'
import { VNI_MAX } from '../wire/vxlan.ts'

/** Row words. */
const ROW = 8
const PORT = 0
const VLAN = 1
const VNI = 2
const TUNNEL = 3
const MTU = 4
const NEXT = 5

/** No attachment has this number. */
export const NO_ATTACHMENT = 0

/** IEEE 802.1Q clause 9.6: 12 bits. */
const VLANS = 4096

/** 32 bytes each; 10 K tenants on one switch with some to spare. */
export const ATTACHMENTS_MAX = 16384

export interface AttachmentMemory {
  readonly rows: SharedArrayBuffer
  /** 4 MB for all ports. */
  readonly byVlan: SharedArrayBuffer
  /** 64 MB of address space, of which a page is committed for each 1,024 VNIs in a row that are in use. */
  readonly byVni: SharedArrayBuffer
}

export function createAttachmentMemory(): AttachmentMemory {
  return {
    rows: new SharedArrayBuffer(ATTACHMENTS_MAX * ROW * 4),
    byVlan: new SharedArrayBuffer(PORTS_MAX * VLANS * 4),
    byVni: new SharedArrayBuffer((VNI_MAX + 1) * 4),
  }
}

/** The workers' side. */
export class Attachments {
  readonly #rows: Int32Array
  readonly #byVlan: Int32Array
  readonly #byVni: Int32Array

  constructor(memory: AttachmentMemory) {
    this.#rows = new Int32Array(memory.rows)
    this.#byVlan = new Int32Array(memory.byVlan)
    this.#byVni = new Int32Array(memory.byVni)
  }

  /** The attachment of a port for a VLAN, 0 for untagged frames; or NO_ATTACHMENT. */
  find(port: number, vlan: number): number {
    return Atomics.load(this.#byVlan, port * VLANS + vlan)
  }

  /** The first attachment of a VNI, or NO_ATTACHMENT. */
  first(vni: number): number {
    return Atomics.load(this.#byVni, vni)
  }

  /** The next attachment of the same VNI, or NO_ATTACHMENT. */
  next(attachment: number): number {
    return Atomics.load(this.#rows, attachment * ROW + NEXT)
  }

  /** Is it the only one of its VNI? */
  isAlone(attachment: number): boolean {
    return this.first(this.vni(attachment)) === attachment && this.next(attachment) === NO_ATTACHMENT
  }

  port(attachment: number): number {
    return this.#rows[attachment * ROW + PORT]!
  }

  vlan(attachment: number): number {
    return this.#rows[attachment * ROW + VLAN]!
  }

  vni(attachment: number): number {
    return this.#rows[attachment * ROW + VNI]!
  }

  /** The slot that carries its frames to the gateway. */
  tunnel(attachment: number): number {
    return Atomics.load(this.#rows, attachment * ROW + TUNNEL)
  }

  /** The largest payload of an Ethernet frame on its wire. */
  mtu(attachment: number): number {
    return this.#rows[attachment * ROW + MTU]!
  }
}

export interface AttachmentRow {
  readonly port: number
  readonly vlan: number
  readonly vni: number
  readonly tunnel: number
  readonly mtu: number
}

/** The agent's side: exactly one writer a process. */
export class AttachmentWriter {
  readonly #rows: Int32Array
  readonly #byVlan: Int32Array
  readonly #byVni: Int32Array
  readonly #qsbr: QsbrWriter
  readonly #free: number[] = []
  #next = NO_ATTACHMENT + 1

  constructor(memory: AttachmentMemory, qsbr: QsbrWriter) {
    this.#rows = new Int32Array(memory.rows)
    this.#byVlan = new Int32Array(memory.byVlan)
    this.#byVni = new Int32Array(memory.byVni)
    this.#qsbr = qsbr
  }

  /** The new attachment's number; undefined when there are none left. Its port and VLAN must be free. */
  add(row: AttachmentRow): number | undefined {
    const place = row.port * VLANS + row.vlan
    assert(this.#byVlan[place] === NO_ATTACHMENT, `port ${row.port} VLAN ${row.vlan} is attached already`)
    const attachment = this.#free.pop() ?? (this.#next < ATTACHMENTS_MAX ? this.#next++ : undefined)
    if (attachment === undefined) return undefined
    this.#rows.set([row.port, row.vlan, row.vni, row.tunnel, row.mtu, this.#byVni[row.vni]!], attachment * ROW)
    Atomics.store(this.#byVni, row.vni, attachment)
    Atomics.store(this.#byVlan, place, attachment)
    return attachment
  }

  /** From the next frame on it takes another way to the gateway: no frame is lost between the two. */
  setTunnel(attachment: number, tunnel: number): void {
    Atomics.store(this.#rows, attachment * ROW + TUNNEL, tunnel)
  }

  /** `freed` runs once no worker can be at work on a frame of it. */
  remove(attachment: number, freed: () => void): void {
    const at = attachment * ROW
    Atomics.store(this.#byVlan, this.#rows[at + PORT]! * VLANS + this.#rows[at + VLAN]!, NO_ATTACHMENT)
    const vni = this.#rows[at + VNI]!
    const next = this.#rows[at + NEXT]!
    let before = this.#byVni[vni]!
    if (before === attachment) Atomics.store(this.#byVni, vni, next)
    else {
      while (this.#rows[before * ROW + NEXT] !== attachment) before = this.#rows[before * ROW + NEXT]!
      Atomics.store(this.#rows, before * ROW + NEXT, next)
    }
    this.#qsbr.retire(() => {
      this.#free.push(attachment)
      freed()
    })
  }
}
