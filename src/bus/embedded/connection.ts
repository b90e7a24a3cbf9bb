/**
 * The server's end of one client: frames in, frames out, and the limits on both. A client that reads slowly costs a
 * bounded queue: plain messages for it are dropped and counted, and it is told how many; pages wait until it has caught
 * up; if answers alone fill the queue it is disconnected.
 */

import type { Socket } from 'node:net'
import type { BusErrorCode } from '../bus.ts'
import { clientCodec, FrameSplitter, failureCode, serverCodec, type ToClient, type ToServer } from './protocol.ts'

/** From here on pages and values wait for the client to read. Four pages keep a Unix socket busy. */
const ROOM_BYTES = 1024 * 1024
/** From here on plain messages are dropped: eight of the largest. */
const PLAIN_BYTES_MAX = 8 * 1024 * 1024
/** From here on the client is lost. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024
/** How many pages may wait for room. A module has some dozens of streams and watches. */
const DEFERRED_MAX = 2048

export interface ConnectionHandler {
  /** False: the message is against the protocol, give the client up. */
  onMessage(connection: Connection, message: ToServer): boolean
  onClose(connection: Connection): void
  onMalformed(connection: Connection): void
  onDropped(connection: Connection): void
}

export class Connection {
  /** What the client calls itself; empty until its `hello` was accepted. */
  name = ''
  readonly #socket: Socket
  readonly #handler: ConnectionHandler
  readonly #splitter = new FrameSplitter()
  readonly #deferred: (() => void)[] = []
  #missed = 0
  #corked = false

  constructor(socket: Socket, handler: ConnectionHandler) {
    this.#socket = socket
    this.#handler = handler
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('drain', () => this.#drained())
    // What happened to the socket is told by 'close', which follows.
    socket.on('error', () => {})
    socket.on('close', () => handler.onClose(this))
  }

  send(message: ToClient): void {
    if (this.#socket.destroyed) return
    if (this.#socket.writableLength > QUEUE_BYTES_MAX) {
      this.#socket.destroy()
      return
    }
    this.#cork()
    this.#socket.write(clientCodec.encode(message))
  }

  /** Answers the call `id` with a failure. */
  fail(id: number, code: BusErrorCode, detail: string): void {
    this.send({ type: 'error', id, failure: failureCode(code), message: detail })
  }

  /** False if the queue was too full for it. */
  sendPlain(message: ToClient): boolean {
    if (this.#socket.writableLength > PLAIN_BYTES_MAX) return false
    this.send(message)
    return true
  }

  /** For a plain message that `sendPlain` refused. */
  countMissed(): void {
    this.#missed++
    this.#handler.onDropped(this)
  }

  /** Runs `work`, which sends something large: now, or when the client has read what is on the way to it. */
  whenRoom(work: () => void): void {
    if (this.#socket.writableLength <= ROOM_BYTES) work()
    else if (this.#deferred.length < DEFERRED_MAX) this.#deferred.push(work)
    else this.#socket.destroy()
  }

  /** Sends what was sent so far and closes. */
  end(): void {
    this.#socket.end()
    this.#socket.removeAllListeners('data')
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    const sound = this.#splitter.push(chunk, (frame) => {
      if (this.#socket.destroyed) return false
      const message = serverCodec.decode(frame)
      return message !== undefined && this.#handler.onMessage(this, message)
    })
    if (sound || this.#socket.destroyed) return
    this.#handler.onMalformed(this)
    this.#socket.destroy()
  }

  #drained(): void {
    if (this.#missed > 0) {
      this.send({ type: 'missed', count: Math.min(this.#missed, 0xffffffff) })
      this.#missed = 0
    }
    while (this.#deferred.length > 0 && this.#socket.writableLength <= ROOM_BYTES) this.#deferred.shift()!()
  }

  // Frames of one turn of the event loop leave in one system call.
  #cork(): void {
    if (this.#corked) return
    this.#corked = true
    this.#socket.cork()
    setImmediate(() => {
      this.#corked = false
      this.#socket.uncork()
    })
  }
}
