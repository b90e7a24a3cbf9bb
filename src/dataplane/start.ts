/**
 * The agent's side of the workers: lays out the memory that all share, starts the threads, has them open their sockets,
 * and puts the XDP programs on the interfaces, which makes the first packet come. `worker-thread.ts` is the other side.
 *
 * A worker that dies takes the others with it: a node whose worker is gone swallows that worker's queue and looks
 * healthy, which is the worst of all. What then becomes of the process is for `onDeath` to say; it should end.
 */

import { Worker as Thread } from 'node:worker_threads'
import { assert } from '../base/assert.ts'
import { systemClock } from '../base/clock.ts'
import { checkSingleBufferMtu } from '../linux/bpf.ts'
import { LinuxError } from '../linux/error.ts'
import { channels } from '../linux/ethtool.ts'
import { interfaceIndex } from '../linux/libc.ts'
import { countersOf, listLinks } from '../linux/link.ts'
import { excludeFromFork, firstPageIn } from '../linux/memory.ts'
import { Netlink } from '../linux/netlink.ts'
import { EventFd } from '../linux/poll.ts'
import { Steering, type SteeringKind, SteeringTables, type Tunnel } from '../linux/steering.ts'
import { allowedCores } from '../linux/thread.ts'
import { statisticsOf, Umem, withMultiBufferIfKnown, XdpSocket } from '../linux/xdp-socket.ts'
import { PORTS_MAX } from './batch.ts'
import { createDispatchMemory } from './dispatch.ts'
import { EXCHANGE_WORDS } from './exchange.ts'
import { type FrameLayout, layFrames } from './frame-layout.ts'
import { CHUNK_BYTES, createFrameMemory } from './frames.ts'
import type { PortDrops } from './kernel-drops.ts'
import type { CounterMemory } from './ledger.ts'
import { queuesOf } from './queue-layout.ts'
import { whileBusy } from './while-busy.ts'
import { FLAG_WORDS, WorkerFlag, wake } from './worker.ts'
import { type FromWorker, flagsOf, type OpenedSocket, type ToWorker, type WorkerSetup } from './worker-setup.ts'

export interface StartPort {
  readonly interfaceName: string
  readonly steering: SteeringKind
}

export interface StartOptions {
  readonly workers: number
  /** At least one. A port's place is its number. */
  readonly ports: readonly StartPort[]
  /** The module that exports `createProgram`, and what it is called with in every worker. */
  readonly program: URL
  readonly parameters: unknown
  /** The agent's: its writers and readers are built on them too. */
  readonly qsbr: SharedArrayBuffer
  readonly counters: CounterMemory
  /** What the steering `node` and `underlay` take for tunnel packets. */
  readonly tunnels: readonly Tunnel[]
  /** Without it, what the ports need. */
  readonly frames?: FrameLayout
  /** A core a worker. Without them the scheduler decides. */
  readonly cores?: readonly number[]
  readonly spin_us?: number
  /** False: as on a kernel that cannot. Without it, where all interfaces can. */
  readonly multiBuffer?: boolean
  onMessage(worker: number, message: unknown): void
  /** All workers have been told to stop; the process is to end. */
  onDeath(death: WorkerDeath): void
}

export interface WorkerDeath {
  readonly worker: number
  readonly error: Error
}

/** Chunk 0 is nobody's: its address means none. */
const FIRST_CHUNK = 1

/** How long a worker looks on before it sleeps, when there are cores to spare; see spin.ts. */
const SPIN_us = 100

export interface PortState {
  readonly name: string
  readonly queues: number
  readonly xdp: 'driver' | 'generic'
  readonly socket: 'zero-copy' | 'copy'
  /** May a frame span several buffers? Before Linux 6.6 it may not, and the MTU is at most some 3.5 KB. */
  readonly multiBuffer: boolean
}

export async function startWorkers(options: StartOptions): Promise<Workers> {
  assert(options.workers > 0 && options.ports.length > 0, 'workers need something to work on')
  assert(options.ports.length <= PORTS_MAX, `a batch numbers at most ${PORTS_MAX} ports`)
  const workers = new Workers(options)
  try {
    await workers.start()
  } catch (error) {
    await workers.stop()
    throw error
  }
  return workers
}

interface Abilities {
  /** Some device cannot do zero-copy. */
  readonly copy: boolean
  readonly multiBuffer: boolean
}

interface WorkerThread {
  readonly thread: Thread
  readonly ended: Promise<void>
  /** Waits for the next message of the start. */
  answered: (message: FromWorker) => void
  isRunning: boolean
}

export class Workers {
  /** Which packets are ours: own addresses may come and go while the workers run. */
  readonly steering: SteeringTables
  readonly ports: PortState[] = []
  readonly #options: StartOptions
  readonly #flags: SharedArrayBuffer
  readonly #bells: EventFd[] = []
  readonly #threads: WorkerThread[] = []
  readonly #programs: Steering[] = []
  readonly #netlink = new Netlink()
  readonly #indices: number[]
  /** Of each worker, when it was last asked. */
  readonly #turns: number[] = []
  #sockets: OpenedSocket[] = []
  #before: PortDrops[] = []
  #state: 'starting' | 'running' | 'stopped' = 'starting'
  #failed: (error: Error) => void = () => {}

  /** To be made by `startWorkers`. Throws when an interface is not there. */
  constructor(options: StartOptions) {
    this.#options = options
    this.#indices = options.ports.map(({ interfaceName }) => interfaceIndex(interfaceName))
    this.#flags = new SharedArrayBuffer(options.workers * FLAG_WORDS * 4)
    this.steering = new SteeringTables(options.tunnels)
  }

  async start(): Promise<void> {
    const death = new Promise<never>((_, reject) => {
      this.#failed = reject
    })
    await Promise.race([this.#start(), death])
    this.#state = 'running'
  }

  async #start(): Promise<void> {
    const { ports } = this.#options
    const queues = ports.map(({ interfaceName }) => queueCount(this.#netlink, interfaceName))
    const abilities = await this.#abilities()
    for (const setup of this.#setups(queues, abilities)) this.#threads.push(this.#startThread(setup))
    await Promise.all(this.#threads.map((_, worker) => this.#answer(worker, 'made')))

    // The first socket of worker 0 registers the UMEM; the others name it.
    const sockets = await this.#open(0, undefined)
    const others = this.#threads.slice(1).map((_, i) => this.#open(i + 1, sockets[0]!.fd))
    this.#sockets = [...sockets, ...(await Promise.all(others)).flat()]

    this.#before = this.#kernelDrops()
    for (const [port, { interfaceName, steering }] of ports.entries()) {
      const program = new Steering(steering, queues[port]!, this.steering, abilities)
      this.#programs.push(program)
      const mine = this.#sockets.filter((socket) => socket.port === port)
      for (const { queue, fd } of mine) program.setSocket(queue, fd)
      const xdp = await whileBusy(systemClock, () => program.attach(this.#indices[port]!))
      const { multiBuffer } = abilities
      this.ports.push({ name: interfaceName, queues: queues[port]!, xdp, socket: mine[0]!.mode, multiBuffer })
    }
  }

  post(worker: number, message: unknown): void {
    this.#tell(worker, { kind: 'program', message })
    const flags = flagsOf(this.#flags, worker)
    Atomics.store(flags, WorkerFlag.mail, 1)
    wake(flags, this.#bells[worker]!)
  }

  /**
   * Has every worker come round since this was last asked? One without work does so five times a second. A worker that
   * hangs swallows its queue as one that died does, but nobody is told of it.
   */
  areMoving(): boolean {
    let moving = true
    for (let worker = 0; worker < this.#options.workers; worker++) {
      const turns = Atomics.load(flagsOf(this.#flags, worker), WorkerFlag.turns)
      if (turns === this.#turns[worker]) moving = false
      this.#turns[worker] = turns
    }
    return moving
  }

  /** What was lost before and behind the workers since they started, a port a row. */
  kernelDrops(): PortDrops[] {
    return this.#kernelDrops().map((now, port) => {
      const before = this.#before[port]!.device
      const { received, sent } = now.device
      return { ...now, device: { received: received - before.received, sent: sent - before.sent } }
    })
  }

  /** Leaves the interfaces to the kernel and ends the threads. */
  async stop(): Promise<void> {
    this.#state = 'stopped'
    for (const program of this.#programs.splice(0)) program.close()
    this.#end()
    // Not by terminate(): a thread that is ended while it loads its bindings to the kernel takes the process with it.
    for (const { thread, isRunning } of this.#threads)
      if (!isRunning) thread.postMessage({ kind: 'end' } satisfies ToWorker)
    await Promise.all(this.#threads.map(({ ended }) => ended))
    for (const bell of this.#bells.splice(0)) bell.close()
    this.steering.close()
    this.#netlink.close()
  }

  #end(): void {
    for (const [worker, bell] of this.#bells.entries()) {
      Atomics.store(flagsOf(this.#flags, worker), WorkerFlag.running, 0)
      bell.signal()
    }
  }

  /** What all interfaces can: their sockets share one memory, and with it the mode of the one that registers it. */
  async #abilities(): Promise<Abilities> {
    const { multiBuffer: wanted = true } = this.#options
    const each: Abilities[] = []
    for (const index of this.#indices) each.push(await whileBusy(systemClock, () => abilitiesOf(index, wanted)))
    const multiBuffer = each.every((one) => one.multiBuffer)
    const links = multiBuffer ? [] : listLinks(this.#netlink).filter(({ index }) => this.#indices.includes(index))
    for (const { mtu } of links) checkSingleBufferMtu(mtu)
    return { copy: each.some(({ copy }) => copy), multiBuffer }
  }

  #setups(queues: readonly number[], abilities: Abilities): WorkerSetup[] {
    const { workers, ports, counters, qsbr, program, parameters, cores } = this.#options
    const { rings, chunks } = this.#options.frames ?? layFrames(workers, queues)
    const frames = createFrameMemory(
      chunks.reduce((sum, count) => sum + count, FIRST_CHUNK),
      firstPageIn,
    )
    const firsts = chunks.map((_, worker) => chunks.slice(0, worker).reduce((sum, count) => sum + count, FIRST_CHUNK))
    const dispatch = createDispatchMemory(workers)
    const relays = new SharedArrayBuffer(ports.length * workers * EXCHANGE_WORDS * 4)
    for (const memory of [dispatch, relays, counters.buffer, ...sharedIn(parameters)]) excludeFromFork(memory)
    for (let worker = 0; worker < workers; worker++) {
      this.#bells.push(new EventFd())
      flagsOf(this.#flags, worker)[WorkerFlag.running] = 1
    }
    const common = {
      ...{ workers, frames, dispatch, relays, counters, qsbr, flags: this.#flags, rings, ...abilities },
      bells: this.#bells.map(({ fd }) => fd),
      program: program.href,
      parameters,
      spin_us: this.#options.spin_us ?? (workers + 1 > allowedCores().length ? 0 : SPIN_us),
    }
    return Array.from({ length: workers }, (_, worker) => ({
      ...common,
      worker,
      chunks: { from: firsts[worker]!, to: firsts[worker]! + chunks[worker]! },
      ports: ports.map(({ interfaceName: name }, port) => ({
        name,
        interfaceIndex: this.#indices[port]!,
        queues: queuesOf(worker, workers, queues[port]!),
      })),
      core: cores?.[worker],
    }))
  }

  #startThread(setup: WorkerSetup): WorkerThread {
    const thread = new Thread(new URL('./worker-thread.ts', import.meta.url), { workerData: setup })
    const ended = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
    const state: WorkerThread = { thread, ended, answered: () => {}, isRunning: false }
    thread.on('message', (message: FromWorker) => {
      if (message.kind === 'program') this.#options.onMessage(setup.worker, message.message)
      else state.answered(message)
    })
    thread.on('error', (error) => this.#died(setup.worker, error as Error))
    thread.once('exit', () => this.#died(setup.worker, new Error('the thread ended by itself')))
    return state
  }

  #died(worker: number, error: Error): void {
    const state = this.#state
    if (state === 'stopped') return
    if (state === 'running') this.#state = 'stopped'
    this.#end()
    if (state === 'running') this.#options.onDeath({ worker, error })
    else this.#failed(error)
  }

  async #open(worker: number, registeredBy: number | undefined): Promise<readonly OpenedSocket[]> {
    const answer = this.#answer(worker, 'opened')
    this.#tell(worker, { kind: 'open', registeredBy })
    const { sockets } = await answer
    this.#threads[worker]!.isRunning = true
    return sockets
  }

  #answer<Kind extends FromWorker['kind']>(worker: number, kind: Kind): Promise<Extract<FromWorker, { kind: Kind }>> {
    const state = this.#threads[worker]!
    return new Promise((resolve) => {
      state.answered = (message) => {
        assert(message.kind === kind, `a worker said ${message.kind} instead of ${kind}`)
        resolve(message as Extract<FromWorker, { kind: Kind }>)
      }
    })
  }

  #tell(worker: number, message: ToWorker): void {
    this.#threads[worker]!.thread.postMessage(message)
  }

  #kernelDrops(): PortDrops[] {
    return this.#options.ports.map(({ interfaceName: name }, port) => {
      const sockets = this.#sockets.filter((socket) => socket.port === port).map(({ fd }) => statisticsOf(fd))
      const counters = countersOf(this.#netlink, this.#indices[port]!)
      return {
        name,
        received: sockets.reduce((sum, seen) => sum + seen.receiveDropped + seen.receiveRingFull, 0),
        invalid: sockets.reduce((sum, seen) => sum + seen.receiveInvalid + seen.sendInvalid, 0),
        device: { received: counters?.receiveDropped ?? 0, sent: counters?.sendDropped ?? 0 },
      }
    })
  }
}

function queueCount(netlink: Netlink, interfaceName: string): number {
  try {
    return Math.max(1, channels(interfaceName).receive)
  } catch (error) {
    if (!(error instanceof LinuxError) || error.code !== 'EOPNOTSUPP') throw error
    return listLinks(netlink).find(({ name }) => name === interfaceName)?.receiveQueues ?? 1
  }
}

/** Tried on a UMEM of one chunk: all sockets of the one that counts are as its first. */
function abilitiesOf(interfaceIndex: number, wanted: boolean): Abilities {
  const umem = new Umem(createFrameMemory(1).buffer, { chunkBytes: CHUNK_BYTES })
  const sizes = { receiveSize: 2, sendSize: 2, fillSize: 2, completionSize: 2 }
  const attempt = (multiBuffer: boolean): Abilities => {
    const socket = XdpSocket.open({ umem, interfaceIndex, queue: 0, multiBuffer, ...sizes })
    const copy = socket.mode === 'copy'
    socket.close()
    return { copy, multiBuffer }
  }
  return wanted ? withMultiBufferIfKnown(attempt) : attempt(false)
}

/** Shared memories among a program's parameters: tables that a forked child need not have. */
function sharedIn(parameters: unknown): SharedArrayBuffer[] {
  if (parameters instanceof SharedArrayBuffer) return [parameters]
  if (typeof parameters !== 'object' || parameters === null || ArrayBuffer.isView(parameters)) return []
  return Object.values(parameters).flatMap(sharedIn)
}
