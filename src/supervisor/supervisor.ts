/**
 * What `gatehouse up` is made of: every module of a site as its own process, restarted when it dies, stopped in reverse
 * order. The modules do not need it. When it is killed they go on, and the next one finds them by what the run
 * directory says, adopts those that run as they should, restarts those whose command changed, and starts what is
 * missing.
 *
 * A killed process is not a lost link: carriers stay up and traffic would go on into nothing. `onCrash` is where
 * whoever starts us takes the dead module's links down, before it is started again.
 */

import { EventEmitter } from 'node:events'
import { copyFileSync, mkdirSync, statSync, truncateSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { assert } from '../base/assert.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { type FileLock, lockFile } from '../base/file-lock.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import {
  Module,
  type ModuleEvents,
  type ModuleOptions,
  type ModuleSpec,
  type ModuleStatus,
  terminate,
} from './module.ts'
import {
  adoptProcess,
  type FailedProcess,
  findByEnvironment,
  isAlive,
  type RunningProcess,
  runsCommand,
  spawnProcess,
} from './process.ts'
import { type ModuleRecord, readRunState, supervisorPid, writeRunState } from './run-state.ts'

/** A module withdraws itself and hands over within this time; whoever hangs is killed. */
const STOP_TIMEOUT_ms = 5000
/** Warming up and a full table take seconds. */
const START_TIMEOUT_ms = 60_000
/** A module's log above it becomes `NAME.log.1`, in place of the one before. */
const LOG_BYTES_MAX = 16 * 1024 * 1024
const LOG_INTERVAL_ms = 10_000
/** In a module's environment: which module of which run it is. */
const MARK = 'GATEHOUSE_MODULE'

export interface SupervisorOptions {
  /** The site's run directory. */
  readonly directory: string
  /** In the order of starting. */
  readonly modules: readonly ModuleSpec[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /**
   * Resolves when the module works; the next one is not started before. At once for modules that nobody builds on. The
   * signal fires when its process has ended first.
   */
  waitReady?(name: string, signal: AbortSignal): Promise<void>
  /** A module ended that should not have; it is started again when this is done. */
  onCrash?(name: string): void | Promise<void>
  readonly stopTimeout_ms?: number
  readonly startTimeout_ms?: number
}

export class Supervisor extends EventEmitter<ModuleEvents> {
  readonly #options: SupervisorOptions
  readonly #specs = new Map<string, ModuleSpec>()
  #modules: Module[]
  readonly #records = new Map<string, ModuleRecord>()
  #lock: FileLock | undefined
  #logTimer: Timer | undefined
  #takenOver: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(options: SupervisorOptions) {
    super()
    assert(isAbsolute(options.directory), 'the run directory is an absolute path')
    checkNames(options.modules)
    this.#options = options
    this.#modules = options.modules.map((spec) => this.#module(spec))
  }

  /**
   * Resolves when every module is ready, or `stop` was called. Rejects when another supervisor has the run directory,
   * or when a module is not ready in time; those that run go on until `stop`.
   */
  async start(): Promise<void> {
    const { directory, clock } = this.#options
    mkdirSync(join(directory, 'log'), { recursive: true, mode: 0o750 })
    this.#lock = lockFile(join(directory, 'up.lock'))
    if (!this.#lock) {
      throw new Error(`another gatehouse up (process ${supervisorPid(directory)}) runs the site in ${directory}`)
    }
    this.#logTimer = clock.every(LOG_INTERVAL_ms, () => this.#limitLogs())
    this.#takenOver = this.#takeOver()
    await this.#takenOver
    for (const module of this.#modules) {
      if (this.#stopped) return
      if (!module.running) module.start()
      await this.#untilReady(module)
    }
  }

  /**
   * Makes the modules what they are to be from now on: ends those that are gone, starts those that are new, and starts
   * those again whose command or environment changed, one at a time. The others notice nothing. After `start`; rejects
   * as it does.
   */
  async update(modules: readonly ModuleSpec[]): Promise<void> {
    checkNames(modules)
    const wanted = new Map(modules.map((spec) => [spec.name, spec]))
    const gone = this.#modules.filter(({ name }) => !wanted.has(name))
    const kept = new Map(this.#modules.filter(({ name }) => wanted.has(name)).map((module) => [module.name, module]))
    for (const module of gone.toReversed()) await module.stop()
    for (const { name } of gone) this.#specs.delete(name)
    this.#modules = modules.map((spec) => kept.get(spec.name) ?? this.#module(spec))
    for (const [place, spec] of modules.entries()) {
      if (this.#stopped) return
      const before = kept.get(spec.name)
      if (before && sameCommand(spec, this.#specs.get(spec.name)!)) continue
      if (before) {
        await before.stop()
        this.#modules[place] = this.#module(spec)
      }
      this.#modules[place]!.start()
      await this.#untilReady(this.#modules[place]!)
    }
  }

  /** Ends all modules, the last one first. Resolves when none of their processes is left. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  status(): ModuleStatus[] {
    return this.#modules.map((module) => module.status())
  }

  logPath(name: string): string {
    return join(this.#options.directory, 'log', `${name}.log`)
  }

  async #stop(): Promise<void> {
    // What is being adopted is to be stopped too. What goes wrong there is told by `start`.
    await this.#takenOver?.catch(() => {})
    for (const module of this.#modules.toReversed()) await module.stop()
    this.#logTimer?.cancel()
    this.#lock?.release()
    this.#lock = undefined
  }

  async #untilReady(module: Module): Promise<void> {
    const { clock, startTimeout_ms = START_TIMEOUT_ms } = this.#options
    const late = Promise.withResolvers<never>()
    const timer = clock.after(startTimeout_ms, () => {
      const where = this.logPath(module.name)
      late.reject(
        new Error(`module ${module.name} is not ready after ${startTimeout_ms / 1000} s; its log is ${where}`),
      )
    })
    try {
      await Promise.race([module.whenReady(), late.promise])
    } finally {
      timer.cancel()
    }
    const { state, lastEnd } = module.status()
    if (state === 'stopped' && !this.#stopped && lastEnd?.code !== 0) {
      throw new Error(`module ${module.name} failed; its log is ${this.logPath(module.name)}`)
    }
  }

  /** Goes on with the processes of an earlier supervisor that are as they should be, and ends the others. */
  async #takeOver(): Promise<void> {
    const { directory, modules, clock, log, stopTimeout_ms = STOP_TIMEOUT_ms } = this.#options
    const found = new Map<string, RunningProcess>()
    for (const record of readRunState(directory).toReversed()) {
      const process = this.#find(record)
      const spec = modules.find(({ name }) => name === record.name)
      if (!process) {
        log.error({ module: record.name, pid: record.identity?.pid }, 'module ended while nobody supervised it')
        await this.#options.onCrash?.(record.name)
      } else if (spec && sameCommand(spec, record)) {
        found.set(record.name, process)
        this.#records.set(record.name, { ...record, identity: process.identity })
      } else {
        log.info({ module: record.name, pid: process.identity.pid }, spec ? 'module changed' : 'module removed')
        await terminate(process, clock, stopTimeout_ms)
      }
    }
    this.#save()
    for (const module of this.#modules) {
      const process = found.get(module.name)
      if (process) module.start(process)
    }
  }

  #find({ name, command, identity }: ModuleRecord): RunningProcess | undefined {
    const { clock } = this.#options
    if (!identity) {
      const stray = findByEnvironment(this.#mark(name), command)
      return stray && adoptProcess(stray, clock)
    }
    if (!isAlive(identity) || !runsCommand(identity.pid, command)) return undefined
    return adoptProcess(identity, clock)
  }

  #module(spec: ModuleSpec): Module {
    this.#specs.set(spec.name, spec)
    return new Module(this.#moduleOptions(spec))
  }

  #moduleOptions(spec: ModuleSpec): ModuleOptions {
    const { clock, random, log, stopTimeout_ms = STOP_TIMEOUT_ms } = this.#options
    return {
      spec,
      clock,
      random,
      log,
      stopTimeout_ms,
      spawn: () => this.#spawn(spec),
      forget: () => {
        this.#records.delete(spec.name)
        this.#save()
      },
      waitReady: (name, signal) => this.#options.waitReady?.(name, signal) ?? Promise.resolve(),
      onCrash: (name) => this.#options.onCrash?.(name),
      emit: (event, ...args) =>
        void (this.emit as (event: string, ...args: unknown[]) => boolean).call(this, event, ...args),
    }
  }

  #spawn(spec: ModuleSpec): RunningProcess | FailedProcess {
    const { name, command, env = {} } = spec
    this.#records.set(name, { name, command, env, identity: undefined })
    this.#save()
    const mark = this.#mark(name)
    const run = spawnProcess(
      command,
      { ...process.env, ...env, [MARK]: mark.slice(MARK.length + 1) },
      this.logPath(name),
    )
    if (run.identity) this.#records.set(name, { name, command, env, identity: run.identity })
    else this.#records.delete(name)
    this.#save()
    return run
  }

  #mark(name: string): string {
    return `${MARK}=${this.#options.directory}/${name}`
  }

  #save(): void {
    const inOrder = this.#modules.flatMap(({ name }) => this.#records.get(name) ?? [])
    try {
      writeRunState(this.#options.directory, inOrder)
    } catch (error) {
      // Supervision goes on. Should it be killed now, the next supervisor would not know all that runs.
      this.#options.log.error({ error: String(error) }, 'the run state cannot be written')
    }
  }

  // The module has the file open for appending: it goes on at the start of the emptied file.
  #limitLogs(): void {
    for (const { name } of this.#modules) {
      const path = this.logPath(name)
      const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0
      if (bytes <= LOG_BYTES_MAX) continue
      copyFileSync(path, `${path}.1`)
      truncateSync(path)
    }
  }
}

function checkNames(modules: readonly ModuleSpec[]): void {
  const names = modules.map(({ name }) => name)
  assert(new Set(names).size === names.length, 'two modules of one name')
  for (const name of names) assert(/^[\w.-]+$/.test(name), `${name} is no name of a module`)
}

function sameCommand(spec: ModuleSpec, record: Pick<ModuleRecord, 'command' | 'env'> | ModuleSpec): boolean {
  const plain = ({ command, env = {} }: Pick<ModuleSpec, 'command' | 'env'>): string =>
    JSON.stringify([command, Object.entries(env).toSorted(([a], [b]) => (a < b ? -1 : 1))])
  return plain(spec) === plain(record)
}
