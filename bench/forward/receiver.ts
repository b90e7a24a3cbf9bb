/**
 * The receiving end of a measurement: an XDP program that counts the generator's packets and drops them. It knows when each
 * was sent (the generator writes the time into the payload, and both ends have the machine's one clock) and keeps a histogram
 * of how long they took. Nothing of it runs in user space, so no thread's waking up is part of what is measured, and its cost
 * is the same for every device.
 *
 * All else, such as ARP, is left to the kernel.
 */

import { Assembler, Helper } from '../../src/linux/assembler.ts'
import { BpfMap, MapType, XdpLink, XdpProgram } from '../../src/linux/bpf.ts'
import type { Mapping } from '../../src/linux/memory.ts'

/**
 * Latencies in three tiers of 4,096 buckets each: 64 ns wide up to 262 us, 4 us wide up to 16.8 ms, 262 us wide up to 1 s,
 * where the last bucket takes all that is later.
 */
const TIER_SHIFTS = [6, 12, 18] as const
const TIER_BUCKETS = 4096
const BUCKETS = TIER_SHIFTS.length * TIER_BUCKETS

/** The map's value, in words of 64 bits: how many packets, the sum and the longest of their latencies, the buckets. */
const Word = { packets: 0, sum: 1, longest: 2, buckets: 3 } as const
const VALUE_BYTES = (Word.buckets + BUCKETS) * 8

const XDP_DROP = 1
const XDP_PASS = 2
const ETHERTYPE_AT = 12
const ETHERTYPE_IPV4 = 0x0008 // as a little-endian load gives it

export interface Latency {
  readonly min_us: number
  readonly mean_us: number
  readonly p50_us: number
  readonly p99_us: number
  readonly max_us: number
}

/** The counters at a moment: what was received in an interval is the difference of two. */
interface Snapshot {
  readonly packets: number
  readonly sum_ns: number
  readonly buckets: Float64Array
}

export class Receiver {
  readonly #map = new BpfMap('received', MapType.array, 4, VALUE_BYTES, 1, true)
  readonly #value: Mapping
  readonly #words: Uint32Array
  readonly #program: XdpProgram
  readonly #link: XdpLink

  /** In the calling thread's namespace. `sentAt` is where in a frame the generator's time stands. */
  constructor(interfaceIndex: number, sentAt: number) {
    this.#value = this.#map.mapValue()
    this.#words = this.#value.words(0, VALUE_BYTES / 4)
    this.#program = new XdpProgram('receiver', receiverCode(this.#map, sentAt))
    this.#link = new XdpLink(this.#program, interfaceIndex)
  }

  /** Modulo 2^32: for differences. */
  get packets32(): number {
    return Atomics.load(this.#words, Word.packets * 2)
  }

  snapshot(): Snapshot {
    const buckets = new Float64Array(BUCKETS)
    for (let i = 0; i < BUCKETS; i++) buckets[i] = this.#word(Word.buckets + i)
    return { packets: this.#word(Word.packets), sum_ns: this.#word(Word.sum), buckets }
  }

  /** From now on the longest is looked for anew. */
  forgetLongest(): void {
    this.#words[Word.longest * 2] = 0
  }

  /** Of what was received since then; undefined if nothing was. */
  latencySince(before: Snapshot): Latency | undefined {
    const now = this.snapshot()
    const packets = now.packets - before.packets
    if (packets === 0) return undefined
    const counts = now.buckets.map((count, i) => count - before.buckets[i]!)
    return {
      min_us: smallestIn(counts.findIndex((count) => count > 0)) / 1000,
      mean_us: (now.sum_ns - before.sum_ns) / packets / 1000,
      p50_us: percentile_ns(counts, packets * 0.5) / 1000,
      p99_us: percentile_ns(counts, packets * 0.99) / 1000,
      max_us: this.#word(Word.longest) / 1000,
    }
  }

  close(): void {
    this.#link.close()
    this.#program.close()
    this.#value.unmap()
    this.#map.close()
  }

  #word(at: number): number {
    return this.#words[at * 2 + 1]! * 2 ** 32 + this.#words[at * 2]!
  }
}

function percentile_ns(counts: Float64Array, rank: number): number {
  let left = rank
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    left -= counts[bucket]!
    if (left <= 0) return smallestIn(bucket + 1)
  }
  return smallestIn(BUCKETS)
}

/** The smallest latency of a bucket, in nanoseconds, which is where the one before it ends. */
function smallestIn(bucket: number): number {
  const tier = Math.min(Math.floor(bucket / TIER_BUCKETS), TIER_SHIFTS.length - 1)
  const within = bucket - tier * TIER_BUCKETS
  const width = 2 ** TIER_SHIFTS[tier]!
  // A tier's first buckets are the tier's before: nothing falls into them.
  const beneath = tier === 0 ? 0 : TIER_BUCKETS * 2 ** TIER_SHIFTS[tier - 1]!
  return Math.max(within * width, beneath)
}

// r6 context, later the value's address, r7 start of the frame, later the latency, r8 end of the frame, r9 time of sending.
function receiverCode(map: BpfMap, sentAt: number): Uint8Array {
  const code = new Assembler()
  code.load32('r7', 'r1', 0).load32('r8', 'r1', 4) // struct xdp_md: data, data_end
  code
    .move('r2', 'r7')
    .add('r2', sentAt + 4)
    .jumpIf('r2', '>', 'r8', 'pass')
  code.load16('r3', 'r7', ETHERTYPE_AT).jumpIf('r3', '!=', ETHERTYPE_IPV4, 'pass')
  code.load32('r9', 'r7', sentAt)

  code.store32('r10', -4, 0).loadMap('r1', map.fd).move('r2', 'r10').add('r2', -4).call(Helper.mapLookup)
  code.jumpIf('r0', '==', 0, 'pass').move('r6', 'r0')
  // The payload has the lower half of the time: latencies are below four seconds.
  code.call(Helper.now_ns).move('r7', 'r0').subtract('r7', 'r9').shiftLeft('r7', 32).shiftRight('r7', 32)

  // A device's queue is served by one core at a time: plain additions.
  code
    .load64('r1', 'r6', Word.packets * 8)
    .add('r1', 1)
    .store64('r6', Word.packets * 8, 'r1')
  code
    .load64('r1', 'r6', Word.sum * 8)
    .add('r1', 'r7')
    .store64('r6', Word.sum * 8, 'r1')
  code.load64('r1', 'r6', Word.longest * 8).jumpIf('r1', '>=', 'r7', 'bucket')
  code.store64('r6', Word.longest * 8, 'r7')

  code.label('bucket')
  for (const [tier, shift] of TIER_SHIFTS.entries()) {
    const isLast = tier === TIER_SHIFTS.length - 1
    code.move('r1', 'r7').shiftRight('r1', shift)
    code.jumpIf('r1', '<', TIER_BUCKETS, `tier ${tier}`)
    if (isLast) code.move('r1', TIER_BUCKETS - 1).jump(`tier ${tier}`)
  }
  for (const tier of TIER_SHIFTS.keys())
    code
      .label(`tier ${tier}`)
      .add('r1', tier * TIER_BUCKETS)
      .jump('count')
  code.label('count').shiftLeft('r1', 3).add('r6', 'r1')
  code
    .load64('r2', 'r6', Word.buckets * 8)
    .add('r2', 1)
    .store64('r6', Word.buckets * 8, 'r2')
  code.move('r0', XDP_DROP).exit()
  code.label('pass').move('r0', XDP_PASS).exit()
  return code.assemble()
}
