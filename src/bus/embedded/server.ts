/**
 * The server of the embedded bus: one process of a host, a Unix stream socket in the site's run directory, the frames
 * of protocol.ts. It may be killed at any moment and started again over the same directory; what it acknowledged is
 * there and its clients come back by themselves. Network namespaces do not matter to a socket that has a path.
 */

import { mkdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { assert, unreachable } from '../../base/assert.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { type FileLock, lockFile } from '../../base/file-lock.ts'
import type { Logger } from '../../base/log.ts'
import { BusError, PAYLOAD_BYTES_MAX } from '../bus.ts'
import { isWellFormed } from '../subject.ts'
import { Connection, type ConnectionHandler } from './connection.ts'
import { MAGIC, type ToServer, VERSION_HIGHEST, VERSION_LOWEST } from './protocol.ts'
import { Router } from './router.ts'
import { Storage } from './storage.ts'

/** A site on one host has dozens of processes. Each may queue 64 MB in the worst case. */
const CLIENTS_MAX = 256
/** Whoever connects says who it is within this time. */
const HELLO_TIMEOUT_ms = 5000
/** sun_path of unix(7) with its closing zero. */
const SOCKET_PATH_BYTES_MAX = 107

export interface ServerOptions {
  readonly socketPath: string
  /** Where everything durable is. Only one server may run over it. */
  readonly directory: string
  readonly clock: Clock
  readonly log: Logger
}

interface ServerCounters {
  connections: number
  /** Clients given up because of what they sent. */
  malformed: number
  /** Clients of another protocol version. */
  incompatible: number
  /** Clients above the limit. */
  refused: number
  /** Plain messages thrown away because their receiver reads too slowly. */
  dropped: number
}

export interface BusServer {
  readonly counters: Readonly<ServerCounters>
  close(): Promise<void>
}

/** Rejects with 'storage' if another server has the directory or the socket; with what the system says otherwise. */
export async function startServer(options: ServerOptions): Promise<BusServer> {
  const { socketPath, directory } = options
  assert(Buffer.byteLength(socketPath) <= SOCKET_PATH_BYTES_MAX, `the socket path is too long: ${socketPath}`)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const lock = lockFile(join(directory, 'lock'))
  if (!lock) throw new BusError('storage', `another bus server runs over ${directory}`)
  try {
    if (await answers(socketPath)) throw new BusError('storage', `another bus server listens on ${socketPath}`)
    rmSync(socketPath, { force: true })
    const server = new EmbeddedServer(options, lock)
    await server.listen(socketPath)
    return server
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Is somebody behind the socket? The file alone may be what a killed server left. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
    const settle = (result: boolean): void => {
      probe.destroy()
      resolve(result)
    }
    probe.once('connect', () => settle(true))
    probe.once('error', () => settle(false))
  })
}

class EmbeddedServer implements BusServer, ConnectionHandler {
  readonly counters: ServerCounters = { connections: 0, malformed: 0, incompatible: 0, refused: 0, dropped: 0 }
  readonly #clock: Clock
  readonly #log: Logger
  readonly #lock: FileLock
  readonly #storage: Storage
  readonly #router = new Router()
  readonly #server: Server
  #closing: Promise<void> | undefined
  /** With the time limit of those that have not said hello. */
  readonly #connections = new Map<Connection, Timer | undefined>()

  constructor(options: ServerOptions, lock: FileLock) {
    this.#clock = options.clock
    this.#log = options.log
    this.#lock = lock
    this.#storage = new Storage(options.directory, options.clock, options.log)
    this.#server = createServer((socket) => this.#accept(socket))
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => {
        this.#storage.close()
        reject(error)
      })
      // The socket is bound during the call: from the first moment on nobody else may connect.
      const before = process.umask(0o177)
      try {
        this.#server.listen(path, resolve)
      } finally {
        process.umask(before)
      }
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const connection of this.#connections.keys()) connection.destroy()
    await closed
    this.#storage.close()
    this.#lock.release()
  }

  onMessage(connection: Connection, message: ToServer): boolean {
    if (message.type === 'hello') return this.#hello(connection, message)
    if (connection.name === '') return false
    switch (message.type) {
      case 'publish':
      case 'subscribe':
      case 'unsubscribe':
      case 'request':
      case 'answer':
      case 'refuse':
        return this.#route(connection, message)
      case 'cancel':
        this.#router.cancel(connection, message.id)
        this.#storage.cancel(connection, message.id)
        return true
      default:
        this.#storage.handle(connection, message)
        return true
    }
  }

  onClose(connection: Connection): void {
    this.#connections.get(connection)?.cancel()
    this.#connections.delete(connection)
    this.#storage.leave(connection)
    this.#router.leave(connection, (requester, id) => {
      requester.fail(id, 'no-responders', 'the responder went away before it answered')
    })
    if (connection.name) this.#log.info({ client: connection.name }, 'client left')
  }

  onMalformed(connection: Connection): void {
    this.counters.malformed++
    this.#log.warn({ client: connection.name }, 'client sent what is not our protocol')
  }

  onDropped(): void {
    this.counters.dropped++
  }

  #accept(socket: Socket): void {
    this.counters.connections++
    if (this.#connections.size >= CLIENTS_MAX) {
      this.counters.refused++
      socket.destroy()
      return
    }
    const connection = new Connection(socket, this)
    this.#connections.set(
      connection,
      this.#clock.after(HELLO_TIMEOUT_ms, () => connection.destroy()),
    )
  }

  #hello(connection: Connection, hello: Extract<ToServer, { type: 'hello' }>): boolean {
    if (connection.name !== '' || hello.magic !== MAGIC || !isWellFormed('subject', hello.name)) return false
    const version = Math.min(hello.highest, VERSION_HIGHEST)
    if (version < Math.max(hello.lowest, VERSION_LOWEST)) {
      this.counters.incompatible++
      connection.send({ type: 'refused', lowest: VERSION_LOWEST, highest: VERSION_HIGHEST })
      connection.end()
      return true
    }
    connection.name = hello.name
    this.#connections.get(connection)?.cancel()
    this.#connections.set(connection, undefined)
    connection.send({ type: 'welcome', version, store: this.#storage.id })
    this.#log.info({ client: hello.name }, 'client came')
    return true
  }

  #route(
    connection: Connection,
    message: Extract<ToServer, { type: 'publish' | 'subscribe' | 'unsubscribe' | 'request' | 'answer' | 'refuse' }>,
  ): boolean {
    if ('payload' in message && message.payload.length > PAYLOAD_BYTES_MAX) return false
    switch (message.type) {
      case 'publish':
        if (!isWellFormed('subject', message.subject)) return false
        this.#router.publish(message.subject, message.payload)
        return true
      case 'subscribe': {
        const { id, subscription, pattern } = message
        if (!isWellFormed('pattern', pattern)) return false
        const failure = this.#router.subscribe({ connection, subscription, responds: message.responds === 1, pattern })
        if (failure) connection.fail(id, failure, `subscription to ${pattern}`)
        else connection.send({ type: 'done', id, number: 0, payload: new Uint8Array(0) })
        return true
      }
      case 'unsubscribe':
        this.#router.unsubscribe(connection, message.subscription)
        return true
      case 'request': {
        if (!isWellFormed('subject', message.subject)) return false
        const failure = this.#router.request(connection, message.id, message.subject, message.payload)
        if (failure) connection.fail(message.id, failure, `request on ${message.subject}`)
        return true
      }
      case 'answer':
        this.#router.answer(connection, message.request, message.payload)
        return true
      case 'refuse': {
        const waiting = this.#router.refuse(connection, message.request)
        waiting?.requester.fail(waiting.id, 'failed', message.message)
        return true
      }
      default:
        return unreachable(message)
    }
  }
}
