/**
 * A worker of xdp-socket.test.ts: opens a socket on its end of a wire, sends one frame when told, reports what arrives.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { interfaceIndex } from './libc.ts'
import { enterNamespace } from './namespace.ts'
import { watch } from './poll.ts'
import { Steering, SteeringTables } from './steering.ts'
import { Umem, XdpSocket } from './xdp-socket.ts'

const { namespace, name, memory, registeredBy } = workerData
const CHUNK_BYTES = 2048
const [receiveChunk, sendChunk] = registeredBy === undefined ? [0, 1] : [2, 3]

enterNamespace(namespace)
const umem = new Umem(memory, { chunkBytes: CHUNK_BYTES })
const index = interfaceIndex(name)
const sizes = { receiveSize: 8, sendSize: 8, fillSize: 8, completionSize: 8 }
const socket = XdpSocket.open({ umem, interfaceIndex: index, queue: 0, registeredBy, ...sizes })
socket.fill(Uint32Array.of(receiveChunk * CHUNK_BYTES), 0, 1)
const steering = new Steering('customer', 1, new SteeringTables([]))
steering.setSocket(0, socket.fd)
steering.attach(index)

const [address, length, options] = [new Uint32Array(1), new Uint32Array(1), new Uint32Array(1)]
watch(socket.fd, () => {
  if (socket.receive(address, length, options, 0, 1) === 0) return
  parentPort!.postMessage({ address: address[0], length: length[0], mode: socket.mode })
})
parentPort!.on('message', () => {
  const at = sendChunk * CHUNK_BYTES
  const frame = Array.from({ length: 60 }, (_, i) => (i < 12 ? 2 : i === 12 ? 0x88 : i === 13 ? 0xb5 : i * 7))
  new Uint8Array(memory, umem.base + at, 60).set(frame)
  socket.send(Uint32Array.of(at), Uint32Array.of(60), Uint32Array.of(0), 0, 1)
  socket.kick()
})
parentPort!.postMessage(socket.fd)
