/**
 * TCP sockets in any namespace from one thread. Node opens its sockets where the thread is, and later than it is told
 * to; so the descriptor is made here, while the thread is in the namespace for a moment, and Node is given it. A socket
 * stays in the namespace that it was made in, and so do the connections that a listening one accepts.
 */

import { Socket } from 'node:net'
import { parseAddress } from '../../src/base/address.ts'
import { closeDescriptor, libc, must } from '../../src/linux/libc.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { SOL_SOCKET, setOption } from '../../src/linux/option.ts'
import { bytes, struct, u16, u16be, u32 } from '../../src/linux/struct.ts'

const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM_CLOEXEC_NONBLOCK = 1 | 0o2004000
const SO_REUSEADDR = 2
const SO_MAX_PACING_RATE = 47

const sockaddrIn = struct('struct sockaddr_in', { family: u16, port: u16be, address: bytes(4), zero: bytes(8) })
const sockaddrIn6 = struct('struct sockaddr_in6', {
  family: u16,
  port: u16be,
  flow: u32,
  address: bytes(16),
  scope: u32,
})

function sockaddr(text: string, port: number): Uint8Array {
  const address = parseAddress(text)!
  if (address.length === 4) return sockaddrIn.make({ family: AF_INET, port, address })
  return sockaddrIn6.make({ family: AF_INET6, port, address })
}

/** A descriptor of that namespace, bound to the address. For `server.listen({ fd })`, among others. */
export function boundDescriptor(namespace: string, address: string, port: number): number {
  return withNamespace(namespace, () => {
    const family = address.includes(':') ? AF_INET6 : AF_INET
    const fd = must('socket', libc.socket(family, SOCK_STREAM_CLOEXEC_NONBLOCK, 0))
    try {
      setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1)
      const local = sockaddr(address, port)
      must('bind', libc.bind(fd, local, local.length))
      return fd
    } catch (error) {
      closeDescriptor(fd)
      throw error
    }
  })
}

/** Like net.connect. */
export function connectFrom(namespace: string, from: string, to: string, port: number): Socket {
  // Without `manualStart` Node would read from it at once, before there is a connection.
  const options = { fd: boundDescriptor(namespace, from, 0), allowHalfOpen: true, manualStart: true }
  return new Socket({ ...options, readable: true, writable: true }).connect({ host: to, port })
}

/** Spreads what leaves the socket over time, so that no queue on the way sees bursts. */
export function pace(socket: Socket, bit_per_s: number): void {
  // Node keeps the descriptor to itself, and only the kernel can pace.
  const fd = (socket as unknown as { _handle: { fd: number } | null })._handle?.fd
  if (fd !== undefined) setOption(fd, SOL_SOCKET, SO_MAX_PACING_RATE, Math.round(bit_per_s / 8))
}
