/**
 * Where the MAC addresses of segments with several attachments are (IEEE 802.1Q clause 8.8, the filtering database):
 * learnt from source addresses, forgotten after five minutes, bounded. All workers write and read one shared table
 * without a lock:
 *
 *   set of 4 entries, chosen by a hash of VNI and MAC
 *   entry: key word 0 ^ value | key word 1 ^ value | key word 2 ^ value | value = attachment, second last heard
 *
 * Two workers that write one entry at once may leave words of both. The key is stored mixed with the value (Hyatt and
 * Mann, "A lock-less transposition table", 2002), so such an entry matches neither address, and the next frame mends
 * it. A table that is full forgets the address that was silent the longest; its frames are then flooded, not lost.
 */

import { mix32 } from '../base/hash.ts'
import { ethernet } from '../wire/ethernet.ts'
import { NO_ATTACHMENT } from './attachments.ts'

const WAYS = 4
const ENTRY = 4
const SET = WAYS * ENTRY

/**
 * A power of two. 16,384 addresses, 256 KB. Only segments with several attachments on this switch are learnt at all.
 */
const SETS = 4096

/** IEEE 802.1Q table 8-6. */
const AGEING_s = 300

/** Stands for the gateway's side in place of an attachment's number. */
export const BEHIND_TUNNEL = 0xffff

export function createMacMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(SETS * SET * 4)
}

export class MacTable {
  readonly #words: Int32Array
  /** Now, in seconds modulo 65,536, from 1 on: a value of 0 is an empty entry. */
  #second = 1

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory)
  }

  /** The time, now and then. All workers share one clock. */
  tick(now_us: number): void {
    this.#second = (Math.floor(now_us / 1e6) % 0xffff) + 1
  }

  /** The frame at `l2` came from the attachment, or from behind the tunnel. */
  learn(vni: number, frame: DataView, l2: number, attachment: number): void {
    const at = l2 + ethernet.source.offset
    const high = frame.getUint16(at)
    const low = frame.getInt32(at + 2)
    const value = (attachment << 16) | this.#second
    const set = setOf(vni, high, low)
    const known = this.#findIn(set, vni, high, low)
    if (known >= 0 && this.#words[known + 3] === value) return
    const entry = known >= 0 ? known : this.#oldestIn(set)
    this.#words[entry] = vni ^ value
    this.#words[entry + 1] = high ^ value
    this.#words[entry + 2] = low ^ value
    this.#words[entry + 3] = value
  }

  /** Where the destination of the frame at `l2` is: an attachment, BEHIND_TUNNEL, or NO_ATTACHMENT for unknown. */
  find(vni: number, frame: DataView, l2: number): number {
    const high = frame.getUint16(l2)
    const low = frame.getInt32(l2 + 2)
    const entry = this.#findIn(setOf(vni, high, low), vni, high, low)
    if (entry < 0) return NO_ATTACHMENT
    const value = this.#words[entry + 3]!
    return this.#age(value) > AGEING_s ? NO_ATTACHMENT : value >>> 16
  }

  #findIn(set: number, vni: number, high: number, low: number): number {
    const words = this.#words
    for (let entry = set; entry < set + SET; entry += ENTRY) {
      const value = words[entry + 3]!
      if (value === 0 || words[entry + 2] !== (low ^ value)) continue
      if (words[entry + 1] === (high ^ value) && words[entry] === (vni ^ value)) return entry
    }
    return -1
  }

  #oldestIn(set: number): number {
    let oldest = set
    let age = -1
    for (let entry = set; entry < set + SET; entry += ENTRY) {
      const value = this.#words[entry + 3]!
      if (value === 0) return entry
      if (this.#age(value) > age) {
        oldest = entry
        age = this.#age(value)
      }
    }
    return oldest
  }

  // Modulo 18 hours. What was silent for just that long is young again for five minutes, in which it is only wrong if
  // the station has moved, and then until it speaks.
  #age(value: number): number {
    return (this.#second - (value & 0xffff) + 0xffff) % 0xffff
  }
}

function setOf(vni: number, high: number, low: number): number {
  return (mix32(mix32(vni ^ (high << 16)) ^ low) & (SETS - 1)) * SET
}
