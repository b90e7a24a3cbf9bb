/**
 * A session's connection over the kernel's TCP: what session/connection.ts asks for, on linux/tcp-socket.ts. What is to be
 * sent waits here as it is, without being copied, until the kernel takes it; whoever writes much asks `waiting_bytes`.
 */

import type { IpAddress } from '../../base/address.ts'
import type { Watch } from '../../linux/poll.ts'
import type { Endpoint } from '../../linux/socket-address.ts'
import type { TcpFailure } from '../../linux/tcp-failure.ts'
import { type ConnectOptions, ENDED, FAILED, TcpSocket, WOULD_BLOCK } from '../../linux/tcp-socket.ts'
import type { Relayed } from '../relay/relayed-peers.ts'
import type { Connection, ConnectionHandler } from './session/connection.ts'
import { Framer } from './session/framer.ts'

/** Of one turn, so that a peer that sends without end leaves the others theirs. */
const RECEIVED_MAX_BYTES = 512 * 1024
/** After our last words: for how long the peer may still take them. */
const LINGER_ms = 2000

export class TcpConnection implements Connection {
  readonly remote: Endpoint
  waiting_bytes = 0
  /** Called with every change of `waiting_bytes`. */
  onWrote: () => void = () => {}
  readonly #socket: TcpSocket | undefined
  readonly #failure: TcpFailure | undefined
  readonly #framer = new Framer()
  readonly #after: (delay_ms: number, run: () => void) => void
  /** When it goes through the relay. */
  readonly #relayed: Relayed | undefined
  #handler: ConnectionHandler | undefined
  #watch: Watch | undefined
  #isOpen: boolean
  #isPaused = false
  #isClosed = false
  #queue: Uint8Array[] = []
  #sentOfFirst = 0

  constructor(
    socket: TcpSocket | TcpFailure,
    remote: Endpoint,
    isOpen: boolean,
    after: (delay_ms: number, run: () => void) => void,
    relayed?: Relayed,
  ) {
    this.remote = remote
    this.#isOpen = isOpen
    this.#after = after
    this.#relayed = relayed
    if (socket instanceof TcpSocket) this.#socket = socket
    else this.#failure = socket
    if (isOpen) this.#begins()
  }

  /** Begins to connect. */
  static connect(
    remote: Endpoint,
    options: ConnectOptions,
    after: (delay_ms: number, run: () => void) => void,
    relayed?: Relayed,
  ): TcpConnection {
    return new TcpConnection(TcpSocket.connect(remote, options), remote, false, after, relayed)
  }

  get local(): IpAddress {
    if (this.#relayed) return this.#relayed.local
    return this.#socket?.local.address ?? new Uint8Array(this.remote.address.length)
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler
    if (!this.#socket) {
      this.#after(0, () => this.#failed(this.#failure!.sentence))
      return
    }
    this.#watch = this.#socket.watch((readable, writable) => this.#ready(readable, writable), {
      readable: this.#isOpen,
      writable: !this.#isOpen,
    })
  }

  send(message: Uint8Array): void {
    this.write(message.slice())
  }

  /** The bytes as they are, which must stay so: whole messages. */
  write(bytes: Uint8Array): void {
    if (this.#isClosed || !this.#socket) return
    this.#queue.push(bytes)
    this.waiting_bytes += bytes.length
    if (this.#queue.length === 1) this.#flush()
  }

  allow(bytesMax: number): void {
    this.#framer.allow(bytesMax)
  }

  /** Leaves what comes in the kernel, until it is told otherwise. */
  pause(isPaused: boolean): void {
    this.#isPaused = isPaused
    this.#wantWhatItNeeds()
  }

  drain(): boolean {
    if (this.#isPaused) return true
    return this.#receive()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#handler = undefined
    const socket = this.#socket
    if (!socket) return
    this.#ends()
    if (!this.#isOpen) {
      socket.close()
      return
    }
    // What it still says is read, or the kernel would reset the connection and our last words with it.
    socket.end()
    const end = (): void => socket.close()
    this.#watch?.stop()
    const scratch = new Uint8Array(4096)
    socket.watch(() => {
      let got = socket.receive(scratch)
      while (got > 0) got = socket.receive(scratch)
      if (got === ENDED || got === FAILED) end()
    })
    this.#after(LINGER_ms, end)
  }

  /** Lets go of it without a word: the peer is not told, and takes up again with whoever has its session now. */
  abandon(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#handler = undefined
    this.#socket?.close()
  }

  #ready(readable: boolean, writable: boolean): void {
    if (!this.#isOpen && !this.#opened()) return
    if (writable) this.#flush()
    if (readable && !this.#isPaused) this.#receive()
  }

  #opened(): boolean {
    const socket = this.#socket!
    if (socket.connected()) {
      this.#isOpen = true
      this.#begins()
      this.#handler?.opened()
      this.#wantWhatItNeeds()
      return true
    }
    if (socket.failure) this.#failed(socket.failure.sentence)
    return false
  }

  /** Hands over what has come. True when there is more than one turn takes. */
  #receive(): boolean {
    const framer = this.#framer
    let total = 0
    while (!this.#isClosed && !this.#isPaused) {
      if (total >= RECEIVED_MAX_BYTES) return true
      const room = framer.room()
      const got = this.#socket!.receive(framer.bytes, framer.filled, framer.filled + room)
      if (got === WOULD_BLOCK) return false
      if (got < 0) {
        this.#failed(got === ENDED ? 'the peer closed the connection' : this.#socket!.failure!.sentence)
        return false
      }
      framer.received(got)
      total += got
      this.#handOver()
      // Nothing more is there, or it will be told anew: to ask costs as much as a keepalive.
      if (got < room) return false
    }
    return false
  }

  #handOver(): void {
    const framer = this.#framer
    while (!this.#isClosed && framer.next()) this.#handler?.message(framer)
    if (framer.fault && !this.#isClosed) this.#handler?.fault(framer.fault)
  }

  #flush(): void {
    const socket = this.#socket!
    const before = this.waiting_bytes
    while (this.#queue.length > 0) {
      const first = this.#queue[0]!
      const sent = socket.send(first, this.#sentOfFirst, first.length)
      if (sent === FAILED) {
        this.#failed(socket.failure!.sentence)
        return
      }
      if (sent === WOULD_BLOCK) break
      this.#sentOfFirst += sent
      this.waiting_bytes -= sent
      if (this.#sentOfFirst < first.length) break
      this.#queue.shift()
      this.#sentOfFirst = 0
    }
    this.#wantWhatItNeeds()
    if (this.waiting_bytes === before && before === 0) return
    this.#handler?.wrote(this.waiting_bytes)
    this.onWrote()
  }

  #wantWhatItNeeds(): void {
    if (!this.#isClosed && this.#isOpen) this.#watch?.want(!this.#isPaused, this.#queue.length > 0)
  }

  #failed(why: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#ends()
    this.#socket?.close()
    const handler = this.#handler
    this.#handler = undefined
    handler?.failed(why)
  }

  #begins(): void {
    if (this.#relayed) this.#relayed.begins(this.#socket!.local.port, this.remote.port)
  }

  /** What the kernel sends from now on to end it is meant. */
  #ends(): void {
    if (this.#relayed && this.#socket) this.#relayed.ends(this.#socket.local.port, this.remote.port)
  }
}
