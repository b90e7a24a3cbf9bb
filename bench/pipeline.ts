/**
 * The forwarding pipeline without a kernel: VXLAN in, admission, one LPM among a million routes of a thousand tenants, GRE
 * out, on a port in memory. What it measures is our code alone, a core's worth of it.
 */

import { ipv4Bytes, parseAddress } from '../src/base/address.ts'
import { Random } from '../src/base/random.ts'
import type { Batch } from '../src/dataplane/batch.ts'
import { type FramePool, type Frames, HEADROOM } from '../src/dataplane/frames.ts'
import { type KernelDrops, noKernelDrops, type Port } from '../src/dataplane/port.ts'
import { MemoryNode } from '../src/forwarding/memory-node.ts'
import { fromCustomer } from '../src/forwarding/sample-packets.ts'
import { sampleBatch } from '../src/forwarding/sample-site.ts'
import { ipv4, udp } from '../src/wire/build.ts'
import { RouteColumnsBuilder } from '../src/wire/control/columns.ts'

export interface PipelineLoad {
  readonly tenants: number
  /** That the packets belong to, a power of two. */
  readonly flows: number
}

/** Many more flows than the caches hold routes of. */
const defaultLoad: PipelineLoad = { tenants: 1000, flows: 1 << 16 }

const ROUTES_PER_TENANT = 1000
const FIRST_VNI = 10_000
const FRAMES = 4096

/** Outer Ethernet to inner IP header, in words: what the pipeline changes of a frame, and so what is restored. */
const IMAGE_BYTES = 14 + 20 + 8 + 8 + 14 + 20
const INNER_BYTES = 64

/**
 * A port whose frames never leave: what is sent is received again, under the headers of the next flow. Writing those costs
 * some 10 ns a packet, which the figure includes.
 */
class LoopPort implements Port {
  readonly name = 'loop'
  readonly fds: readonly number[] = []
  readonly pending = false
  readonly unsent = false
  readonly #frames: Frames
  readonly #pool: FramePool
  readonly #images: Int32Array
  readonly #flows: number
  readonly #bytes: number
  readonly #ready: Uint32Array
  #first = 0
  #count = 0
  #flow = 0
  sent = 0

  constructor(frames: Frames, pool: FramePool, images: Int32Array, flows: number, bytes: number) {
    this.#frames = frames
    this.#pool = pool
    this.#images = images
    this.#flows = flows
    this.#bytes = bytes
    this.#ready = new Uint32Array(FRAMES)
  }

  fill(): void {
    while (this.#count < FRAMES) this.#ready[this.#count++] = this.#pool.take()
  }

  receive(batch: Batch, index: number, max: number): void {
    const count = Math.min(max, this.#count)
    const view = this.#frames.view
    const last = this.#flows - 1
    const words = this.#images.length / this.#flows
    for (let i = 0; i < count; i++) {
      const address = this.#ready[this.#first]! + HEADROOM
      this.#first = (this.#first + 1) & (FRAMES - 1)
      const from = this.#flow * words
      this.#flow = (this.#flow + 1) & last
      for (let word = 0; word < words; word++) view.setInt32(address + word * 4, this.#images[from + word]!, true)
      batch.push(index, address, this.#bytes, this.#bytes)
    }
    this.#count -= count
  }

  send(address: number): boolean {
    this.#ready[(this.#first + this.#count++) & (FRAMES - 1)] = address & ~4095
    this.sent++
    return true
  }

  flush(): void {}

  get holds(): number {
    return this.#count
  }

  kernelDrops(): KernelDrops {
    return noKernelDrops
  }

  close(): void {}
}

function manyRoutes(random: Random, count: number) {
  const tenants = Array.from({ length: count }, (_, i) => ({
    id: i + 1,
    name: `tenant-${i + 1}`,
    vni: FIRST_VNI + i,
  }))
  const base = sampleBatch(tenants)
  const routes4 = new RouteColumnsBuilder(1)
  const prefixes = new Uint32Array(count * ROUTES_PER_TENANT)
  for (let tenant = 0; tenant < count; tenant++)
    for (let i = 0; i < ROUTES_PER_TENANT; i++) {
      const prefix = (0x0b000000 + random.below(0x30000000)) & ~0xff
      prefixes[tenant * ROUTES_PER_TENANT + i] = prefix
      // Next hop 2 of each tenant is a host that takes bare IP in GRE.
      routes4.add4(tenant + 1, prefix, 24, (tenant + 1) * 100 + 2)
    }
  return { batch: { ...base, routes4: routes4.build() }, prefixes }
}

/** The first bytes of a packet a flow, as words. */
function images(random: Random, prefixes: Uint32Array, { tenants, flows }: PipelineLoad): Int32Array {
  const words = Math.ceil(IMAGE_BYTES / 4)
  const out = new Int32Array(flows * words)
  const source = parseAddress('10.1.2.3')!.join('.')
  for (let flow = 0; flow < flows; flow++) {
    const tenant = random.below(tenants)
    const prefix = prefixes[tenant * ROUTES_PER_TENANT + random.below(ROUTES_PER_TENANT)]!
    const destination = ipv4Bytes(prefix + random.below(256)).join('.')
    const payload = udp({ sourcePort: 1024 + (flow & 0x7fff) }, new Uint8Array(INNER_BYTES - 14 - 28))
    const frame = fromCustomer(ipv4({ source, destination }, payload), FIRST_VNI + tenant)
    const view = new DataView(frame.buffer)
    for (let word = 0; word < words; word++) out[flow * words + word] = view.getInt32(word * 4, true)
  }
  return out
}

export interface PipelineFigures {
  readonly packets_per_s: number
  readonly ns_per_packet: number
}

/** Runs for about `seconds` after a warm-up of half as long. */
export function measurePipeline(seconds: number, load = defaultLoad): PipelineFigures {
  const random = new Random(7)
  const node = new MemoryNode({ chunks: FRAMES + 512, tenants: load.tenants + 8, fibWords: 1 << 25 })
  const { batch, prefixes } = manyRoutes(random, load.tenants)
  const failed = node.apply(batch)
  if (failed !== undefined) throw new Error(failed)
  node.neighbours.close()
  const bytes = 14 + 20 + 8 + 8 + INNER_BYTES
  const port = new LoopPort(node.frames, node.pool, images(random, prefixes, load), load.flows, bytes)
  port.fill()
  const worker = node.workerOver(port)
  const run = (run_ms: number): PipelineFigures => {
    const before = port.sent
    const from = performance.now()
    while (performance.now() - from < run_ms) for (let i = 0; i < 100; i++) worker.step()
    const took_ms = performance.now() - from
    const packets = port.sent - before
    return { packets_per_s: (packets / took_ms) * 1000, ns_per_packet: (took_ms * 1e6) / packets }
  }
  run(seconds * 500)
  return run(seconds * 1000)
}
