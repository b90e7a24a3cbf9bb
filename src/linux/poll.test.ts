import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { parseAddress } from '../base/address.ts'
import { libc } from './libc.ts'
import { EventFd, POLLIN, PollSet, watch } from './poll.ts'
import { UdpSocket } from './socket.ts'
import { sockaddr } from './socket-address.ts'

const here = parseAddress('127.0.0.1')!

test('a poll set says which descriptors are ready, and when the time is over', () => {
  const [quiet, rung] = [new EventFd(), new EventFd()]
  const set = new PollSet([quiet.fd, rung.fd])
  assert.equal(set.wait(0), 0)
  rung.signal()
  assert.equal(set.wait(1000), 1)
  assert.deepEqual([set.ready(0), set.ready(1)], [0, POLLIN])
  assert.deepEqual([rung.drain(), rung.drain()], [true, false])
  assert.equal(set.wait(0), 0)
  quiet.close()
  rung.close()
})

test('a bell that another thread rings ends a wait', () => {
  const bell = new EventFd()
  const ring = `import('${import.meta.dirname}/poll.ts').then(({ EventFd }) => new EventFd(${bell.fd}).signal())`
  const worker = new Worker(ring, { eval: true })
  assert.equal(new PollSet([bell.fd]).wait(10_000), 1)
  worker.once('exit', () => bell.close())
})

test('a watched socket runs its reader in the event loop, promises included, until it is stopped', async () => {
  const socket = new UdpSocket({ address: here, port: 0 })
  const sender = new UdpSocket({ address: here, port: 0 })
  const to = { address: here, port: socket.localPort() }
  const seen: number[] = []
  let arrived = (): void => {}
  const watching = watch(socket.fd, async () => {
    const datagram = socket.receive()
    await null
    seen.push(datagram!.bytes[0]!)
    arrived()
  })
  for (const byte of [1, 2, 3]) {
    const next = new Promise<void>((resolve) => {
      arrived = resolve
    })
    sender.send(Uint8Array.of(byte), to)
    await next
  }
  assert.deepEqual(seen, [1, 2, 3])
  watching.stop()
  watching.stop()
  sender.send(Uint8Array.of(4), to)
  assert.ok(new PollSet([socket.fd]).wait(1000) > 0)
  await new Promise(setImmediate)
  assert.deepEqual(seen, [1, 2, 3])
  socket.close()
  sender.close()
})

test('room to write is told only while it is wanted', async () => {
  const socket = new UdpSocket({ address: here, port: 0 })
  const calls: [boolean, boolean][] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const watching = watch(
    socket.fd,
    (readable, writable) => {
      calls.push([readable, writable])
      if (readable) return resolve()
      watching.want(true, false)
      socket.send(Uint8Array.of(1), { address: here, port: socket.localPort() })
    },
    { readable: false, writable: true },
  )
  await promise
  assert.deepEqual(calls, [
    [false, true],
    [true, false],
  ])
  watching.stop()
  socket.close()
})

test('a watch outlives an error of its descriptor', async () => {
  const socket = new UdpSocket({ address: here, port: 0 })
  const gone = new UdpSocket({ address: here, port: 0 })
  const port = gone.localPort()
  const to = sockaddr({ address: here, port })
  libc.connect(socket.fd, to, to.length)
  gone.close()
  socket.send(Uint8Array.of(1), { address: here, port }) // is answered by ICMP port unreachable: ECONNREFUSED
  let called = Promise.withResolvers<number | undefined>()
  const watching = watch(socket.fd, () => called.resolve(socket.receive()?.bytes[0]))
  assert.equal(await called.promise, undefined)
  called = Promise.withResolvers()
  const back = new UdpSocket({ address: here, port })
  back.send(Uint8Array.of(2), { address: here, port: socket.localPort() })
  assert.equal(await called.promise, 2)
  watching.stop()
  socket.close()
  back.close()
})

test('fifty watched sockets that hear nothing cost no processor time', async () => {
  const sockets = Array.from({ length: 50 }, () => new UdpSocket({ address: here, port: 0 }))
  const watches = sockets.map(({ fd }) => watch(fd, () => {}))
  await new Promise(setImmediate)
  const IDLE_MS = 400
  const before = process.threadCpuUsage()
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS)) // the passing of time is what is measured
  const { user, system } = process.threadCpuUsage(before)
  assert.ok((user + system) / 1000 < IDLE_MS * 0.03, `${user + system} us in ${IDLE_MS} ms`)
  for (const watching of watches) watching.stop()
  for (const socket of sockets) socket.close()
})
