/**
 * The routing module alone, as a real child process: `gatehouse run routing` with a site file of the caller's. Knows
 * from its log which sessions are up.
 */

import type { ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Lab } from './namespaces.ts'

const MAIN = resolve(import.meta.dirname, '../src/main.ts')
const PATIENCE_MS = 90_000

/** A line of its log: a session that came up or went down. */
export interface SessionLine {
  readonly peer: string
  readonly to: string
  readonly reason?: string
}

export class RoutingModule {
  readonly #child: ChildProcess
  readonly #file: string
  readonly #lines: string[] = []
  readonly #news = new EventEmitter<{ line: [] }>()
  readonly #up = new Set<string>()
  /** Every session that came up or went down, in order. */
  readonly sessions: SessionLine[] = []

  /** `site`: the text of a site file; `name`: which of its routing nodes. Resolves when peers may come. Stopped with the lab. */
  static async start(lab: Lab, namespace: string, site: string, name?: string): Promise<RoutingModule> {
    const folder = `${lab.folder}/routing-${namespace}`
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${folder}/site.yaml`, site)
    return await RoutingModule.startFile(lab, namespace, `${folder}/site.yaml`, name)
  }

  static async startFile(lab: Lab, namespace: string, file: string, name?: string): Promise<RoutingModule> {
    const run = `${lab.folder}/routing-${namespace}/run`
    const named = name === undefined ? [] : ['--name', name]
    const words = [MAIN, 'run', 'routing', file, '--run', run, '--state', run, ...named]
    const child = lab.spawn(namespace, process.execPath, ['--disable-warning=ExperimentalWarning', ...words], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const module = new RoutingModule(child, file)
    await module.#until('it is not ready', () => module.#lines.some((line) => line.includes('"msg":"ready"')))
    return module
  }

  private constructor(child: ChildProcess, file: string) {
    this.#child = child
    this.#file = file
    createInterface(child.stderr!).on('line', (line) => this.#take(line))
    child.on('exit', () => this.#news.emit('line'))
  }

  /** Resolves when all of these neighbours' sessions are up at the same time. */
  async established(...names: string[]): Promise<void> {
    await this.#until(`not up: ${names.join(', ')}`, () => names.every((name) => this.#up.has(name)))
  }

  /** Resolves with the line of the next time that the neighbour's session comes up or goes down. */
  async next(name: string, to: 'up' | 'down'): Promise<SessionLine> {
    const from = this.sessions.length
    const found = (): SessionLine | undefined =>
      this.sessions.slice(from).find((line) => line.peer === name && (line.to === 'established') === (to === 'up'))
    await this.#until(`${name} did not go ${to}`, () => found() !== undefined)
    return found()!
  }

  /** Resolves when what is watched under this name is up, or down: a probe, or BFD with a neighbour. */
  async watches(thing: string, state: 'up' | 'down'): Promise<void> {
    const isAbout = (line: string): boolean => line.includes(`"thing":${JSON.stringify(thing)}`)
    const isSo = (): boolean => this.#lines.findLast(isAbout)?.includes(`"msg":"is ${state}"`) === true
    await this.#until(`${thing} is not ${state}`, isSo)
  }

  /** Gives it another site file. Resolves when it has been taken. */
  async reload(site: string): Promise<void> {
    writeFileSync(this.#file, site)
    const from = this.#lines.length
    this.#child.kill('SIGHUP')
    const isTaken = (line: string): boolean => line.includes('policies and neighbours reloaded')
    await this.#until('the site file is not taken', () => this.#lines.slice(from).some(isTaken))
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** How many sessions are up. */
  get upCount(): number {
    return this.#up.size
  }

  isUp(name: string): boolean {
    return this.#up.has(name)
  }

  lastLines(): string {
    return this.#lines.slice(-20).join('\n')
  }

  /** As a process ends that nobody has asked to. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGTERM')
    await once(this.#child, 'exit')
  }

  #take(line: string): void {
    this.#lines.push(line)
    if (line.includes('"msg":"session"')) {
      const session = JSON.parse(line) as SessionLine
      this.sessions.push(session)
      if (session.to === 'established') this.#up.add(session.peer)
      else this.#up.delete(session.peer)
    }
    this.#news.emit('line')
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const late = AbortSignal.timeout(PATIENCE_MS)
    while (!holds()) {
      if (this.#child.exitCode !== null) throw new Error(`routing has ended: ${what}\n${this.lastLines()}`)
      await once(this.#news, 'line', { signal: late }).catch(() => {
        throw new Error(`routing: ${what} after ${PATIENCE_MS / 1000} s\n${this.lastLines()}`)
      })
    }
  }
}
