/**
 * TCP through the kernel's own stack, paced, every byte checked where it arrives. The client's first line says which
 * way the bytes go:
 *
 *   up      client: "up\n", the pattern ..., FIN    server: a line "12345\n" with all that arrived right, now and then
 *   down    client: "down RATE\n"  ...  "stop\n"    server: the pattern ..., FIN
 */

import { createServer, type Server, type Socket } from 'node:net'
import { systemClock } from '../../src/base/clock.ts'
import { isPatternAt, patternAt } from './pattern.ts'
import { STREAM_PORT, type StreamPlan, type StreamReport } from './plan.ts'
import { boundDescriptor, connectFrom, pace } from './socket.ts'

const WRITE_BYTES = 64 << 10
const COUNT_INTERVAL_MS = 100
/** Without a byte for so long a stream has failed; TCP itself would wait for a quarter of an hour. */
const STALL_MS = 5000
const CLOSE_MS = 5000

/** Writes the pattern for as long as the socket takes it. */
class PatternSender {
  position = 0
  readonly #socket: Socket
  #stopped = false

  constructor(socket: Socket, bit_per_s: number) {
    this.#socket = socket
    pace(socket, bit_per_s)
    socket.on('drain', () => this.#write())
    this.#write()
  }

  #write(): void {
    for (let room = true; room && !this.#stopped; ) {
      room = this.#socket.write(patternAt(this.position, WRITE_BYTES))
      this.position += WRITE_BYTES
    }
  }

  /** Ends the stream behind what was written. */
  stop(): void {
    this.#stopped = true
    this.#socket.end()
  }
}

export function streamServer(namespace: string, address: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}) // the client tells of it
    socket.once('data', (first: Buffer) => {
      const end = first.indexOf('\n')
      const [direction, rate] = first.subarray(0, end).toString().split(' ')
      if (direction === 'up') receiveUp(socket, first.subarray(end + 1))
      else sendDown(socket, Number(rate))
    })
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ fd: boundDescriptor(namespace, address, STREAM_PORT) }, () => resolve(server))
  })
}

function receiveUp(socket: Socket, first: Buffer): void {
  let position = 0
  let told = -1
  const tell = (): void => {
    if (position !== told) socket.write(`${position}\n`)
    told = position
  }
  const take = (data: Buffer): void => {
    if (!isPatternAt(position, data)) socket.destroy()
    position += data.length
  }
  const timer = systemClock.every(COUNT_INTERVAL_MS, tell)
  take(first)
  socket.on('data', take)
  socket.on('end', () => {
    tell()
    socket.end()
  })
  socket.on('close', () => timer.cancel())
}

function sendDown(socket: Socket, bit_per_s: number): void {
  const sender = new PatternSender(socket, bit_per_s)
  socket.once('data', () => sender.stop())
  socket.once('end', () => sender.stop())
}

/** One stream, from its first byte to its end. */
export class StreamClient {
  readonly #socket: Socket
  #sender: PatternSender | undefined
  #bytes = 0
  #trouble: string | undefined
  #ended = false
  #stopping = false
  readonly #closed: Promise<void>

  constructor(namespace: string, { from, to, direction }: StreamPlan, bit_per_s: number) {
    this.#socket = connectFrom(namespace, from, to, STREAM_PORT)
    this.#socket.setTimeout(STALL_MS, () => this.#fail('stalled'))
    this.#socket.on('error', (error) => this.#fail(error.message))
    if (direction === 'down') this.#socket.write(`down ${bit_per_s}\n`)
    else {
      this.#socket.write('up\n')
      this.#sender = new PatternSender(this.#socket, bit_per_s)
    }
    let rest = ''
    this.#socket.on('data', (data: Buffer) => {
      if (direction === 'down') this.#take(data)
      else {
        const lines = (rest + data.toString()).split('\n')
        rest = lines.pop()!
        if (lines.length > 0) this.#bytes = Number(lines.at(-1))
      }
    })
    this.#socket.on('end', () => {
      this.#ended = true
      if (!this.#stopping) this.#fail('ended by the other side')
      this.#socket.end()
    })
    this.#closed = new Promise((resolve) => this.#socket.once('close', () => resolve()))
  }

  #take(data: Buffer): void {
    if (!isPatternAt(this.#bytes, data)) this.#fail(`wrong bytes behind ${this.#bytes}`)
    else this.#bytes += data.length
  }

  #fail(reason: string): void {
    this.#trouble ??= reason
    this.#socket.destroy()
  }

  get report(): StreamReport & { trouble?: string } {
    return { bytes: this.#bytes, failed: this.#trouble ? 1 : 0, ...(this.#trouble && { trouble: this.#trouble }) }
  }

  /** Ends it in good order and waits until all has arrived. */
  async stop(): Promise<void> {
    this.#stopping = true
    const deadline = systemClock.after(CLOSE_MS, () => this.#fail('did not end'))
    if (this.#sender) this.#sender.stop()
    else this.#socket.write('stop\n')
    await this.#closed
    deadline.cancel()
    if (this.#trouble) return
    if (!this.#ended) this.#trouble = 'cut off'
    else if (this.#sender && this.#sender.position !== this.#bytes)
      this.#trouble = `${this.#sender.position} bytes were sent, ${this.#bytes} arrived`
  }
}
