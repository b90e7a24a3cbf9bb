import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../base/random.ts'
import { BATCH_MAX, Batch, FORWARD, MOVED } from './batch.ts'
import { createDispatchMemory, Dispatcher } from './dispatch.ts'
import { Drop } from './drop.ts'
import { EXCHANGE_WORDS, FrameBorrower, FrameLender } from './exchange.ts'
import { createFrameMemory, FramePool, Frames, NO_FRAME } from './frames.ts'
import { copyIn, copyOut, headBytes, MemoryPort } from './memory-port.ts'
import { numbered } from './port-suite.ts'
import { RelayingPort, RelayPort } from './relay-port.ts'

const CHUNKS = 2048
const RING_FRAMES = 512

interface Side {
  readonly frames: Frames
  readonly pool: FramePool
  readonly dispatcher: Dispatcher
  readonly batch: Batch
}

/** Workers of one thread, which a test lets run in any order. */
function workers(count: number): { sides: Side[]; woken: number[] } {
  const shared = createFrameMemory(1 + count * CHUNKS)
  const memory = createDispatchMemory(count)
  const woken: number[] = []
  const sides = Array.from({ length: count }, (_, worker) => {
    const frames = new Frames(shared)
    const pool = new FramePool(frames, 1 + worker * CHUNKS, 1 + (worker + 1) * CHUNKS)
    const dispatcher = new Dispatcher(memory, worker, count, frames, pool, (other) => void woken.push(other))
    return { frames, pool, dispatcher, batch: new Batch() }
  })
  return { sides, woken }
}

function put({ frames, pool, batch }: Side, flow: number, frame: Uint8Array): boolean {
  const address = copyIn(frames, pool, frame)
  if (address === NO_FRAME) return false
  const row = batch.push(0, address, headBytes(frame.length), frame.length)
  batch.hash[row] = flow * 0x9e3779b1
  return true
}

function giveBack({ pool, batch }: Side): void {
  for (let row = 0; row < batch.count; row++)
    if (batch.verdict[row] !== MOVED) pool.giveChain(batch.address[row]!, batch.length[row]!, batch.total[row]!)
  batch.count = 0
}

const chunksOf = ({ pool, dispatcher }: Side): number => pool.free + dispatcher.balance

test('each flow meets one worker, in order, whatever the workers’ turns; nothing is lost and all chunks come back', () => {
  const FLOWS = 50
  const FRAMES = 20_000
  const { sides } = workers(4)
  const random = new Random(5)
  const owner = new Map<number, number>()
  const next = new Array<number>(FLOWS).fill(0)
  let sent = 0
  let seen = 0
  const turn = (worker: number): void => {
    const side = sides[worker]!
    const { batch, dispatcher, frames } = side
    dispatcher.receive(batch)
    const takenOver = batch.count
    // Worker 0 has the only queue.
    if (worker === 0)
      for (let i = random.below(40); i > 0 && sent - seen < 400 && sent < FRAMES; i--) {
        const flow = random.below(FLOWS)
        const frame = numbered(0, random.chance(0.05) ? 9000 : 60)
        new DataView(frame.buffer).setUint32(20, flow)
        new DataView(frame.buffer).setUint32(24, next[flow]!++)
        if (put(side, flow, frame)) sent++
      }
    dispatcher.spread(batch, takenOver)
    for (let row = 0; row < batch.count; row++) {
      if (batch.verdict[row] === MOVED) continue
      equal(batch.verdict[row], FORWARD)
      const bytes = copyOut(frames, batch.address[row]!, batch.length[row]!, batch.total[row]!)
      const view = new DataView(bytes.buffer)
      const flow = view.getUint32(20)
      equal(owner.get(flow) ?? worker, worker)
      owner.set(flow, worker)
      equal(view.getUint32(24), inOrder[flow]!++)
      seen++
    }
    giveBack(side)
    equal(chunksOf(side), CHUNKS)
  }
  const inOrder = new Array<number>(FLOWS).fill(0)
  while (seen < FRAMES) turn(random.below(4))
  for (let i = 0; i < 8; i++) turn(i % 4)
  deepEqual(
    sides.map(({ pool }) => pool.free),
    [CHUNKS, CHUNKS, CHUNKS, CHUNKS],
  )
  equal(new Set(owner.values()).size, 4)
})

test('a full ring drops under its reason, keeps the frame’s chunks, and goes on when there is room', () => {
  const { sides, woken } = workers(2)
  const [here, there] = sides as [Side, Side]
  const flow = [1, 2, 3, 4, 5, 6, 7, 8].find((candidate) => {
    put(here, candidate, numbered(0))
    here.dispatcher.spread(here.batch, 0)
    const isMoved = here.batch.verdict[0] === MOVED
    giveBack(here)
    return isMoved
  })!
  let moved = 1
  let full = 0
  for (let batch = 0; batch < 10; batch++) {
    for (let i = 0; i < BATCH_MAX; i++) ok(put(here, flow, numbered(0)))
    here.dispatcher.spread(here.batch, 0)
    for (let row = 0; row < BATCH_MAX; row++) {
      if (here.batch.verdict[row] === MOVED) moved++
      else if (here.batch.verdict[row] === Drop['dispatch-full']) full++
    }
    giveBack(here)
  }
  deepEqual([moved, full], [RING_FRAMES, 10 * BATCH_MAX + 1 - RING_FRAMES])
  equal(chunksOf(here), CHUNKS)
  ok(there.dispatcher.pending())
  deepEqual(new Set(woken), new Set([1]))

  there.dispatcher.receive(there.batch)
  ok(there.batch.count < BATCH_MAX, 'there is room left for its own ports')
  giveBack(there)
  ok(put(here, flow, numbered(0)))
  here.dispatcher.spread(here.batch, 0)
  equal(here.batch.verdict[0], MOVED)
  giveBack(here)
})

test('a worker that cannot pay a chunk back pays it later', () => {
  const shared = createFrameMemory(1 + 2 * 64)
  const memory = new SharedArrayBuffer(EXCHANGE_WORDS * 4)
  const frames = new Frames(shared)
  const mine = new FramePool(frames, 1, 65)
  const other = new FramePool(frames, 65, 129)
  const lender = new FrameLender(memory, 0, frames, mine)
  const borrower = new FrameBorrower(memory, 0, frames, other)
  const address = copyIn(frames, mine, numbered(1, 9000))
  ok(lender.lend(address, headBytes(9000), 9000, 5))
  equal(borrower.look(), false, 'not before it is published')
  ok(lender.publish())
  equal(lender.publish(), false)
  equal(lender.lent, 3)

  const all: number[] = []
  for (let chunk = other.take(); chunk !== NO_FRAME; chunk = other.take()) all.push(chunk)
  ok(borrower.look())
  deepEqual([borrower.port, borrower.length, borrower.total], [5, 3840, 9000])
  borrower.take()
  borrower.settle()
  equal(borrower.owed, 3)
  for (const chunk of all.splice(0, 2)) other.give(chunk)
  borrower.settle()
  equal(borrower.owed, 1)
  lender.collect()
  equal(lender.lent, 1)
  other.giveChain(borrower.address, borrower.length, borrower.total)
  borrower.settle()
  lender.collect()
  deepEqual([borrower.owed, lender.lent, mine.free], [0, 0, 64])
})

test('a worker without a queue sends through one that has; what does not fit at once waits in order', () => {
  const shared = createFrameMemory(1 + 2 * 64)
  const memory = new SharedArrayBuffer(EXCHANGE_WORDS * 4)
  const frames = new Frames(shared)
  const mine = new FramePool(frames, 1, 65)
  const other = new FramePool(frames, 65, 129)
  let woken = 0
  const relay = new RelayPort('port', new FrameLender(memory, 0, frames, mine), () => woken++)
  const device = new MemoryPort('port', frames, other, 4)
  const relaying = new RelayingPort(device, [new FrameBorrower(memory, 0, frames, other)])
  const sent = [0, 1, 2, 3, 4, 5].map((i) => numbered(i, i === 2 ? 9000 : 60))
  for (const frame of sent) {
    const address = copyIn(frames, mine, frame)
    ok(relay.send(address, headBytes(frame.length), frame.length))
  }
  relay.flush()
  equal(woken, 1)
  equal(mine.free + relay.holds, 64)
  ok(relaying.pending)
  relaying.flush()
  deepEqual(device.sent(), sent.slice(0, 4))
  equal(other.free + relaying.holds, 64)
  ok(relaying.pending)
  relaying.flush()
  deepEqual(device.sent(), sent.slice(4))
  equal(relaying.pending, false)
  relay.flush()
  deepEqual([mine.free, relay.holds, other.free, relaying.holds], [64, 0, 64, 0])
})

test('a worker that sends for others is not kept awake by a device that takes nothing, and they count what they lose', () => {
  const shared = createFrameMemory(1 + 2 * 1024)
  const memory = new SharedArrayBuffer(EXCHANGE_WORDS * 4)
  const frames = new Frames(shared)
  const [mine, other] = [new FramePool(frames, 1, 1025), new FramePool(frames, 1025, 2049)]
  const relay = new RelayPort('port', new FrameLender(memory, 0, frames, mine), () => {})
  const device = new MemoryPort('port', frames, other, 4)
  let isDown = true
  const send = device.send.bind(device)
  device.send = (address, length, total) => !isDown && send(address, length, total)
  const relaying = new RelayingPort(device, [new FrameBorrower(memory, 0, frames, other)])
  let taken = 0
  for (let i = 0; i < 600; i++) {
    const address = copyIn(frames, mine, numbered(i))
    if (relay.send(address, 60, 60)) taken++
    else mine.give(address)
    relay.flush()
    relaying.flush()
    equal(relaying.pending, false)
  }
  ok(taken < 600, 'what the exchange cannot hold is refused')
  isDown = false
  relaying.flush()
  ok(relaying.pending)
  for (let rest = taken; rest > 0; rest -= 4) relaying.flush()
  equal(relaying.pending, false)
  deepEqual(
    device.sent(),
    Array.from({ length: taken }, (_, i) => numbered(i)),
  )
})
