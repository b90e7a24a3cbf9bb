/**
 * The gateway of a site in the lab: `gatehouse up` as a real child process, and what it says of itself. Knows when all
 * of it is ready, and when something is not, whose log to show.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Observer } from './observe.ts'
import type { Surroundings } from './site.ts'

const MAIN = resolve(import.meta.dirname, '../src/main.ts')
/** A node warms up for seconds, and on a small machine several of them at once. */
const READY_MS = 90_000
const STOP_MS = 20_000
const POLL_MS = 100
const LOG_LINES = 8

export class Gateway {
  readonly observer: Observer
  readonly #surroundings: Surroundings
  readonly #expected: readonly string[]
  readonly #processes: readonly ChildProcess[]
  #stopping = false

  /** `gatehouse up`. All modules start; see `whenReady`. */
  static up(surroundings: Surroundings): Gateway {
    const observer = new Observer(surroundings)
    const { siteFile, runFolder } = surroundings
    const up = spawnGatehouse(surroundings, 'up', ['up', siteFile, '--run', runFolder])
    return new Gateway(surroundings, observer, observer.expected, [up])
  }

  /** Each module by `gatehouse run` and nobody to supervise them. Others play the parts of those that are `absent`. */
  static async withoutUp(surroundings: Surroundings, absent: readonly string[]): Promise<Gateway> {
    const observer = new Observer(surroundings)
    const { siteFile, runFolder, site } = surroundings
    const run = (role: string, name: string): ChildProcess =>
      spawnGatehouse(surroundings, name, ['run', role, siteFile, '--name', name, '--run', runFolder])
    const bus = surroundings.management ? [] : [run('bus', 'bus')]
    await observer.connected()
    const nodes = site.clusters.flatMap((cluster) => cluster.nodes)
    const here = ({ name }: { name: string }): boolean => !absent.includes(name)
    return new Gateway(
      surroundings,
      observer,
      observer.expected.filter((name) => !absent.includes(name)),
      [
        ...bus,
        run('control', 'control'),
        ...site.switches.filter(here).map(({ name }) => run('access', name)),
        ...nodes.filter(here).map(({ name }) => run('forwarding', name)),
        ...(site.routing?.nodes ?? []).filter(here).map(({ name }) => run('routing', name)),
      ],
    )
  }

  private constructor(
    surroundings: Surroundings,
    observer: Observer,
    expected: readonly string[],
    processes: readonly ChildProcess[],
  ) {
    this.#surroundings = surroundings
    this.observer = observer
    this.#expected = expected
    this.#processes = processes
  }

  /** What was started here is no more, of itself or killed. */
  get hasEnded(): boolean {
    return this.#processes.some(isOver)
  }

  /** Rejects, with the end of the log of what is to blame, when `up` ends or time runs out. */
  async whenReady(signal?: AbortSignal): Promise<void> {
    let missing = this.#expected
    for (let waited_ms = 0; missing.length > 0; waited_ms += POLL_MS) {
      signal?.throwIfAborted()
      if (this.hasEnded) throw new Error(`gatehouse has ended:\n${this.lastLines(missing)}`)
      if (waited_ms > READY_MS)
        throw new Error(`not ready after ${READY_MS / 1000} s: ${missing.join(', ')}\n${this.lastLines(missing)}`)
      await sleep(POLL_MS)
      const silent = await this.observer.notReady()
      missing = this.#expected.filter((name) => silent.includes(name))
    }
  }

  /** Of up's own log, and of each of these modules that has one. */
  lastLines(modules: readonly string[] = this.#expected): string {
    const { lab, runFolder } = this.#surroundings
    const files = [lab.folder, join(runFolder, 'log')].flatMap((folder) =>
      ['up', ...modules].map((name) => join(folder, `${name}.log`)).filter((file) => existsSync(file)),
    )
    return files.map((file) => `--- ${file}\n${lastLinesOf(file)}`).join('\n')
  }

  /** Stops all modules, in order. What does not end in time is left to the lab. */
  async stop(): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    await this.observer.close()
    const late = AbortSignal.timeout(STOP_MS)
    for (const child of this.#processes.toReversed().filter((each) => !isOver(each))) {
      child.kill('SIGTERM')
      await once(child, 'exit', { signal: late }).catch(() => {})
    }
  }
}

function spawnGatehouse({ lab, home }: Surroundings, name: string, words: readonly string[]): ChildProcess {
  const log = openSync(join(lab.folder, `${name}.log`), 'a')
  const args = ['--disable-warning=ExperimentalWarning', MAIN, ...words]
  const child = lab.spawn(home, process.execPath, args, { stdio: ['ignore', log, log] })
  closeSync(log)
  return child
}

function isOver({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

function lastLinesOf(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_LINES).join('\n')
}
