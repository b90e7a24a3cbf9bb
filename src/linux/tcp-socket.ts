/**
 * One TCP connection of the kernel's, without what Node's sockets cannot give: TCP-MD5, GTSM, a chosen interface, and
 * receiving and sending in place, in memory that threads share. Never blocks. What goes wrong on the wire is a value
 * (TcpFailure); a descriptor used wrongly is a LinuxError.
 *
 *   connecting --(writable, connected() says so)--> open --(receive() is ENDED)--> the peer sends no more
 *                                                    |                             (half-open: we still may)
 *                                                    +--(receive() or send() is FAILED)--> failure says why
 */

import { LinuxError } from './error.ts'
import { closeDescriptor, errno, libc, must } from './libc.ts'
import { getOption, SOL_SOCKET, setOption } from './option.ts'
import { type Watch, type WatchOptions, watch } from './poll.ts'
import { type Endpoint, endpointOf, familyOf, SOCKADDR_BYTES, sockaddr } from './socket-address.ts'
import { i32, struct } from './struct.ts'
import { TcpFailure } from './tcp-failure.ts'
import { SO_REUSEADDR, setNoDelay, setPortAtConnect, setTcpOptions, type TcpOptions } from './tcp-option.ts'

const SOCK_STREAM_CLOEXEC_NONBLOCK = 0o2004001
const IPPROTO_TCP = 6
const TCP_INFO = 11
/** struct tcp_info of linux/tcp.h. */
const DELIVERY_RATE_AT = 160
const SO_ERROR = 4
const SO_LINGER = 13
const MSG_NOSIGNAL = 0x4000
const SHUT_WR = 1
const SIOCOUTQ = 0x5411

const linger = struct('struct linger', { on: i32, seconds: i32 })

const EINPROGRESS = LinuxError.numberOf('EINPROGRESS')
const EAGAIN = LinuxError.numberOf('EAGAIN')
const EINTR = LinuxError.numberOf('EINTR')
const ENOTCONN = LinuxError.numberOf('ENOTCONN')

/** What receive() and send() return when it is no number of bytes. */
export const WOULD_BLOCK = 0
export const ENDED = -1
export const FAILED = -2

export interface ConnectOptions extends TcpOptions {
  /** Where from; port 0, or no endpoint, is the kernel's choice. */
  local?: Endpoint
}

export class TcpSocket {
  readonly fd: number
  readonly remote: Endpoint
  /** Set once receive() or send() said FAILED, or connected() found out. */
  failure: TcpFailure | undefined
  readonly #family: number
  #watch: Watch | undefined
  #closed = false

  /** For TcpListener and `connect`. */
  constructor(fd: number, remote: Endpoint) {
    this.fd = fd
    this.remote = remote
    this.#family = familyOf(remote.address)
  }

  /** Begins to connect. Goes on by itself; how it went, `connected` says once the socket is writable. */
  static connect(remote: Endpoint, { local, ...options }: ConnectOptions = {}): TcpSocket | TcpFailure {
    const family = familyOf(remote.address)
    const fd = libc.socket(family, SOCK_STREAM_CLOEXEC_NONBLOCK, IPPROTO_TCP)
    if (fd < 0) return new TcpFailure('socket', errno())
    const socket = new TcpSocket(fd, remote)
    try {
      setTcpOptions(fd, family, options)
      setNoDelay(fd)
      const failure = (local && bindTo(fd, local)) ?? connectTo(fd, remote)
      if (failure) socket.close()
      return failure ?? socket
    } catch (error) {
      socket.close()
      throw error
    }
  }

  /** False while it is on its way, and when it came to nothing, in which case `failure` says why. */
  connected(): boolean {
    const error = new Int32Array(getOption(this.fd, SOL_SOCKET, SO_ERROR, 4).slice().buffer)[0]!
    if (error !== 0) this.failure = new TcpFailure('connect', error)
    if (this.failure) return false
    const result = libc.getpeername(this.fd, new Uint8Array(SOCKADDR_BYTES), Uint32Array.of(SOCKADDR_BYTES))
    if (result < 0 && errno() !== ENOTCONN) must('getpeername', result)
    return result === 0
  }

  get local(): Endpoint {
    return localEndpoint(this.fd)
  }

  /** Changes what may be changed on a connection. */
  set(options: TcpOptions): void {
    setTcpOptions(this.fd, this.#family, options)
  }

  /** Bytes that came, written into `into` from `from` on and before `to`: how many, WOULD_BLOCK, ENDED or FAILED. */
  receive(into: Uint8Array, from = 0, to = into.length): number {
    if (from === to) return WOULD_BLOCK
    const received = libc.recvfrom(this.fd, into.subarray(from, to), to - from, 0, null, null)
    if (received > 0) return received
    return received === 0 ? ENDED : this.#failed('recv')
  }

  /** Hands `from` up to `to` to the kernel: how many bytes it took, WOULD_BLOCK or FAILED. */
  send(bytes: Uint8Array, from = 0, to = bytes.length): number {
    if (from === to) return WOULD_BLOCK
    const sent = libc.sendto(this.fd, bytes.subarray(from, to), to - from, MSG_NOSIGNAL, null, 0)
    return sent >= 0 ? sent : this.#failed('send')
  }

  /** What the kernel took and the peer has not acknowledged. */
  unacknowledgedBytes(): number {
    const bytes = new Int32Array(1)
    must('ioctl(SIOCOUTQ)', libc.ioctl(this.fd, SIOCOUTQ, bytes))
    return bytes[0]!
  }

  /**
   * How fast what was sent has arrived of late, in bytes a second, by its acknowledgements (tcp_info's tcpi_delivery_rate); 0
   * before the first. Of the best sample where the sender had less to send than the path could take.
   */
  deliveryRate(): number {
    const info = getOption(this.fd, IPPROTO_TCP, TCP_INFO, DELIVERY_RATE_AT + 8)
    if (info.length < DELIVERY_RATE_AT + 8) return 0
    return Number(new DataView(info.buffer, info.byteOffset).getBigUint64(DELIVERY_RATE_AT, true))
  }

  /** See `watch` in poll.ts. Ends with the socket. */
  watch(run: (readable: boolean, writable: boolean) => void, options?: WatchOptions): Watch {
    this.#watch?.stop()
    this.#watch = watch(this.fd, run, options)
    return this.#watch
  }

  /** FIN after all that was sent. What the peer still says can be received. */
  end(): void {
    if (libc.shutdown(this.fd, SHUT_WR) < 0 && errno() !== ENOTCONN) must('shutdown', -1)
  }

  /**
   * Lets go of the connection. The kernel still delivers what was sent; but bytes that came and were not read make it
   * reset the connection, and the last words are lost. Who has last words calls `end`, reads to the end, then closes.
   */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#watch?.stop()
    closeDescriptor(this.fd)
  }

  /** RST at once: nothing more is delivered and no state stays behind. For strangers. */
  reset(): void {
    if (!this.#closed) setOption(this.fd, SOL_SOCKET, SO_LINGER, linger.make({ on: 1, seconds: 0 }))
    this.close()
  }

  #failed(call: string): number {
    const number = errno()
    if (number === EAGAIN || number === EINTR) return WOULD_BLOCK
    this.failure = new TcpFailure(call, number)
    return FAILED
  }
}

export function localEndpoint(fd: number): Endpoint {
  const raw = new Uint8Array(SOCKADDR_BYTES)
  must('getsockname', libc.getsockname(fd, raw, Uint32Array.of(SOCKADDR_BYTES)))
  return endpointOf(raw)
}

function bindTo(fd: number, local: Endpoint): TcpFailure | undefined {
  if (local.port === 0) setPortAtConnect(fd)
  else setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1)
  const address = sockaddr(local)
  return libc.bind(fd, address, address.length) < 0 ? new TcpFailure('bind', errno()) : undefined
}

function connectTo(fd: number, remote: Endpoint): TcpFailure | undefined {
  const address = sockaddr(remote)
  const inProgress = libc.connect(fd, address, address.length) === 0 || errno() === EINPROGRESS
  return inProgress ? undefined : new TcpFailure('connect', errno())
}
