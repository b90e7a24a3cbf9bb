/**
 * The ports of the lab's own packet programs: AF_XDP sockets on queue 0 of interfaces of this namespace, on one frame
 * memory.
 */

import { CHUNK_BYTES, createFrameMemory, FramePool, Frames } from '../../src/dataplane/frames.ts'
import type { Port } from '../../src/dataplane/port.ts'
import { POOL_RESERVE, XdpPort } from '../../src/dataplane/xdp-port.ts'
import { interfaceIndex } from '../../src/linux/libc.ts'
import { firstPageIn } from '../../src/linux/memory.ts'
import { Steering, type SteeringKind, type SteeringTables } from '../../src/linux/steering.ts'
import { Umem, withMultiBufferIfKnown, XdpSocket } from '../../src/linux/xdp-socket.ts'

/** A burst of 64 KB from each of a few streams fits; with many ports on a host each carries less. */
const RING_SIZE = { few: 1024, many: 256 }
const FEW_PORTS = 16

export interface PortSet {
  readonly frames: Frames
  readonly pool: FramePool
  readonly ports: readonly Port[]
}

/**
 * Throws a LinuxError where the kernel refuses. Everything is gone with the process. `multiBuffer` false: as on a kernel
 * before Linux 6.6, where a frame must fit into one buffer; without it, as on this one.
 */
export function openPorts(
  wanted: readonly { interface: string; kind: SteeringKind }[],
  tables: SteeringTables,
  multiBuffer?: false,
): PortSet {
  const size = wanted.length <= FEW_PORTS ? RING_SIZE.few : RING_SIZE.many
  // Each port's fill and tx rings full at once, and the pool is never empty.
  const chunks = wanted.length * size * 2 + POOL_RESERVE + 1
  const memory = createFrameMemory(chunks, firstPageIn)
  const umem = new Umem(memory.buffer, { chunkBytes: CHUNK_BYTES })
  const frames = new Frames(memory)
  const pool = new FramePool(frames, 0, chunks)
  const rings = { receiveSize: size, sendSize: size, fillSize: size, completionSize: size }
  const [first, ...others] = wanted.map((each) => ({ ...each, index: interfaceIndex(each.interface) }))
  const registering = (able: boolean): { socket: XdpSocket; able: boolean } => {
    const options = { umem, interfaceIndex: first!.index, queue: 0, multiBuffer: able, ...rings }
    return { socket: XdpSocket.open(options), able }
  }
  const { socket, able } = multiBuffer === false ? registering(false) : withMultiBufferIfKnown(registering)
  const sockets = others.map(({ index }) =>
    XdpSocket.open({ umem, interfaceIndex: index, queue: 0, registeredBy: socket.fd, ...rings }),
  )
  const ports = [socket, ...sockets].map((each, i) => {
    const { interface: name, kind, index } = [first!, ...others][i]!
    const port = new XdpPort(name, each, frames, pool)
    const steering = new Steering(kind, 1, tables, { multiBuffer: able })
    steering.setSocket(0, each.fd)
    steering.attach(index)
    return port
  })
  return { frames, pool, ports }
}
