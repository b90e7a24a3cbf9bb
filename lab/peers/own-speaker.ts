/**
 * Our own speaker in a customer's place, for machines without BIRD: it announces what it is told to, and keeps what it
 * learns to itself. Its process is own-speaker-main.ts.
 */

import { writeFileSync } from 'node:fs'
import { type BgpOrigination, type BgpRouter, type BgpRouterOptions, Daemon } from './bgp-router.ts'

const MAIN = new URL('./own-speaker-main.ts', import.meta.url).pathname

/** What own-speaker-main.ts reads, anew at SIGHUP. */
export interface OwnSpeakerConfig {
  readonly as: number
  readonly routerId: string
  readonly neighbours: BgpRouterOptions['neighbours']
  readonly announces: readonly string[]
}

export class OwnSpeaker implements Pick<BgpRouter, 'announce' | 'withdraw' | 'stop'> {
  readonly #options: BgpRouterOptions
  readonly #daemon: Daemon
  readonly #prefixes = new Set<string>()

  static async start(options: BgpRouterOptions): Promise<OwnSpeaker> {
    const speaker = new OwnSpeaker(options)
    await speaker.#start()
    return speaker
  }

  private constructor(options: BgpRouterOptions) {
    this.#options = options
    this.#daemon = new Daemon(options)
  }

  /** Only the prefix is of use: paths are of its own AS alone. */
  async announce(routes: readonly BgpOrigination[]): Promise<void> {
    for (const { prefix } of routes) this.#prefixes.add(prefix)
    this.#tell()
  }

  async withdraw(prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) this.#prefixes.delete(prefix)
    this.#tell()
  }

  async stop(): Promise<void> {
    await this.#daemon.stop()
  }

  async #start(): Promise<void> {
    this.#write()
    this.#daemon.start(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, this.#file])
    await this.#daemon.until('our speaker does not start', () => this.#daemon.lastLines().includes('ready'))
  }

  get #file(): string {
    return `${this.#daemon.folder}/speaker.json`
  }

  #write(): void {
    const { as, routerId, neighbours } = this.#options
    const config: OwnSpeakerConfig = { as, routerId, neighbours, announces: [...this.#prefixes] }
    writeFileSync(this.#file, JSON.stringify(config))
  }

  #tell(): void {
    this.#write()
    this.#daemon.signal('SIGHUP')
  }
}
