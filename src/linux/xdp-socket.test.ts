import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { LinuxError } from './error.ts'
import { interfaceIndex } from './libc.ts'
import { withNamespace } from './namespace.ts'
import { POLLIN, PollSet } from './poll.ts'
import { ip, ScratchNetwork, unprivileged } from './scratch.ts'
import { PacketSocket } from './socket.ts'
import { Steering, SteeringTables } from './steering.ts'
import { XDP_PKT_CONTD } from './xdp-ring.ts'
import { Umem, withMultiBufferIfKnown, XdpSocket } from './xdp-socket.ts'

const options = { skip: unprivileged }
const CHUNKS = 256
const CHUNK_BYTES = 2048
const sizes = { receiveSize: 128, sendSize: 1024, fillSize: 128, completionSize: 1024 }

/**
 * An AF_XDP socket that takes every frame of `port` in a namespace of its own, wired to the kernel's `peer` in another.
 */
class Port {
  readonly net = new ScratchNetwork()
  readonly here = this.net.namespace()
  readonly there = this.net.namespace()
  readonly umem = new Umem(new SharedArrayBuffer((CHUNKS + 4) * CHUNK_BYTES), { chunkBytes: CHUNK_BYTES })
  readonly bytes = new Uint8Array(this.umem.memory, this.umem.base, this.umem.bytes)
  readonly socket: XdpSocket
  readonly steering: Steering
  readonly tables = new SteeringTables([])
  readonly readable: PollSet
  readonly peer: PacketSocket
  readonly addresses = new Uint32Array(CHUNKS)
  readonly lengths = new Uint32Array(CHUNKS)
  readonly options = new Uint32Array(CHUNKS)

  constructor(mtu = 1500) {
    const a = { namespace: this.here, name: 'port' }
    const b = { namespace: this.there, name: 'peer', addresses: ['10.9.0.2/24'] }
    this.net.wire(a, b, { mtu })
    ip('-n', this.there, 'neighbour', 'add', '10.9.0.1', 'lladdr', '02:00:00:00:00:01', 'dev', 'peer')
    this.socket = withNamespace(this.here, () =>
      XdpSocket.open({
        umem: this.umem,
        interfaceIndex: interfaceIndex('port'),
        queue: 0,
        multiBuffer: true,
        ...sizes,
      }),
    )
    this.steering = new Steering('customer', 1, this.tables)
    this.steering.setSocket(0, this.socket.fd)
    withNamespace(this.here, () => this.steering.attach(interfaceIndex('port')))
    const chunks = Uint32Array.from({ length: CHUNKS }, (_, i) => i * CHUNK_BYTES)
    assert.equal(this.socket.fill(chunks, 0, CHUNKS), sizes.fillSize)
    this.readable = new PollSet([this.socket.fd])
    this.peer = withNamespace(this.there, () => new PacketSocket('peer'))
  }

  /** The descriptors of the next whole frame. */
  receive(): number {
    let count = 0
    while (count === 0 || this.options[count - 1] === XDP_PKT_CONTD) {
      if (this.socket.rx.available() === 0) assert.ok(this.readable.wait(2000) > 0, 'no frame in two seconds')
      count += this.socket.receive(this.addresses, this.lengths, this.options, count, 1)
    }
    return count
  }

  send(count: number): void {
    assert.equal(this.socket.send(this.addresses, this.lengths, this.options, 0, count), count)
    assert.ok(this.socket.needsKick())
    assert.equal(this.socket.kick(), 0)
  }

  [Symbol.dispose](): void {
    this.peer.close()
    this.steering.close()
    this.tables.close()
    this.socket.close()
    this.net[Symbol.dispose]()
  }
}

const frameOf = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i < 12 ? 2 : i === 12 ? 0x88 : i === 13 ? 0xb5 : i * 7))

for (const [length, mtu] of [
  [60, 1500],
  [1514, 1500],
  [9014, 9000],
] as const) {
  test(`a frame of ${length} bytes comes in, goes out again, and its chunks come back`, options, () => {
    using port = new Port(mtu)
    const frame = frameOf(length)
    assert.ok(port.peer.send(frame))
    const count = port.receive()
    const parts = Array.from({ length: count }, (_, i) =>
      port.bytes.slice(port.addresses[i]!, port.addresses[i]! + port.lengths[i]!),
    )
    assert.deepEqual(Buffer.concat(parts), Buffer.from(frame))
    assert.equal(count, Math.ceil(length / (CHUNK_BYTES - 256)))

    port.send(count)
    const answer = new PollSet([port.peer.fd], POLLIN)
    assert.ok(answer.wait(2000) > 0)
    assert.deepEqual(Buffer.from(port.peer.receive()!.bytes), Buffer.from(frame))
    const back = new Uint32Array(CHUNKS)
    assert.equal(port.socket.complete(back, 0, CHUNKS), count)
    assert.deepEqual(back.subarray(0, count), port.addresses.subarray(0, count))
    const { sendRingEmpty, ...lost } = port.socket.statistics()
    assert.deepEqual(Object.values(lost), [0, 0, 0, 0, 0])
  })
}

test('more frames than one system call moves all leave in one kick', options, () => {
  using port = new Port()
  for (let sent = 0; sent < sizes.sendSize; sent += CHUNKS) {
    for (let i = 0; i < CHUNKS; i++) {
      port.addresses[i] = (sizes.fillSize + (i % 64)) * CHUNK_BYTES
      port.lengths[i] = 60
      port.bytes.set(frameOf(60), port.addresses[i])
    }
    assert.equal(port.socket.send(port.addresses, port.lengths, port.options, 0, CHUNKS), CHUNKS)
  }
  assert.equal(port.socket.send(port.addresses, port.lengths, port.options, 0, 1), 0)
  assert.equal(port.socket.kick(), 0)
  assert.equal(port.socket.complete(new Uint32Array(sizes.sendSize), 0, sizes.sendSize), sizes.sendSize)
  assert.equal(port.socket.tx.free(), sizes.sendSize)
  assert.equal(port.socket.needsKick(), false)
})

test("the kernel's own jumbo ping is answered across an AF_XDP port", options, async () => {
  using port = new Port(9000)
  // ping() blocks its thread, so it runs in a worker.
  const program = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(workerData.module).then(({ ping }) => parentPort.postMessage(ping(workerData.namespace, '10.9.0.1', 8000)))`
  const workerData = { module: `${import.meta.dirname}/scratch.ts`, namespace: port.there }
  const worker = new Worker(program, { eval: true, workerData })
  const answered = once(worker, 'message')
  for (let seen = false; !seen; ) {
    if (port.socket.rx.available() === 0) {
      await new Promise(setImmediate)
      continue
    }
    const count = port.receive()
    const head = port.bytes.subarray(port.addresses[0]!, port.addresses[0]! + port.lengths[0]!)
    seen = head[12] === 8 && head[13] === 0 && head[23] === 1
    if (!seen) continue
    head.copyWithin(0, 6, 12)
    const [source, destination] = [head.slice(26, 30), head.slice(30, 34)]
    head.set(destination, 26)
    head.set(source, 30)
    head[34] = 0
    head[36]! += 8 // the checksum, for a type of 8 became 0
    port.send(count)
  }
  assert.deepEqual(await answered, [true])
  await worker.terminate()
})

test('a UMEM that one worker registered serves a socket of another', options, async () => {
  using net = new ScratchNetwork()
  const namespace = net.namespace()
  net.wire({ namespace, name: 'left' }, { namespace, name: 'right' })
  const memory = new SharedArrayBuffer(64 * CHUNK_BYTES)
  const start = async (name: string, registeredBy?: number) => {
    const worker = new Worker(new URL('./xdp-socket.test-worker.ts', import.meta.url), {
      workerData: { namespace, name, memory, registeredBy },
    })
    const [fd] = await once(worker, 'message')
    return { worker, fd: fd as number }
  }
  const left = await start('left')
  const right = await start('right', left.fd)
  try {
    for (const [from, to] of [
      [left, right],
      [right, left],
    ] as const) {
      const arrived = once(to.worker, 'message')
      from.worker.postMessage('send')
      const [{ address, length, mode }] = await arrived
      const { base } = new Umem(memory, { chunkBytes: CHUNK_BYTES })
      assert.equal(mode, 'copy')
      assert.deepEqual(new Uint8Array(memory, base + address, length).slice(), frameOf(60))
    }
  } finally {
    await Promise.all([left, right].map(({ worker }) => worker.terminate()))
  }
})

test('what the kernel refuses is a sentence', options, () => {
  using net = new ScratchNetwork()
  const namespace = net.namespace()
  net.wire({ namespace, name: 'left' }, { namespace, name: 'right' })
  const umem = new Umem(new SharedArrayBuffer(8 * 4096), { chunkBytes: 4096 })
  withNamespace(namespace, () => {
    assert.throws(() => interfaceIndex('middle'), {
      message: 'if_nametoindex: ENODEV: there is no interface middle here',
    })
    const wanted = { umem, interfaceIndex: interfaceIndex('left'), queue: 7, ...sizes }
    assert.throws(() => XdpSocket.open(wanted), { call: 'bind(AF_XDP)', code: 'EINVAL', message: /has no queue 7/ })
    const first = XdpSocket.open({ ...wanted, queue: 0 })
    const second = { ...wanted, queue: 0, registeredBy: undefined }
    assert.throws(() => XdpSocket.open(second), { code: 'EBUSY', message: /has an AF_XDP socket already/ })
    first.close()
  })
})

test('a closed socket receives nothing and has no room', options, () => {
  using port = new Port()
  port.peer.send(frameOf(60))
  port.socket.close()
  assert.equal(port.socket.receive(port.addresses, port.lengths, port.options, 0, 1), 0)
  assert.equal(port.socket.send(port.addresses, port.lengths, port.options, 0, 1), 0)
  assert.equal(port.socket.fill(port.addresses, 0, 1), 0)
  assert.equal(port.socket.complete(port.addresses, 0, 1), 0)
  assert.equal(port.socket.kick(), 0)
})

test('a kernel that does not know multi-buffer is asked again without it, and only then', () => {
  const refusing = (code: string) => (multiBuffer: boolean) => {
    if (multiBuffer) throw new LinuxError('bind(AF_XDP)', LinuxError.numberOf(code))
    return multiBuffer
  }
  assert.equal(withMultiBufferIfKnown(refusing('EINVAL')), false)
  assert.equal(
    withMultiBufferIfKnown((multiBuffer) => multiBuffer),
    true,
  )
  assert.throws(() => withMultiBufferIfKnown(refusing('EBUSY')), { code: 'EBUSY' })
})
