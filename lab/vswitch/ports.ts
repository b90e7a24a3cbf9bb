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

/**
 * A burst of 64 KB from each of a few streams fits into a machine's ring; with many machines on a host each carries less.
 * What is for all of them, and from all of them, meets in the uplinks' rings.
 */
const RING_SIZE = { uplink: 2048, few: 1024, many: 256 }
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
  const machine = wanted.length <= FEW_PORTS ? RING_SIZE.few : RING_SIZE.many
  const plans = wanted.map(({ interface: name, kind }) => {
    const size = kind === 'customer' ? machine : RING_SIZE.uplink
    const rings = { receiveSize: size, sendSize: size, fillSize: size, completionSize: size }
    return { name, kind, rings, index: interfaceIndex(name) }
  })
  // Each port's fill and tx rings full at once, and the pool is never empty.
  const chunks = plans.reduce((sum, { rings }) => sum + rings.fillSize + rings.sendSize, POOL_RESERVE + 1)
  const memory = createFrameMemory(chunks, firstPageIn)
  const umem = new Umem(memory.buffer, { chunkBytes: CHUNK_BYTES })
  const frames = new Frames(memory)
  const pool = new FramePool(frames, 0, chunks)
  const open = ({ index, rings }: (typeof plans)[number], how: { registeredBy: number } | { multiBuffer: boolean }) =>
    XdpSocket.open({ umem, interfaceIndex: index, queue: 0, ...rings, ...how })
  const register = (able: boolean) => ({ socket: open(plans[0]!, { multiBuffer: able }), able })
  const { socket, able } = multiBuffer === false ? register(false) : withMultiBufferIfKnown(register)
  const ports = plans.map((plan, i) => {
    const own = i === 0 ? socket : open(plan, { registeredBy: socket.fd })
    const port = new XdpPort(plan.name, own, frames, pool)
    const steering = new Steering(plan.kind, 1, tables, { multiBuffer: able })
    steering.setSocket(0, own.fd)
    steering.attach(plan.index)
    return port
  })
  return { frames, pool, ports }
}
