/**
 * The ports of the lab's own packet programs: AF_XDP sockets on queue 0 of interfaces of this namespace, on one frame
 * memory.
 */

import { createFrameMemory, FramePool, Frames } from '../../src/dataplane/frames.ts'
import type { Port } from '../../src/dataplane/port.ts'
import { POOL_RESERVE, XdpPort } from '../../src/dataplane/xdp-port.ts'
import { interfaceIndex } from '../../src/linux/libc.ts'
import { firstPageIn } from '../../src/linux/memory.ts'
import { Steering, type SteeringKind, type SteeringTables } from '../../src/linux/steering.ts'
import { Umem, XdpSocket } from '../../src/linux/xdp-socket.ts'

/** A burst of 64 KB from each of a few streams fits; with many ports on a host each carries less. */
const RING_SIZE = { few: 1024, many: 256 }
const FEW_PORTS = 16

export interface PortSet {
  readonly frames: Frames
  readonly pool: FramePool
  readonly ports: readonly Port[]
}

/** Throws a LinuxError where the kernel refuses. Everything is gone with the process. */
export function openPorts(
  wanted: readonly { interface: string; kind: SteeringKind }[],
  tables: SteeringTables,
): PortSet {
  const size = wanted.length <= FEW_PORTS ? RING_SIZE.few : RING_SIZE.many
  // Each port's fill and tx rings full at once, and the pool is never empty.
  const chunks = wanted.length * size * 2 + POOL_RESERVE + 1
  const memory = createFrameMemory(chunks, firstPageIn)
  const umem = new Umem(memory.buffer, { chunkBytes: 4096 })
  const frames = new Frames(memory)
  const pool = new FramePool(frames, 0, chunks)
  const ports: XdpPort[] = []
  for (const { interface: name, kind } of wanted) {
    const index = interfaceIndex(name)
    const socket = XdpSocket.open({
      umem,
      interfaceIndex: index,
      queue: 0,
      ...(ports[0] && { registeredBy: ports[0].fds[0]! }),
      receiveSize: size,
      sendSize: size,
      fillSize: size,
      completionSize: size,
      multiBuffer: true,
    })
    ports.push(new XdpPort(name, socket, frames, pool))
    const steering = new Steering(kind, 1, tables)
    steering.setSocket(0, socket.fd)
    steering.attach(index)
  }
  return { frames, pool, ports }
}
