/**
 * Connections between sessions of one process, on a clock of the test's: bytes take a millisecond, come in pieces as
 * small as one byte, wait at an end that does not read, and can be lost with the wire. One implementation of
 * connection.ts; the kernel's TCP is another.
 */

import type { IpAddress } from '../../../base/address.ts'
import type { Clock } from '../../../base/clock.ts'
import type { Connection, ConnectionHandler, Connector } from './connection.ts'
import { Framer } from './framer.ts'

export interface MemoryNetworkOptions {
  latency_ms?: number
  /** How many bytes come at once. */
  pieceBytes?: number
  /** What the network holds for an end that does not read. */
  bufferBytes?: number
}

export class MemoryConnection implements Connection {
  readonly local: IpAddress
  /** All that was sent here, message by message. */
  readonly sent: Uint8Array[] = []
  /** While false what comes waits in the network. */
  reads = true
  /** What comes waits at this end: its thread is busy elsewhere. */
  stalled = false
  isClosed = false
  peer!: MemoryConnection
  #handler: ConnectionHandler | undefined
  #arrived: Uint8Array[] = []
  #waiting: Uint8Array[] = []
  #inNetwork_bytes = 0
  #end: string | undefined
  readonly #framer = new Framer()
  readonly #network: MemoryNetwork

  constructor(network: MemoryNetwork, local: IpAddress) {
    this.#network = network
    this.local = local
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler
    this.#network.later(() => this.#read())
  }

  opened(): void {
    if (!this.isClosed) this.#handler?.opened()
  }

  send(message: Uint8Array): void {
    if (this.isClosed) return
    this.sent.push(message.slice())
    this.#waiting.push(message.slice())
    this.#write(true)
  }

  allow(bytesMax: number): void {
    this.#framer.allow(bytesMax)
  }

  drain(): boolean {
    this.stalled = false
    this.#read()
    return !this.reads && this.#arrived.length > 0
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#network.later(() => this.peer?.lose('the peer closed the connection'))
  }

  /** The connection is gone, once what came before was read. */
  lose(why: string): void {
    this.#end ??= why
    this.#read()
  }

  #write(isNew: boolean): void {
    let progress = false
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (this.#inNetwork_bytes + next.length > this.#network.bufferBytes) break
      this.#waiting.shift()
      this.#inNetwork_bytes += next.length
      progress = true
      this.#network.carry(next, (piece) => this.peer.#arrive(piece))
    }
    const waiting_bytes = this.#waiting.reduce((sum, { length }) => sum + length, 0)
    const isFirst = isNew && this.#waiting.length === 1
    if (progress || isFirst) this.#network.later(() => this.isClosed || this.#handler?.wrote(waiting_bytes), 0)
  }

  #arrive(piece: Uint8Array): void {
    this.#arrived.push(piece)
    this.#read()
  }

  #read(): void {
    if (!this.#handler || !this.reads || this.stalled) return
    for (let next = this.#arrived.shift(); next; next = this.#arrived.shift()) {
      this.peer.#inNetwork_bytes -= next.length
      this.peer.#write(false)
      this.#framer.room(next.length)
      this.#framer.bytes.set(next, this.#framer.filled)
      this.#framer.received(next.length)
      while (!this.isClosed && this.#framer.next()) this.#handler.message(this.#framer)
      if (!this.isClosed && this.#framer.fault) this.#handler.fault(this.#framer.fault)
    }
    const end = this.#end
    this.#end = undefined
    if (end !== undefined && !this.isClosed) this.#handler.failed(end)
  }
}

export class MemoryNetwork {
  readonly bufferBytes: number
  /** While cut nothing arrives, and nobody is told. */
  isCut = false
  /** All connections there were, in the order in which they were asked for: the end that asked. */
  readonly connections: MemoryConnection[] = []
  readonly #clock: Clock
  readonly #latency_ms: number
  readonly #pieceBytes: number

  constructor(clock: Clock, { latency_ms = 1, pieceBytes = 65_536, bufferBytes = 65_536 }: MemoryNetworkOptions = {}) {
    this.#clock = clock
    this.#latency_ms = latency_ms
    this.#pieceBytes = pieceBytes
    this.bufferBytes = bufferBytes
  }

  /** Connects from one address to who accepts at another; undefined means that it is refused. */
  connector(from: IpAddress, to: IpAddress, accept: () => ((connection: Connection) => void) | undefined): Connector {
    return {
      open: () => {
        const near = new MemoryConnection(this, from)
        const far = new MemoryConnection(this, to)
        near.peer = far
        far.peer = near
        this.connections.push(near)
        this.later(() => {
          const take = accept()
          if (!take) near.lose('the peer refuses connections')
          else if (!near.isClosed) {
            near.opened()
            take(far)
          }
        })
        return near
      },
    }
  }

  carry(bytes: Uint8Array, arrive: (piece: Uint8Array) => void): void {
    for (let at = 0; at < bytes.length; at += this.#pieceBytes) {
      const piece = bytes.subarray(at, at + this.#pieceBytes)
      this.later(() => arrive(piece))
    }
  }

  later(run: () => void, delay_ms = this.#latency_ms): void {
    this.#clock.after(delay_ms, () => {
      if (!this.isCut) run()
    })
  }
}
