import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { interfaceIndex } from '../linux/libc.ts'
import { firstPageIn } from '../linux/memory.ts'
import { withNamespace } from '../linux/namespace.ts'
import { PollSet } from '../linux/poll.ts'
import { ip, ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import { PacketSocket } from '../linux/socket.ts'
import { Steering, SteeringTables } from '../linux/steering.ts'
import { Umem, XdpSocket } from '../linux/xdp-socket.ts'
import { BATCH_MAX, Batch } from './batch.ts'
import { CHUNK_BYTES, createFrameMemory, FramePool, Frames } from './frames.ts'
import { copyIn } from './memory-port.ts'
import { numbered, type PortBench, portSuite } from './port-suite.ts'
import { POOL_RESERVE, XdpPort } from './xdp-port.ts'

const options = { skip: unprivileged }
const CHUNKS = 1024
const RING = 128
const MTU = 9216 - 14

interface Wired extends PortBench {
  readonly port: XdpPort
  readonly here: string
  readonly peer: PacketSocket
}

/** A port on one end of a wire of its own, and the kernel's packet socket on the other. */
function wired({ fillSize = 256, completionSize = RING } = {}): Wired {
  const net = new ScratchNetwork()
  const [here, there] = [net.namespace(), net.namespace()]
  net.wire({ namespace: here, name: 'port' }, { namespace: there, name: 'peer' }, { mtu: MTU })
  const memory = createFrameMemory(CHUNKS, firstPageIn)
  const frames = new Frames(memory)
  const pool = new FramePool(frames, 0, CHUNKS)
  const umem = new Umem(memory.buffer, { chunkBytes: CHUNK_BYTES })
  equal(umem.base, memory.base)
  const sizes = { receiveSize: RING, sendSize: RING, fillSize, completionSize }
  const socket = withNamespace(here, () =>
    XdpSocket.open({ umem, interfaceIndex: interfaceIndex('port'), queue: 0, multiBuffer: true, ...sizes }),
  )
  const port = new XdpPort('port', socket, frames, pool)
  const tables = new SteeringTables([])
  const steering = new Steering('customer', 1, tables)
  steering.setSocket(0, socket.fd)
  withNamespace(here, () => steering.attach(interfaceIndex('port')))
  const peer = withNamespace(there, () => new PacketSocket('peer'))
  return {
    ...{ port, frames, pool, capacity: RING, here, peer },
    feed: (frame) => ok(peer.send(frame)),
    drain() {
      const out: Uint8Array[] = []
      for (let next = peer.receive(); next; next = peer.receive()) out.push(Uint8Array.from(next.bytes))
      return out
    },
    close() {
      steering.close()
      tables.close()
      port.close()
      peer.close()
      net[Symbol.dispose]()
    },
  }
}

portSuite('XDP port', wired, options)

test('what finds no buffer or no place in the ring is counted by the kernel, and the port goes on', options, () => {
  const bench = wired()
  try {
    const { port, peer, pool } = bench
    const chunks = pool.free + port.holds
    for (let i = 0; i < RING + 40; i++) ok(peer.send(numbered(i)))
    deepEqual(port.kernelDrops(), { received: 40, invalid: 0 })
    const batch = new Batch()
    const takeAll = (): void => {
      for (let got = 0; got < RING; ) {
        port.receive(batch, 0, BATCH_MAX)
        port.flush()
        got += batch.count
        ok(batch.count > 0)
        for (; batch.count > 0; batch.count--) pool.give(batch.address[batch.count - 1]!)
      }
      equal(pool.free + port.holds, chunks)
    }
    takeAll()
    // The fill ring is kept filled: no frame of many more bursts is lost.
    for (let burst = 0; burst < 8; burst++) {
      for (let i = 0; i < RING; i++) ok(peer.send(numbered(i)))
      takeAll()
    }
    equal(port.kernelDrops().received, 40)
  } finally {
    bench.close()
  }
})

test('the fill ring leaves the pool a reserve', options, () => {
  const bench = wired({ fillSize: 1024 })
  try {
    equal(bench.pool.free, POOL_RESERVE)
  } finally {
    bench.close()
  }
})

test('what the kernel leaves in the ring is told, for nothing else tells when it would take it', options, () => {
  const bench = wired({ completionSize: 2 })
  try {
    const { port, frames, pool } = bench
    for (let i = 0; i < 64; i++) ok(port.send(copyIn(frames, pool, numbered(i)), 60, 60))
    port.flush()
    ok(port.unsent)
    for (let flushes = 0; port.unsent; flushes++) {
      ok(flushes < 64)
      port.flush()
    }
    deepEqual(
      bench.drain(),
      Array.from({ length: 64 }, (_, i) => numbered(i)),
    )
  } finally {
    bench.close()
  }
})

test(
  'a link that goes down and comes back is no error: frames are refused, kept, and none lost from the books',
  options,
  () => {
    const bench = wired()
    try {
      const { port, frames, pool, here } = bench
      const chunks = pool.free + port.holds
      ip('-n', here, 'link', 'set', 'port', 'down')
      let taken = 0
      for (let i = 0; i < RING * 2; i++) {
        const address = copyIn(frames, pool, numbered(i))
        if (port.send(address, 60, 60)) taken++
        else pool.give(address)
        port.flush()
      }
      equal(taken, RING)
      equal(pool.free + port.holds, chunks)
      equal(new PollSet(port.fds).wait(20), 0, 'a link that is down does not keep its worker awake')
      equal(port.unsent, false)
      ip('-n', here, 'link', 'set', 'port', 'up')
      const out: Uint8Array[] = []
      for (let turn = 0; turn < 10_000 && out.length < RING; turn++) {
        port.flush()
        out.push(...bench.drain().filter((frame) => frame[12] === 0x88 && frame[13] === 0xb5))
      }
      // The carrier of a veth comes back a moment after the link: what was sent in between is lost in the device.
      equal(pool.free + port.holds, chunks)
      equal(port.send(copyIn(frames, pool, numbered(1)), 60, 60), true)
    } finally {
      bench.close()
    }
  },
)

test('a device that is removed is no error either, and does not keep its worker awake', options, () => {
  const bench = wired()
  try {
    const { port, frames, pool, here } = bench
    const chunks = pool.free + port.holds
    ip('-n', here, 'link', 'delete', 'port')
    const batch = new Batch()
    let taken = 0
    for (let i = 0; i < RING * 2; i++) {
      const address = copyIn(frames, pool, numbered(i))
      if (port.send(address, 60, 60)) taken++
      else pool.give(address)
      port.flush()
      port.receive(batch, 0, BATCH_MAX)
    }
    equal(taken, RING)
    equal(batch.count, 0)
    equal(pool.free + port.holds, chunks)
    equal(new PollSet(port.fds).wait(20), 0)
    port.kernelDrops()
  } finally {
    bench.close()
  }
})
