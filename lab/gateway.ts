/**
 * The gateway of a site in the lab: `gatehouse up` as a real child process, and what it says of itself. Knows when all of it is
 * ready, and when something is not, whose log to show.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Observer } from './observe.ts'
import type { Surroundings } from './site.ts'

const ROOT = resolve(import.meta.dirname, '..')
/** A node warms up for seconds, and on a small machine several of them at once. */
const READY_MS = 90_000
const STOP_MS = 20_000
const POLL_MS = 100
const LOG_LINES = 8

export class Gateway {
  readonly observer: Observer
  readonly #surroundings: Surroundings
  readonly #up: ChildProcess
  #stopping = false

  /** Starts all modules; see `whenReady`. */
  static start(surroundings: Surroundings): Gateway {
    const { lab, siteFile, runFolder } = surroundings
    const log = openSync(join(lab.folder, 'up.log'), 'a')
    const main = join(ROOT, 'src/main.ts')
    const args = ['--disable-warning=ExperimentalWarning', main, 'up', siteFile, '--run-directory', runFolder]
    const up = lab.spawn(undefined, process.execPath, args, { stdio: ['ignore', log, log] })
    closeSync(log)
    return new Gateway(surroundings, up)
  }

  private constructor(surroundings: Surroundings, up: ChildProcess) {
    this.#surroundings = surroundings
    this.#up = up
    this.observer = new Observer(surroundings)
  }

  get hasEnded(): boolean {
    return this.#up.exitCode !== null || this.#up.signalCode !== null
  }

  /** Rejects, with the end of the log of what is to blame, when `up` ends or time runs out. */
  async whenReady(signal?: AbortSignal): Promise<void> {
    let missing: readonly string[] = this.observer.expected
    for (let waited_ms = 0; missing.length > 0; waited_ms += POLL_MS) {
      signal?.throwIfAborted()
      if (this.hasEnded) throw new Error(`gatehouse up has ended:\n${this.lastLines(missing)}`)
      if (waited_ms > READY_MS)
        throw new Error(`not ready after ${READY_MS / 1000} s: ${missing.join(', ')}\n${this.lastLines(missing)}`)
      await sleep(POLL_MS)
      missing = await this.observer.notReady()
    }
  }

  /** Of up's own log, and of each of these modules that has one. */
  lastLines(modules: readonly string[]): string {
    const folder = join(this.#surroundings.runFolder, 'log')
    const files = [join(this.#surroundings.lab.folder, 'up.log')]
    for (const name of namesIn(folder))
      if (modules.some((module) => name === `${module}.log` || name.endsWith(`.${module}.log`)))
        files.push(join(folder, name))
    return files.map((file) => `--- ${file}\n${lastLinesOf(file)}`).join('\n')
  }

  /** Stops all modules, in order. */
  async stop(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    await this.observer.close()
    if (this.hasEnded) return
    const exited = once(this.#up, 'exit')
    this.#up.kill('SIGTERM')
    const late = new AbortController()
    await Promise.race([exited, sleep(STOP_MS, undefined, { signal: late.signal }).catch(() => {})])
    late.abort()
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function lastLinesOf(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_LINES).join('\n')
}
