/**
 * A nats-server of Debian's with JetStream in a directory of its own, that can be killed and started again over the same
 * data. On a loopback port unless it is told where.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ended } from '../../src/bus/suite/child.ts'
import { findCommand } from '../packages.ts'

/**
 * A reader that is further behind, or reads nothing for so long, is cut off. Until then the server holds back whoever
 * sends to it, up to a second at a time. The defaults are 64 MB and 10 s.
 */
const PENDING_BYTES_MAX = 8 * 1024 * 1024
const WRITE_DEADLINE_s = 2

/** What to add to the configuration: users, TLS, a cluster. */
export type Settings = (directory: string) => string

export interface NatsPlace {
  readonly host: string
  readonly port: number
  /** Where its own directory is made; otherwise among the temporary files. */
  readonly folder?: string
  /** Started otherwise than beside us: in a namespace. */
  spawn?(command: string, args: readonly string[]): ChildProcess
}

export class NatsServer {
  readonly directory: string
  readonly place: NatsPlace
  readonly #settings: Settings
  #process: ChildProcess | undefined

  /** On a free port. */
  static async start(settings: Settings = () => ''): Promise<NatsServer> {
    const server = new NatsServer({ host: '127.0.0.1', port: await freePort() }, settings)
    await server.start()
    return server
  }

  constructor(place: NatsPlace, settings: Settings) {
    this.place = place
    this.directory = mkdtempSync(join(place.folder ?? tmpdir(), 'nats-'))
    this.#settings = settings
  }

  /** `host:port`. Loopback by its name, which certificates can have. */
  get address(): string {
    const { host, port } = this.place
    return `${host === '127.0.0.1' ? 'localhost' : host}:${port}`
  }

  get isRunning(): boolean {
    return this.#process !== undefined
  }

  /** Resolves once it takes clients. */
  async start(): Promise<void> {
    const { host, port, spawn: start = spawnHere } = this.place
    const file = join(this.directory, 'nats.conf')
    // What the limits of streams add up to is reserved, and not taken from the disk before it is needed.
    const common = [
      `listen: "${host}:${port}"`,
      `max_pending: ${PENDING_BYTES_MAX}`,
      `write_deadline: "${WRITE_DEADLINE_s}s"`,
      `jetstream { store_dir: "${this.directory}", max_memory_store: 64MB, max_file_store: 64GB }`,
    ]
    writeFileSync(file, [...common, this.#settings(this.directory)].join('\n'))
    const child = start(findCommand('nats-server')!, ['-c', file])
    this.#process = child
    const said: string[] = []
    for await (const line of createInterface(child.stderr!)) {
      said.push(line)
      if (/Server is ready/.test(line)) {
        child.stderr!.resume()
        return
      }
    }
    throw new Error(`nats-server did not start:\n${said.join('\n')}`)
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (!child) return
    child.kill('SIGKILL')
    await ended(child)
  }

  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name)
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

function spawnHere(command: string, args: readonly string[]): ChildProcess {
  return spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
