/**
 * Where TCP connections come in. `accept` takes one at a time; `watch` takes them as they come, some at a time, so that
 * ten thousand strangers a second leave the thread time for its peers.
 */

import type { Prefix } from '../base/address.ts'
import { LinuxError } from './error.ts'
import { closeDescriptor, errno, libc, must } from './libc.ts'
import { SOL_SOCKET, setOption } from './option.ts'
import { type Watch, type WatchOptions, watch } from './poll.ts'
import { AF_INET6, type Endpoint, endpointOf, familyOf, SOCKADDR_BYTES, sockaddr } from './socket-address.ts'
import { type Md5Key, removeMd5Key, setMd5Key } from './tcp-md5.ts'
import { SO_REUSEADDR, setIpv6Only, setNoDelay, setTcpOptions, type TcpOptions } from './tcp-option.ts'
import { localEndpoint, TcpSocket } from './tcp-socket.ts'

const SOCK_STREAM = 1
const SOCK_CLOEXEC_NONBLOCK = 0o2004000
const IPPROTO_TCP = 6
const O_RDONLY_CLOEXEC = 0o2000000

/** The kernel cuts it to net.core.somaxconn: all peers of a large site that come back in the same moment. */
const BACKLOG = 4096
/** Of strangers in one turn of the event loop: about half a millisecond. */
const ACCEPTED_MAX = 32

const NO_DESCRIPTOR = ['EMFILE', 'ENFILE'].map((name) => LinuxError.numberOf(name))
/** accept(2): the connection's own errors, and that there is none. */
const PASSING = new Set(
  [
    'EAGAIN',
    'EINTR',
    'ECONNABORTED',
    'EPERM',
    'ENETDOWN',
    'EPROTO',
    'ENOPROTOOPT',
    'EHOSTDOWN',
    'EHOSTUNREACH',
    'EOPNOTSUPP',
    'ENETUNREACH',
    'ENOBUFS',
    'ENOMEM',
  ].map((name) => LinuxError.numberOf(name)),
)

export class TcpListener {
  readonly fd: number
  /** Connections that were closed at once because the process had no descriptor for them. */
  turnedAway = 0
  /** Given up for a moment when descriptors are exhausted: a connection that nobody accepts would be told for ever. */
  #spare: number
  #watch: Watch | undefined
  #closed = false
  readonly #name = new Uint8Array(SOCKADDR_BYTES)
  readonly #nameBytes = new Uint32Array(1)

  /** Throws if the address is not to be had. Port 0 is the kernel's choice. */
  constructor(local: Endpoint, options: TcpOptions = {}) {
    const family = familyOf(local.address)
    this.fd = must('socket', libc.socket(family, SOCK_STREAM | SOCK_CLOEXEC_NONBLOCK, IPPROTO_TCP))
    this.#spare = openSpare()
    try {
      setOption(this.fd, SOL_SOCKET, SO_REUSEADDR, 1)
      if (family === AF_INET6) setIpv6Only(this.fd)
      setTcpOptions(this.fd, family, options)
      setNoDelay(this.fd)
      const address = sockaddr(local)
      must('bind', libc.bind(this.fd, address, address.length))
      must('listen', libc.listen(this.fd, BACKLOG))
    } catch (error) {
      this.close()
      throw error
    }
  }

  get local(): Endpoint {
    return localEndpoint(this.fd)
  }

  /** The next connection that waits, if one does. It has this listener's options. */
  accept(): TcpSocket | undefined {
    this.#nameBytes[0] = SOCKADDR_BYTES
    const fd = libc.accept4(this.fd, this.#name, this.#nameBytes, SOCK_CLOEXEC_NONBLOCK)
    if (fd < 0) return this.#notAccepted(errno(), fd)
    return new TcpSocket(fd, endpointOf(this.#name))
  }

  /** Hands over each connection as it comes, at most so many in one turn of the event loop. */
  watch(take: (socket: TcpSocket) => void, options?: WatchOptions, acceptedMax = ACCEPTED_MAX): Watch {
    this.#watch?.stop()
    this.#watch = watch(this.fd, () => this.#acceptSome(take, acceptedMax), options)
    return this.#watch
  }

  /** From now on, for these peers. Connections that were accepted keep the key that they came with. */
  setMd5Key(key: Md5Key): void {
    setMd5Key(this.fd, key)
  }

  removeMd5Key(peers: Prefix): void {
    removeMd5Key(this.fd, peers)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#watch?.stop()
    closeDescriptor(this.fd)
    closeDescriptor(this.#spare)
  }

  #acceptSome(take: (socket: TcpSocket) => void, most: number): void {
    for (let i = 0; i < most; i++) {
      const socket = this.accept()
      if (!socket) return
      take(socket)
    }
  }

  #notAccepted(error: number, result: number): undefined {
    if (NO_DESCRIPTOR.includes(error)) this.#turnAway()
    else if (!PASSING.has(error)) must('accept', result)
  }

  #turnAway(): void {
    this.turnedAway++
    closeDescriptor(this.#spare)
    closeDescriptor(libc.accept4(this.fd, null, null, SOCK_CLOEXEC_NONBLOCK))
    this.#spare = openSpare()
  }
}

function openSpare(): number {
  return libc.open('/dev/null', O_RDONLY_CLOEXEC)
}
