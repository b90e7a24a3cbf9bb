/**
 * `gatehouse bench fib`: the FIB's rows of the design's table. Lookups beside DPDK's rte_fib on the same routes and
 * addresses, updates while another thread looks up, and memory: many small tenants, one huge one, and tenants that grow and
 * shrink in turn.
 */

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Random } from '../src/base/random.ts'
import { createFibMemory, type FibMemory, FibReader, FibWriter, type RouteColumns } from '../src/dataplane/fib/fib.ts'
import { createQsbrMemory, QsbrWriter } from '../src/dataplane/qsbr.ts'
import { allowedCores, pinTo } from '../src/linux/thread.ts'
import { DpdkFib, isDpdkThere, missingDpdk } from './fib/dpdk.ts'
import { halfRandomAddresses, internetRoutes4, internetRoutes6 } from './fib/internet.ts'
import type { MemoryResult } from './fib/memory.ts'
import type { ReaderData } from './fib/reader.ts'
import { median, seconds, undisturbed } from './measure.ts'
import { linePlot } from './plot.ts'
import { type BenchDocument, type BenchOptions, type BenchRow, benchRow, machineText } from './report.ts'

const SEED = 1
const VRF = 3
/** A batch of the data plane, and a call of rte_fib's bulk mode in dpdk-test-fib. */
const BATCH = 64
/** Of fib/memory.ts. */
const TENANTS = 10_000
const POINTS = 100

/** One FIB, as a worker has. */
interface Fib {
  readonly memory: FibMemory
  readonly qsbrMemory: SharedArrayBuffer
  readonly writer: FibWriter
  readonly reader: FibReader
}

function createFib(): Fib {
  const memory = createFibMemory()
  const qsbrMemory = createQsbrMemory(1)
  const writer = new FibWriter(memory, new QsbrWriter(qsbrMemory))
  return { memory, qsbrMemory, writer, reader: new FibReader(memory) }
}

/** Routes in one of its VRFs, and what is looked up there. */
interface Table {
  readonly fib: Fib
  readonly vrf: number
  readonly routes: RouteColumns
  readonly addresses: Uint32Array
}

function table4(fib: Fib, vrf: number, routes: number, addresses: number): Table {
  const random = new Random(SEED)
  const columns = internetRoutes4(random, routes)
  fib.writer.load(vrf, 4, columns)
  return { fib, vrf, routes: columns, addresses: halfRandomAddresses(random, columns, addresses) }
}

function table6(fib: Fib, vrf: number, routes: number, addresses: number): Table {
  const random = new Random(SEED)
  const columns = internetRoutes6(random, routes)
  fib.writer.load(vrf, 6, columns)
  return { fib, vrf, routes: columns, addresses: halfRandomAddresses(random, columns, addresses) }
}

function lookUpSingly4({ fib: { reader }, vrf, addresses }: Table): () => number {
  const { slots } = reader
  const pass = (): void => {
    for (let i = 0; i < addresses.length; i++) slots[i & (BATCH - 1)] = reader.lookup4(vrf, addresses[i]!)
  }
  for (let warm = 0; warm < 3; warm++) pass()
  return () => addresses.length / seconds(pass)
}

/** The same for IPv6, whose addresses stand in a frame. */
function lookUpBatches6({ fib: { reader }, vrf, addresses }: Table): () => number {
  const frame = new DataView(new SharedArrayBuffer(addresses.length * 4))
  for (const [i, word] of addresses.entries()) frame.setUint32(4 * i, word)
  const vrfs = new Uint32Array(BATCH).fill(vrf)
  const at = new Uint32Array(BATCH)
  const slots = new Uint32Array(BATCH)
  const count = addresses.length / 4
  const pass = (): void => {
    for (let first = 0; first < count; first += BATCH) {
      for (let i = 0; i < BATCH; i++) at[i] = 16 * (first + i)
      reader.lookup6Batch(vrfs, frame, at, slots, BATCH)
    }
  }
  for (let warm = 0; warm < 3; warm++) pass()
  return () => count / seconds(pass)
}

/** Ours and the peer's in turn; medians, in millions a second. */
async function besidePeer(
  ours: readonly (() => number)[],
  peer: DpdkFib | undefined,
  rounds: number,
): Promise<number[]> {
  const results: number[][] = [...ours, undefined].map(() => [])
  for (let round = 0; round < rounds; round++) {
    for (const [i, measure] of ours.entries())
      for (let again = 0; again < 3; again++) results[i]!.push((await undisturbed(measure)) / 1e6)
    if (peer) results.at(-1)!.push((await undisturbed(() => peer.measure())) / 1e6)
  }
  return results.map((values) => (values.length > 0 ? median(values) : Number.NaN))
}

class FibBench {
  readonly #options: BenchOptions
  readonly #noPeer: string | undefined
  readonly #rounds: number
  /** A process has one: all that is looked up here is in it. */
  readonly #fib = createFib()

  constructor(options: BenchOptions) {
    this.#options = options
    this.#noPeer = options.quick ? (isDpdkThere() ? undefined : 'not installed') : missingDpdk()
    this.#rounds = options.quick ? 1 : 5
  }

  async rows(): Promise<BenchRow[]> {
    return [
      ...(await this.#lookups4()),
      ...(await this.#lookups6()),
      ...(await this.#updates()),
      ...this.#memory(),
      ...this.#tenantsInTurn(),
    ]
  }

  #peerName(program: string): string {
    return this.#noPeer === undefined ? `DPDK ${program}` : `DPDK ${program} (${this.#noPeer})`
  }

  async #compare(family: 4 | 6, table: Table, ours: readonly (() => number)[]): Promise<number[]> {
    if (this.#noPeer !== undefined) return besidePeer(ours, undefined, this.#rounds)
    const peer = await DpdkFib.prepare(family, table.routes, table.addresses)
    try {
      return await besidePeer(ours, peer, this.#rounds)
    } finally {
      peer.close()
    }
  }

  async #lookups4(): Promise<BenchRow[]> {
    const sizes = this.#options.quick ? [1000, 100_000] : [1000, 10_000, 100_000, 1_000_000]
    const rates: { routes: number; batch: number; single: number; peer: number }[] = []
    for (const [i, routes] of sizes.entries()) {
      this.#options.say(`lookups among ${routes} IPv4 routes`)
      const table = table4(this.#fib, VRF + i, routes, this.#options.quick ? 1 << 18 : 1 << 21)
      // In a thread of its own, as a forwarding worker is: one reader a process is what the compiler makes the most of.
      const reader = await startReader(table, allowedCores().at(-1)!)
      const window_ms = this.#options.quick ? 50 : 300
      const batches = (): number => reader.rateDuring(() => sleep(window_ms))
      const [batch, single, peer] = await this.#compare(4, table, [batches, lookUpSingly4(table)])
      await reader.stop()
      rates.push({ routes, batch: batch!, single: single!, peer: peer! })
    }
    this.#plotLookups(rates)
    const { routes, batch, single, peer } = rates.at(-1)!
    const among = `${routes / 1e6} M Internet-like prefixes, half of the addresses random`
    const beside = { unit: 'M/s', peer: this.#peerName('rte_fib'), peerValue: peer || undefined }
    return [
      benchRow({ what: `FIB lookup, ${among}`, value: batch, ...beside, bar: 0.7, aim: 1 }),
      benchRow({ what: 'the same, one address a call', value: single, ...beside }),
    ]
  }

  #plotLookups(rates: readonly { routes: number; batch: number; single: number; peer: number }[]): void {
    const line = (name: string, of: 'batch' | 'single' | 'peer') => ({
      name,
      points: rates.filter((at) => !Number.isNaN(at[of])).map((at) => [at.routes, at[of]] as const),
    })
    const svg = linePlot({
      title: 'FIB lookups, half of the addresses random',
      x: { label: 'Internet-like IPv4 routes', log: true },
      y: { label: 'lookups [M/s]' },
      lines: [line('64 a call', 'batch'), line('one a call', 'single'), line('DPDK rte_fib, 64 a call', 'peer')],
    })
    this.#options.plot('fib-lookups.svg', svg)
  }

  async #lookups6(): Promise<BenchRow[]> {
    const routes = this.#options.quick ? 20_000 : 200_000
    this.#options.say(`lookups among ${routes} IPv6 routes`)
    const table = table6(this.#fib, VRF, routes, this.#options.quick ? 1 << 16 : 1 << 19)
    const [batch, peer] = await this.#compare(6, table, [lookUpBatches6(table)])
    const what = `IPv6 lookup, ${routes / 1000} K Internet-like prefixes, half of the addresses random`
    return [
      benchRow({ what, value: batch!, unit: 'M/s', peer: this.#peerName('rte_fib6'), peerValue: peer || undefined }),
    ]
  }

  /** Single insertions and removals at full speed, while a reader on another core looks up; its windows take turns. */
  async #updates(): Promise<BenchRow[]> {
    const routes = this.#options.quick ? 100_000 : 1_000_000
    this.#options.say(`updates among ${routes} IPv4 routes beside a reader`)
    const table = table4(createFib(), VRF, routes, 1 << 20)
    const cores = allowedCores()
    const reader = await startReader(table, cores.at(-1)!)
    pinTo([cores[0]!])
    const churn = churner(table)
    const window_ms = this.#options.quick ? 200 : 1000
    churn(window_ms)
    const idle: number[] = []
    const busy: number[] = []
    const updates: number[] = []
    for (let turn = 0; turn < (this.#options.quick ? 3 : 11); turn++) {
      idle.push(reader.rateDuring(() => sleep(window_ms)))
      busy.push(reader.rateDuring(() => updates.push(churn(window_ms))))
    }
    pinTo(cores)
    await reader.stop()
    const among = `among ${routes / 1e6} M prefixes`
    return [
      benchRow({
        what: `FIB updates while a thread looks up, single insertions and removals ${among}`,
        value: median(updates) / 1e6,
        unit: 'M/s',
        bar: 0.5,
        aim: 1,
      }),
      benchRow({
        what: "that thread's lookups",
        value: median(busy) / 1e6,
        unit: 'M/s',
        peer: 'its own without updates',
        peerValue: median(idle) / 1e6,
        bar: 0.98,
        aim: 0.99,
      }),
    ]
  }

  #memory(): BenchRow[] {
    this.#options.say('memory of 10,000 tenants with 100 scattered routes')
    const tenants = measureMemory('scattered')
    const routes = this.#options.quick ? 1_000_000 : 10_000_000
    this.#options.say(`loading ${routes} IPv4 routes`)
    const loads = Array.from({ length: this.#options.quick ? 1 : 3 }, () => measureMemory('internet', routes))
    const load = `one FIB of ${routes / 1e6} M Internet-like prefixes`
    const most = (of: (result: MemoryResult) => number): number => Math.max(...loads.map(of)) / 1e6
    const memory = { unit: 'MB', better: 'lower' } as const
    return [
      benchRow({
        what: 'FIB memory, 10 K tenants of 100 scattered routes (DPDK LPM: 640 GB)',
        value: tenants.resident_bytes / 1e6,
        ...memory,
        bar: 100,
        aim: 20,
      }),
      benchRow({
        what: `${load}: load`,
        value: median(loads.map((result) => result.seconds)),
        unit: 's',
        better: 'lower',
        bar: 10,
        aim: 5,
      }),
      benchRow({
        what: `${load}: memory`,
        value: most((result) => result.resident_bytes),
        ...memory,
        bar: 1500,
        aim: 800,
      }),
      benchRow({ what: `${load}: memory while it loads`, value: most((result) => result.peak_bytes), ...memory }),
    ]
  }

  #tenantsInTurn(): BenchRow[] {
    const tenants = this.#options.quick ? 50 : TENANTS
    const all = tenants === TENANTS ? '10 K tenants' : `${tenants} of 10 K tenants`
    this.#options.say(`${all} fill to 20 K routes and shrink back, one after another`)
    const { taken_bytes } = measureMemory('inTurn', tenants)
    const points = inTurnPoints(taken_bytes)
    const svg = linePlot({
      title: `${all}, of which each in turn fills to 20 K routes`,
      x: { label: 'tenants that have had their turn' },
      y: { label: 'memory of the FIB [MB]' },
      lines: [
        { name: 'one is full, the others have 100 routes each', points: points.full },
        { name: 'after it has shrunk back', points: points.shrunk },
      ],
    })
    this.#options.plot('fib-memory.svg', svg)
    const [before, ...after] = taken_bytes
    return [
      benchRow({
        what: `FIB memory, at most, as ${all} in turn fill to 20 K routes`,
        value: Math.max(...after) / 1e6,
        unit: 'MB',
      }),
      benchRow({
        what: 'and after they have shrunk back',
        value: taken_bytes.at(-1)! / 1e6,
        unit: 'MB',
        peer: 'before',
        peerValue: before! / 1e6,
      }),
    ]
  }
}

/** What memory.ts's case has noted: before, then with each full and after it; as many points as a plot can show. */
function inTurnPoints(taken_bytes: readonly number[]): Record<'full' | 'shrunk', [turns: number, MB: number][]> {
  const turns = (taken_bytes.length - 2) / 2
  const step = Math.max(1, Math.floor(turns / POINTS))
  const shown = Array.from({ length: Math.floor(turns / step) }, (_, i) => (i + 1) * step)
  return {
    full: shown.map((turn) => [turn, taken_bytes[2 * turn - 1]! / 1e6]),
    shrunk: shown.map((turn) => [turn, taken_bytes[2 * turn]! / 1e6]),
  }
}

interface RunningReader {
  /** Lookups a second while the work goes on. */
  rateDuring(work: () => void): number
  stop(): Promise<void>
}

/** For its caches to fill, and the first time for its compiler. */
const SETTLE_ms = 50

async function startReader({ fib, vrf, addresses }: Table, core: number): Promise<RunningReader> {
  const progress = new SharedArrayBuffer(12)
  const words = new Int32Array(progress)
  const data: ReaderData = { memory: fib.memory, qsbr: fib.qsbrMemory, vrf, addresses, progress, core }
  const thread = new Worker(new URL('./fib/reader.ts', import.meta.url), { workerData: data })
  await once(thread, 'message')
  return {
    rateDuring(work) {
      Atomics.store(words, 2, 1)
      Atomics.notify(words, 2)
      sleep(SETTLE_ms)
      const before = Atomics.load(words, 1)
      const duration = seconds(work)
      const rate = (((Atomics.load(words, 1) - before) >>> 0) * BATCH) / duration
      Atomics.store(words, 2, 0)
      return rate
    },
    async stop() {
      Atomics.store(words, 0, 1)
      Atomics.store(words, 2, 1)
      Atomics.notify(words, 2)
      await once(thread, 'exit')
    },
  }
}

/** Takes random routes out and puts them back, each a single update; returns updates a second. */
function churner({
  fib: { writer },
  vrf,
  routes: { count, addresses, lengths, slots },
}: Table): (during_ms: number) => number {
  // A stride without a common factor visits every route.
  const STRIDE = 611_953
  let route = 0
  return (during_ms) => {
    const start_ms = performance.now()
    let updates = 0
    while (performance.now() - start_ms < during_ms)
      for (let i = 0; i < 1000; i++) {
        route = (route + STRIDE) % count
        writer.remove4(vrf, addresses[route]!, lengths[route]!)
        writer.insert4(vrf, addresses[route]!, lengths[route]!, slots[route]!)
        updates += 2
      }
    return (updates * 1000) / (performance.now() - start_ms)
  }
}

function sleep(duration_ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, duration_ms)
}

function measureMemory(name: string, size = 0): MemoryResult {
  const file = join(import.meta.dirname, 'fib', 'memory.ts')
  const output = execFileSync(process.execPath, ['--expose-gc', file, name, String(size)], { encoding: 'utf8' })
  return JSON.parse(output) as MemoryResult
}

export async function benchFib(options: BenchOptions): Promise<BenchDocument> {
  const rows = await new FibBench(options).rows()
  return { bench: 'fib', machine: machineText(), rows }
}
