/**
 * A worker thread, from its start to its end. The agent's side is `start.ts`; what passes between the two at the start:
 *
 *   agent                                worker
 *     --- WorkerSetup, with the thread --->      builds frames, pool and ledger, makes the program (which warms up)
 *     <-- made ---
 *     --- open (who registered the UMEM) -->     opens its sockets
 *     <-- opened (their descriptors) ---         runs
 *
 * An error here is nobody's to handle: it ends the thread, and the agent ends the process.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '../base/assert.ts'
import { systemClock } from '../base/clock.ts'
import { EventFd } from '../linux/poll.ts'
import { pinTo, setScheduling, WaitingTime } from '../linux/thread.ts'
import { Umem, XdpSocket } from '../linux/xdp-socket.ts'
import { Dispatcher } from './dispatch.ts'
import { FrameBorrower, FrameLender } from './exchange.ts'
import { CHUNK_BYTES, FramePool, Frames } from './frames.ts'
import { Ledger } from './ledger.ts'
import type { Port } from './port.ts'
import type { ProgramModule } from './program.ts'
import { QsbrReader } from './qsbr.ts'
import { QueuesPort } from './queues-port.ts'
import { RelayingPort, RelayPort } from './relay-port.ts'
import { Spin } from './spin.ts'
import { whileBusy } from './while-busy.ts'
import { Worker, wake } from './worker.ts'
import { type FromWorker, flagsOf, type OpenedSocket, type ToWorker, type WorkerSetup } from './worker-setup.ts'
import { XdpPort } from './xdp-port.ts'

/** Opens the sockets of one worker, and makes the ports that its program sees of them. */
class PortOpener {
  readonly sockets: OpenedSocket[] = []
  readonly #setup: WorkerSetup
  readonly #frames: Frames
  readonly #pool: FramePool
  readonly #umem: Umem
  readonly #wake: (worker: number) => void
  #registeredBy: number | undefined

  constructor(
    setup: WorkerSetup,
    frames: Frames,
    pool: FramePool,
    wake: (worker: number) => void,
    registeredBy: number | undefined,
  ) {
    this.#setup = setup
    this.#frames = frames
    this.#pool = pool
    this.#wake = wake
    this.#registeredBy = registeredBy
    this.#umem = new Umem(setup.frames.buffer, { chunkBytes: CHUNK_BYTES })
    assert(this.#umem.base === setup.frames.base, 'frame memory that is not aligned as the kernel wants it')
  }

  async open(port: number): Promise<Port> {
    const { relays, worker, workers, ports } = this.#setup
    const { name, queues } = ports[port]!
    if (queues.through !== undefined) {
      const lender = new FrameLender(relays, port * workers + worker, this.#frames, this.#pool)
      const owner = queues.through
      return new RelayPort(name, lender, () => this.#wake(owner))
    }
    const own: Port[] = []
    for (const queue of queues.own) own.push(await this.#queue(port, queue))
    const device = own.length === 1 ? own[0]! : new QueuesPort(own)
    if (queues.sendsFor.length === 0) return device
    const borrowers = queues.sendsFor.map(
      (other) => new FrameBorrower(relays, port * workers + other, this.#frames, this.#pool),
    )
    return new RelayingPort(device, borrowers)
  }

  async #queue(port: number, queue: number): Promise<Port> {
    const { ports, rings, copy, multiBuffer } = this.#setup
    const { name, interfaceIndex } = ports[port]!
    const registeredBy = this.#registeredBy
    const sharing = registeredBy === undefined ? { multiBuffer, copy } : { registeredBy }
    const options = { umem: this.#umem, interfaceIndex, queue, ...rings, ...sharing }
    const socket = await whileBusy(systemClock, () => XdpSocket.open(options))
    this.#registeredBy ??= socket.fd
    this.sockets.push({ port, queue, fd: socket.fd, mode: socket.mode })
    return new XdpPort(name, socket, this.#frames, this.#pool)
  }
}

async function main(setup: WorkerSetup): Promise<void> {
  const { worker, workers, ports: portSetups, core, spin_us } = setup
  assert(parentPort !== null, 'a worker is a thread of its own')
  const agent = parentPort
  const tell = (message: FromWorker): void => agent.postMessage(message)
  setScheduling('other') // an agent with deadlines runs under SCHED_RR, and threads inherit that
  if (core !== undefined) pinTo([core])

  const frames = new Frames(setup.frames)
  const pool = new FramePool(frames, setup.chunks.from, setup.chunks.to)
  const flags = setup.bells.map((_, other) => flagsOf(setup.flags, other))
  const bells = setup.bells.map((fd) => new EventFd(fd))
  const wakeOther = (other: number): void => wake(flags[other]!, bells[other]!)
  const ports: Port[] = []
  const ledger = new Ledger(setup.counters, worker, pool, ports)
  const { createProgram } = (await import(setup.program)) as ProgramModule
  const program = createProgram(
    {
      ...{ worker, workers, frames, pool, ledger, clock: systemClock },
      ports: portSetups.map(({ name }) => name),
      post: (message) => tell({ kind: 'program', message }),
    },
    setup.parameters,
  )

  const ordered = new Promise<ToWorker>((resolve) => agent.once('message', resolve))
  tell({ kind: 'made' })
  const order = await ordered
  if (order.kind === 'end') return agent.close()
  assert(order.kind === 'open', 'a worker opens its ports before it gets messages')
  const opener = new PortOpener(setup, frames, pool, wakeOther, order.registeredBy)
  for (let port = 0; port < portSetups.length; port++) ports.push(await opener.open(port))
  const dispatcher = workers > 1 ? new Dispatcher(setup.dispatch, worker, workers, frames, pool, wakeOther) : undefined
  agent.on('message', (message: ToWorker) => {
    if (message.kind === 'program') program.message(message.message)
  })
  tell({ kind: 'opened', sockets: opener.sockets })

  const qsbr = new QsbrReader(setup.qsbr, worker)
  const parts = { ports, program, ledger, qsbr, clock: systemClock, dispatcher }
  const waiting = new WaitingTime()
  await new Worker(parts).run(flags[worker]!, bells[worker]!, new Spin(spin_us, () => waiting.us))
  waiting.close()
  for (const port of ports) port.close()
  agent.close()
}

await main(workerData as WorkerSetup)
