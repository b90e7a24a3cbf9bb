import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep, setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { parseAddress } from '../base/address.ts'
import { restless } from '../linux/idle.ts'
import { enterNamespace, withNamespace } from '../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import { PacketSocket } from '../linux/socket.ts'
import { setScheduling } from '../linux/thread.ts'
import { ethernet, ipv4, text, udp, vxlan } from '../wire/build.ts'
import { layFrames } from './frame-layout.ts'
import { CounterReader, createCounterMemory, type Totals, unaccounted } from './ledger.ts'
import { createQsbrMemory } from './qsbr.ts'
import { queuesOf } from './queue-layout.ts'
import { type StartOptions, startWorkers, type Workers } from './start.ts'
import { EXIT_CODE, type ToProcess } from './test-process.ts'
import type { ChunksReport, TestMessage } from './test-program.ts'

const options = { skip: unprivileged }
const CHUNKS = 2048
const RINGS = { receiveSize: 512, sendSize: 512, fillSize: 512, completionSize: 512 }
const VTEP = parseAddress('192.0.2.1')!
const TIMEOUT_ms = 20_000

/** A packet of an inner flow; all flows are in one tunnel. */
function packet(flow: number, sequence: number): Uint8Array {
  return packetOf(text(`${flow} ${sequence} `), 1024 + flow)
}

function packetOf(payload: Uint8Array, sourcePort = 1024): Uint8Array {
  const inner = ipv4({}, udp({ sourcePort, destinationPort: 53 }, payload))
  const tunnel = udp({ sourcePort: 49152, destinationPort: 4789 }, vxlan({ vni: 7 }, ethernet({}, inner)))
  return ethernet({}, ipv4({ source: '192.0.2.9', destination: '192.0.2.1' }, tunnel))
}

function flowAndSequence(frame: Uint8Array): [number, number] {
  const [flow, sequence] = Buffer.from(frame.subarray(14 + 28 + 8 + 14 + 28))
    .toString()
    .split(' ')
    .map(Number)
  return [flow!, sequence!]
}

/** Workers behind one end of a wire, and a packet socket at the other. */
class Scene {
  readonly net = new ScratchNetwork()
  readonly peer: PacketSocket
  readonly counters: CounterReader
  readonly options: StartOptions
  workers: Workers | undefined
  #reports: ChunksReport[] = []

  constructor(workers: number, queues: number, { mtu = 1500, ...more }: Partial<StartOptions> & { mtu?: number } = {}) {
    const [here, there] = [this.net.namespace(), this.net.namespace()]
    this.net.wire({ namespace: here, name: 'port' }, { namespace: there, name: 'peer' }, { queues, mtu })
    this.peer = withNamespace(there, () => new PacketSocket('peer', { receiveBufferBytes: 64 << 20 }))
    const counters = createCounterMemory(workers, 4)
    this.counters = new CounterReader(counters)
    enterNamespace(here) // this thread and its workers live there; the next test enters another
    this.options = {
      ...{ workers, counters, qsbr: createQsbrMemory(workers) },
      frames: { rings: RINGS, chunks: new Array<number>(workers).fill(CHUNKS) },
      ports: [{ interfaceName: 'port', steering: 'node' }],
      program: new URL('./test-program.ts', import.meta.url),
      parameters: { out: 0 },
      tunnels: [{ protocol: 17, port: 4789 }],
      onMessage: (_, message) => void this.#reports.push(message as ChunksReport),
      onDeath: ({ error }) => {
        throw error
      },
      ...more,
    }
  }

  async start(): Promise<Workers> {
    this.workers = await startWorkers(this.options)
    this.workers.steering.setAddress(VTEP, 'tunnel')
    return this.workers
  }

  received(): Uint8Array[] {
    const frames: Uint8Array[] = []
    for (let next = this.peer.receive(); next; next = this.peer.receive()) frames.push(Uint8Array.from(next.bytes))
    return frames
  }

  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT_ms)
    while (!(await holds())) {
      ok(!signal.aborted, what)
      await yieldToEventLoop()
    }
  }

  /** Of all workers together. */
  async chunks(): Promise<number> {
    this.#reports = []
    for (let worker = 0; worker < this.options.workers; worker++) this.workers!.post(worker, 'chunks')
    await this.until('every worker answers', () => this.#reports.length === this.options.workers)
    return this.#reports.reduce((sum, { chunks }) => sum + chunks, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workers?.stop()
    this.peer.close()
    this.net[Symbol.dispose]()
  }
}

const FLOWS = 100
const IN_FLIGHT = 256

/** Sends `count` packets round the flows, never more than IN_FLIGHT at a time, and returns what came back. */
async function roundTrip(scene: Scene, count: number): Promise<Uint8Array[]> {
  const back: Uint8Array[] = []
  let sent = 0
  await scene.until('every packet comes back', () => {
    for (; sent < count && sent - back.length < IN_FLIGHT; sent++)
      ok(scene.peer.send(packet(sent % FLOWS, Math.floor(sent / FLOWS))))
    back.push(...scene.received())
    return back.length === count
  })
  return back
}

function isInOrder(frames: readonly Uint8Array[]): void {
  const next = new Array<number>(FLOWS).fill(0)
  for (const frame of frames) {
    const [flow, sequence] = flowAndSequence(frame)
    equal(sequence, next[flow]!++, `flow ${flow}`)
  }
}

const counted = ({ received, sent, takenOver, handedOver, drops }: Totals): object => ({
  ...{ received, sent, takenOver, handedOver, drops },
})

for (const queues of [1, 2, 4, 6])
  test(
    `four workers, ${queues} queues, one tunnel of ${FLOWS} flows: nothing lost, each flow in order`,
    options,
    async () => {
      const count = 6000
      await using scene = new Scene(4, queues)
      await scene.start()
      const frames = await roundTrip(scene, count)
      isInOrder(frames)
      const node = scene.counters.node()
      equal(node.received, count)
      equal(node.sent, count)
      deepEqual(node.drops, {})
      equal(unaccounted(node), 0)
      equal(node.handedOver, node.takenOver)
      // The device gives all of the one tunnel to one worker; by the inner flows each of the four has about a quarter.
      const shares = [0, 1, 2, 3].map((worker) => scene.counters.worker(worker).sent)
      ok(
        shares.every((share) => share > count / 10 && share < count / 2),
        `shares ${shares}`,
      )
      deepEqual(scene.workers!.kernelDrops(), [
        { name: 'port', received: 0, invalid: 0, device: { received: 0, sent: 0 } },
      ])
      await scene.until('all chunks are back', async () => (await scene.chunks()) === 4 * CHUNKS)
    },
  )

test('with the frames that the ports need as many go round, and all chunks are back', options, async () => {
  const { chunks, ...layout } = layFrames(3, [2])
  await using scene = new Scene(3, 2, { frames: { chunks, ...layout } })
  await scene.start()
  isInOrder(await roundTrip(scene, 3000))
  deepEqual(scene.counters.node().drops, {})
  const all = chunks.reduce((sum, count) => sum + count, 0)
  await scene.until('all chunks are back', async () => (await scene.chunks()) === all)
})

test('one worker needs no dispatcher', options, async () => {
  await using scene = new Scene(1, 1)
  const workers = await scene.start()
  isInOrder(await roundTrip(scene, 1000))
  const worker = { received: 1000, sent: 1000, takenOver: 0, handedOver: 0, drops: {} }
  deepEqual(counted(scene.counters.worker(0)), worker)
  deepEqual(workers.ports, [{ name: 'port', queues: 1, xdp: 'driver', socket: 'copy', multiBuffer: true }])
  equal(await scene.chunks(), CHUNKS)
})

test('jumbo frames change workers with their whole chain', options, async () => {
  await using scene = new Scene(4, 1, { mtu: 9000 })
  await scene.start()
  const big = ethernet(
    {},
    ipv4(
      { source: '192.0.2.9', destination: '192.0.2.1' },
      udp({ destinationPort: 4789 }, vxlan({ vni: 7 }, ethernet({}, ipv4({}, udp({}, new Uint8Array(8800).fill(7)))))),
    ),
  )
  for (let i = 0; i < 200; i++) {
    ok(scene.peer.send(big))
    await scene.until('it comes back', () => scene.received().some((frame) => Buffer.compare(frame, big) === 0))
  }
  await scene.until('all chunks are back', async () => (await scene.chunks()) === 4 * CHUNKS)
})

test('on a kernel without multi-buffer frames flow just so', options, async () => {
  await using scene = new Scene(2, 1, { multiBuffer: false, mtu: 3498 })
  const workers = await scene.start()
  deepEqual(workers.ports, [{ name: 'port', queues: 1, xdp: 'driver', socket: 'copy', multiBuffer: false }])
  isInOrder(await roundTrip(scene, 1000))
  const large = packetOf(new Uint8Array(3400))
  ok(scene.peer.send(large))
  await scene.until('a large one too', () => scene.received().some((frame) => Buffer.compare(frame, large) === 0))
})

test('on a kernel without multi-buffer a large MTU is refused with a sentence', options, async () => {
  await using scene = new Scene(1, 1, { multiBuffer: false, mtu: 9000 })
  await rejects(scene.start(), { code: 'ERANGE', message: /without multi-buffer .*Linux 6\.6.* at most 3498/ })
})

test('more ports than a batch can number are our own mistake', options, async () => {
  await using scene = new Scene(1, 1)
  const ports = new Array<StartOptions['ports'][0]>(257).fill(scene.options.ports[0]!)
  await rejects(startWorkers({ ...scene.options, ports }), /at most 256 ports/)
})

test('a start that fails says why, and leaves nothing behind', options, async () => {
  await using scene = new Scene(2, 1, { program: new URL('./no-such-program.ts', import.meta.url) })
  await rejects(scene.start(), /no-such-program/)
  await using second = new Scene(2, 1)
  const port = ip('link', 'show', 'port')
  ok(!port.includes('xdp'), port)
  await second.start()
})

test('a stop leaves the interface to the kernel, and workers can start again', options, async () => {
  await using scene = new Scene(2, 2)
  const workers = await scene.start()
  match(ip('link', 'show', 'port'), /xdp/)
  await workers.stop()
  await scene.until('the program is gone', () => !ip('link', 'show', 'port').includes('xdp'))
  await (await scene.start()).stop()
  await scene.start() // at once, while the kernel still cleans up
  equal((await roundTrip(scene, 500)).length, 500)
})

test('workers do not inherit the scheduling of an agent that has deadlines', options, async () => {
  const tasks = (): string[] => readdirSync('/proc/self/task')
  const policyOf = (task: string): string =>
    readFileSync(`/proc/self/task/${task}/stat`, 'utf8').split(') ')[1]!.split(' ')[38]! // proc(5), field 41
  await using scene = new Scene(2, 1)
  const before = tasks()
  setScheduling('round-robin')
  try {
    await scene.start()
    const started = tasks().filter((task) => !before.includes(task))
    ok(started.length >= 2)
    deepEqual(new Set(started.map(policyOf)), new Set(['0']))
  } finally {
    setScheduling('other')
  }
})

test('a worker that stands still is told from one that sleeps', options, async () => {
  await using scene = new Scene(2, 1)
  const workers = await scene.start()
  const looks = async (): Promise<boolean[]> => {
    const seen: boolean[] = []
    for (let i = 0; i < 4; i++) {
      await sleep(300)
      seen.push(workers.areMoving())
    }
    return seen
  }
  deepEqual(new Set(await looks()), new Set([true]))
  workers.post(1, 'stand still')
  ok((await looks()).slice(1).includes(false))
  // Not asked too often: between two looks in quick succession one that sleeps has not moved either.
  let isBack = false
  for (let i = 0; i < 15 && !isBack; i++) isBack = (await looks()).at(-1)!
  ok(isBack, 'it comes round again')
})

test('queues are dealt out to the workers, and workers without one send through another', () => {
  const lay = (workers: number, queues: number): string[] =>
    Array.from({ length: workers }, (_, worker) => {
      const { own, through, sendsFor } = queuesOf(worker, workers, queues)
      return `${own}${through === undefined ? '' : `>${through}`}${sendsFor.length ? `<${sendsFor}` : ''}`
    })
  deepEqual(lay(1, 1), ['0'])
  deepEqual(lay(3, 5), ['0,3', '1,4', '2'])
  deepEqual(lay(4, 1), ['0<1,2,3', '>0', '>0', '>0'])
  deepEqual(lay(5, 2), ['0<2,4', '1<3', '>0', '>1', '>0'])
})

/** Workers in a process of their own, which runs when this returns. */
async function ownProcess(net: ScratchNetwork, workers: number) {
  const [namespace, there] = [net.namespace(), net.namespace()]
  net.wire({ namespace, name: 'port' }, { namespace: there, name: 'peer' })
  const peer = withNamespace(there, () => new PacketSocket('peer'))
  const child = fork(new URL('./test-process.ts', import.meta.url), [namespace, `${workers}`], { silent: true })
  const said = child.stderr!.toArray().then((parts) => Buffer.concat(parts).toString())
  const exit = once(child, 'exit', { signal: AbortSignal.timeout(TIMEOUT_ms) })
  const early = exit.then(async () => Promise.reject(new Error(`it ended early: ${await said}`)))
  await Promise.race([once(child, 'message'), early])
  early.catch(() => {})
  const tell = (worker: number, message: TestMessage): boolean => child.send({ worker, message } satisfies ToProcess)
  return {
    ...{ child, namespace, peer, said, exit, tell },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exit
      peer.close()
    },
  }
}

const hasProgram = (namespace: string): boolean => ip('-n', namespace, 'link', 'show', 'port').includes('xdp')

async function isFreed(namespace: string): Promise<void> {
  // The kernel drops the last reference from a work queue, shortly after the process.
  for (let tries = 0; tries < 200 && hasProgram(namespace); tries++) await yieldToEventLoop()
  equal(hasProgram(namespace), false)
}

const WRONGS: readonly (readonly [message: TestMessage, reason: RegExp])[] = [
  ['throw', /^worker 2 died: worker 2 of port was told to throw/],
  ['lose a chunk', /^worker 2 died: a worker had 4096 chunks and now has 4095/],
]

for (const [message, reason] of WRONGS)
  test(`a worker that is told to ${message} takes the process down at once, and says why`, options, async () => {
    using net = new ScratchNetwork()
    await using node = await ownProcess(net, 4)
    const before_ms = performance.now()
    node.tell(2, message)
    deepEqual(await node.exit, [EXIT_CODE, null])
    const took_ms = performance.now() - before_ms
    ok(took_ms < 2000, `${took_ms} ms`)
    match(await node.said, reason)
    await isFreed(node.namespace)
  })

test('a worker whose books do not balance takes the process down', options, async () => {
  using net = new ScratchNetwork()
  await using node = await ownProcess(net, 1)
  node.tell(0, 'lose a frame')
  let isOver = false
  void node.exit.then(() => {
    isOver = true
  })
  while (!isOver) {
    node.peer.send(packet(1, 1))
    await yieldToEventLoop()
  }
  match(await node.said, /^worker 0 died: a worker's books do not balance: \d+ frames in, \d+ out/)
})

test('kill -9 leaves no program on the device', options, async () => {
  using net = new ScratchNetwork()
  await using node = await ownProcess(net, 2)
  ok(hasProgram(node.namespace))
  node.child.kill('SIGKILL')
  await node.exit
  await isFreed(node.namespace)
})

test('an idle process of four workers sleeps', options, async () => {
  using net = new ScratchNetwork()
  await using node = await ownProcess(net, 4)
  for (let worker = 0; worker < 4; worker++) node.tell(worker, 'chunks')
  equal(await restless(node.child.pid!, 50), undefined)
})

test('a device that is down keeps no worker awake, and what it cannot take is counted', options, async () => {
  await using scene = new Scene(2, 1, {
    ports: ['port', 'out'].map((interfaceName) => ({ interfaceName, steering: 'node' })),
    parameters: { out: 1 },
  })
  ip('link', 'add', 'out', 'numrxqueues', '1', 'numtxqueues', '1', 'type', 'veth', 'peer', 'name', 'far')
  for (const end of ['out', 'far']) ip('link', 'set', end, 'up')
  await scene.start()
  ip('link', 'set', 'out', 'down')
  let sent = 0
  const dropped = (worker: number): number => scene.counters.worker(worker).drops['port-full'] ?? 0
  await scene.until('both workers have met the full ring', () => {
    for (let i = 0; i < 64; i++) ok(scene.peer.send(packet(sent++ % FLOWS, 0)))
    return dropped(0) > 0 && dropped(1) > 0
  })
  await scene.until('all have come in', () => scene.counters.node().received === sent)
  equal(await restless(process.pid, 50), undefined)
  equal(unaccounted(scene.counters.node()), 0)
})
