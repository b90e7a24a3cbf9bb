/**
 * The client's end of the connection: it connects, and connects again, with a growing and jittered delay; it sends
 * calls and gives each its answer or a named failure. It knows nothing of what the calls mean.
 */

import { connect, type Socket } from 'node:net'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { BusError, type BusErrorCode } from '../bus.ts'
import {
  clientCodec,
  FrameSplitter,
  failureOf,
  MAGIC,
  serverCodec,
  type ToClient,
  type ToServer,
  VERSION_HIGHEST,
  VERSION_LOWEST,
} from './protocol.ts'

/** The first retry is soon, for a server that is being restarted; the last ones cost nothing. */
const RETRY_FIRST_ms = 20
const RETRY_LAST_ms = 2000
const WELCOME_TIMEOUT_ms = 5000
/** Above the longest stall of a server that is alive: a checkpoint, a full page cache. */
const CALL_TIMEOUT_ms = 10_000
const CALLS_MAX = 16_384
/** Towards the server. From here on plain messages are dropped, and twice that far calls are refused. */
const QUEUE_BYTES_MAX = 8 * 1024 * 1024

export interface LinkOptions {
  readonly socketPath: string
  /** What this client is called in the server's log: `forwarding.node1`. */
  readonly name: string
  readonly clock: Clock
  readonly random: Random
}

export interface LinkHandler {
  onConnection(connected: boolean): void
  onEvent(event: Extract<ToClient, { type: 'message' | 'request' | 'missed' }>): void
}

type WithoutId<T> = T extends { id: number } ? Omit<T, 'id'> : never
export type CallMessage = WithoutId<Exclude<ToServer, { type: 'cancel' }>>
type Answer = Extract<ToClient, { type: 'done' | 'page' }>

export interface CallOptions {
  /** 'never' for calls that wait for something to happen. */
  readonly timeout_ms?: number | 'never'
  /** Rejects with 'closed' when it fires. */
  readonly signal?: AbortSignal
}

interface Pending {
  resolve(answer: Answer): void
  reject(error: BusError): void
}

export class Link {
  readonly clock: Clock
  connected = false
  closed = false
  connects = 0
  /** Which data the server has; another one means that nothing learnt before holds. */
  store = ''
  /** Why the latest attempt failed. */
  failure = new BusError('disconnected', 'not connected yet')
  readonly #options: LinkOptions
  readonly #handler: LinkHandler
  readonly #pending = new Map<number, Pending>()
  readonly #awaiting = new Set<() => void>()
  #socket: Socket | undefined
  #retry: Timer | undefined
  #failures = 0
  #nextId = 1
  #corked = false

  constructor(options: LinkOptions, handler: LinkHandler) {
    this.clock = options.clock
    this.#options = options
    this.#handler = handler
    this.#connect()
  }

  /** False: there is no connection, or the queue is too full. */
  sendPlain(message: ToServer): boolean {
    if (!this.connected || this.#socket!.writableLength > QUEUE_BYTES_MAX) return false
    this.#write(message)
    return true
  }

  /** For what keeps the two sides in step. Without a connection there is nothing to keep. */
  send(message: ToServer): void {
    if (this.connected) this.#write(message)
  }

  async call<Type extends Answer['type']>(
    answers: Type,
    message: CallMessage,
    options: CallOptions = {},
  ): Promise<Extract<Answer, { type: Type }>> {
    const { signal, timeout_ms = CALL_TIMEOUT_ms } = options
    if (this.closed || signal?.aborted) throw new BusError('closed', `${message.type} was stopped`)
    if (!this.connected) throw new BusError('disconnected', `${message.type} without a connection`)
    if (this.#pending.size >= CALLS_MAX) throw new BusError('too-many', `${CALLS_MAX} calls are pending`)
    if (this.#socket!.writableLength > 2 * QUEUE_BYTES_MAX) throw new BusError('overloaded', 'the server is behind')
    const id = this.#freeId()
    const giveUp = (code: BusErrorCode, detail: string): void => {
      this.send({ type: 'cancel', id })
      this.#pending.get(id)?.reject(new BusError(code, detail))
    }
    const onAbort = (): void => giveUp('closed', `${message.type} was stopped`)
    const onTimeout = (): void => giveUp('timeout', `${message.type} after ${timeout_ms} ms`)
    const timer = timeout_ms === 'never' ? undefined : this.clock.after(timeout_ms, onTimeout)
    signal?.addEventListener('abort', onAbort)
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject })
        this.#write({ ...message, id } as ToServer)
      })
      if (answer.type !== answers) throw new BusError('malformed', `${message.type} was answered by ${answer.type}`)
      return answer as Extract<Answer, { type: Type }>
    } finally {
      this.#pending.delete(id)
      timer?.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Resolves when connected, closed or aborted: look which. */
  async untilConnected(signal: AbortSignal): Promise<void> {
    if (this.connected || this.closed || signal.aborted) return
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        this.#awaiting.delete(settle)
        signal.removeEventListener('abort', settle)
        resolve()
      }
      this.#awaiting.add(settle)
      signal.addEventListener('abort', settle)
    })
  }

  /** What was sent before still leaves. */
  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.#retry?.cancel()
    const socket = this.#socket
    if (!socket) return this.#lost(new BusError('closed', 'the bus was closed'))
    const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    const timer = this.clock.after(1000, () => socket.destroy())
    if (this.connected) socket.end()
    else socket.destroy()
    await gone
    timer.cancel()
  }

  #connect(): void {
    const socket = connect(this.#options.socketPath)
    const splitter = new FrameSplitter()
    const timer = this.clock.after(WELCOME_TIMEOUT_ms, () => {
      if (!this.connected) socket.destroy(new BusError('timeout', 'the server does not welcome us'))
    })
    this.#socket = socket
    this.#corked = false
    socket.on('connect', () => {
      const hello = { magic: MAGIC, lowest: VERSION_LOWEST, highest: VERSION_HIGHEST, name: this.#options.name }
      socket.write(serverCodec.encode({ type: 'hello', ...hello }))
    })
    socket.on('data', (chunk: Buffer) => {
      const sound = splitter.push(chunk, (frame) => this.#receive(frame))
      if (!sound) socket.destroy(new BusError('malformed', 'the server sent what is not our protocol'))
    })
    let failure = new BusError('disconnected', 'the server closed the connection')
    socket.on('error', (error) => {
      failure = error instanceof BusError ? error : new BusError('disconnected', error.message)
    })
    socket.on('close', () => {
      timer.cancel()
      this.#lost(failure)
    })
  }

  #lost(failure: BusError): void {
    const wasConnected = this.connected
    this.#socket = undefined
    this.connected = false
    // The server's word on why it will not have us says more than the closing that follows it.
    if (this.failure.code !== 'incompatible' || failure.code !== 'disconnected') this.failure = failure
    const outcome = this.closed ? new BusError('closed', 'the bus was closed') : failure
    for (const { reject } of [...this.#pending.values()]) reject(outcome)
    if (this.closed) this.#release()
    else this.#retryLater()
    if (wasConnected) this.#handler.onConnection(false)
  }

  #retryLater(): void {
    const delay_ms = Math.min(RETRY_FIRST_ms * 2 ** this.#failures, RETRY_LAST_ms)
    if (delay_ms < RETRY_LAST_ms) this.#failures++
    const jitter = 0.5 + this.#options.random.below(512) / 1024
    this.#retry = this.clock.after(delay_ms * jitter, () => this.#connect())
  }

  #receive(frame: Buffer): boolean {
    const message = clientCodec.decode(frame)
    if (!message) return false
    switch (message.type) {
      case 'welcome':
        return this.#welcomed(message.store)
      case 'refused':
        this.failure = new BusError('incompatible', `the server speaks ${message.lowest} to ${message.highest}`)
        return true
      case 'done':
      case 'page':
        this.#pending.get(message.id)?.resolve(message)
        return true
      case 'error':
        this.#pending.get(message.id)?.reject(new BusError(failureOf(message.failure), message.message))
        return true
      default:
        if (this.connected) this.#handler.onEvent(message)
        return this.connected
    }
  }

  #welcomed(store: string): boolean {
    if (this.connected || this.closed) return false
    this.connected = true
    this.connects++
    this.#failures = 0
    this.store = store
    this.failure = new BusError('disconnected', 'the connection was lost')
    this.#handler.onConnection(true)
    this.#release()
    return true
  }

  #release(): void {
    for (const settle of [...this.#awaiting]) settle()
  }

  // Frames of one turn of the event loop leave in one system call.
  #write(message: ToServer): void {
    const socket = this.#socket!
    if (!this.#corked) {
      this.#corked = true
      socket.cork()
      setImmediate(() => {
        socket.uncork()
        if (socket === this.#socket) this.#corked = false
      })
    }
    socket.write(serverCodec.encode(message))
  }

  #freeId(): number {
    while (this.#pending.has(this.#nextId)) this.#nextId = (this.#nextId + 1) >>> 0
    const id = this.#nextId
    this.#nextId = (id + 1) >>> 0
    return id
  }
}
