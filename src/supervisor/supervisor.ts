/**
 * What `gatehouse up` is made of: every module of a site as its own process, restarted when it dies, stopped in reverse
 * order. The modules do not need it. When it is killed they go on, and the next one finds them by what the run
 * directory says, adopts them, starts what is missing, and starts those again whose command changed, one by one.
 *
 * A module that does not become ready costs nobody else anything: it is told, tried on, and the others go on. Only
 * where nothing runs yet is a start given up, and only for an essential one.
 *
 * A killed process is not a lost link: carriers stay up and traffic would go on into nothing. `onCrash` is where
 * whoever starts us takes the dead module's links down, before it is started again.
 */

import { EventEmitter } from 'node:events'
import { copyFileSync, mkdirSync, statSync, truncateSync } from 'node:fs'
import { availableParallelism } from 'node:os'
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
  /** Where the modules' output goes. */
  readonly logDirectory: string
  /** In the order of starting, the essential ones first. */
  readonly modules: readonly ModuleSpec[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /**
   * Resolves when the module works. The signal fires when its process has ended first.
   */
  waitReady?(name: string, signal: AbortSignal): Promise<void>
  /** A module ended that should not have; it is started again when this is done. */
  onCrash?(name: string): void | Promise<void>
  readonly stopTimeout_ms?: number
  readonly startTimeout_ms?: number
}

export class Supervisor extends EventEmitter<ModuleEvents> {
  readonly #options: SupervisorOptions
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
   * Resolves when every module is ready or was waited for long enough, or `stop` was called. Rejects when another
   * supervisor has the run directory, or when nothing ran before and an essential module is not ready in time.
   */
  async start(): Promise<void> {
    const { directory, logDirectory, clock, modules } = this.#options
    mkdirSync(logDirectory, { recursive: true, mode: 0o750 })
    this.#lock = lockFile(join(directory, 'up.lock'))
    if (!this.#lock) {
      throw new Error(`another gatehouse up (process ${supervisorPid(directory)}) runs the site in ${directory}`)
    }
    this.#logTimer = clock.every(LOG_INTERVAL_ms, () => this.#limitLogs())
    this.#takenOver = this.#takeOver()
    await this.#takenOver
    if (!this.#modules.some(({ running }) => running)) return this.#startAll()
    const adopted = await this.#bringAbout(modules)
    await Promise.all(adopted.map((module) => this.#untilReady(module)))
  }

  /**
   * Makes the modules what they are to be from now on: ends those that are gone, starts those that are new, and starts
   * those again whose command or environment changed, one at a time. The others notice nothing. After `start`; one
   * update at a time.
   */
  async update(modules: readonly ModuleSpec[]): Promise<void> {
    checkNames(modules)
    const wanted = new Set(modules.map(({ name }) => name))
    const gone = this.#modules.filter(({ name }) => !wanted.has(name))
    for (const module of gone.toReversed()) await module.stop()
    if (this.#stopped) return
    const kept = new Map(this.#modules.map((module) => [module.name, module]))
    this.#modules = modules.map((spec) => kept.get(spec.name) ?? this.#module(spec))
    await this.#bringAbout(modules)
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
    return join(this.#options.logDirectory, `${name}.log`)
  }

  async #stop(): Promise<void> {
    // What is being adopted is to be stopped too. What goes wrong there is told by `start`.
    await this.#takenOver?.catch(() => {})
    for (const module of this.#modules.toReversed()) await module.stop()
    this.#logTimer?.cancel()
    this.#lock?.release()
    this.#lock = undefined
  }

  /** Where nothing runs yet: each essential module when those before it are ready, then all others on all cores. */
  async #startAll(): Promise<void> {
    const essential = this.#modules.filter(({ spec }) => spec.essential)
    const others = this.#modules.filter(({ spec }) => !spec.essential).values()
    const startEach = async (modules: Iterable<Module>, fatal: boolean): Promise<void> => {
      for (const module of modules) {
        if (this.#stopped) return
        module.start()
        await this.#untilReady(module, fatal)
      }
    }
    await startEach(essential, true)
    await Promise.all(Array.from({ length: availableParallelism() }, () => startEach(others, false)))
  }

  /**
   * In order, each when the one before is ready. Answers those that it left alone since they run as they should.
   *
   * Once a module that ran does not become ready after its change, as with a release that does not work here, no other
   * one is ended for its own: what runs goes on as it is, and the next update tries again.
   */
  async #bringAbout(specs: readonly ModuleSpec[]): Promise<Module[]> {
    const alone: Module[] = []
    let failed: string | undefined
    for (const [place, spec] of specs.entries()) {
      if (this.#stopped) break
      const before = this.#modules[place]!
      const isSame = sameCommand(spec, before.spec)
      if (before.running && isSame && !spec.essential) {
        alone.push(before)
        continue
      }
      if (before.running && !isSame) {
        if (failed !== undefined) {
          this.#options.log.error({ module: spec.name, failed }, 'module is not changed: another one failed at that')
          continue
        }
        await before.stop()
        if (this.#stopped) break
      }
      if (!isSame) this.#modules[place] = this.#module(spec)
      const module = this.#modules[place]!
      if (!module.running) module.start()
      const isReady = await this.#untilReady(module)
      if (!isReady && before.running && !isSame) failed = spec.name
    }
    return alone
  }

  /** False, and told, if it is not ready in time or fails again and again. That throws if it is `fatal`. */
  async #untilReady(module: Module, fatal = false): Promise<boolean> {
    const { clock, log, startTimeout_ms = START_TIMEOUT_ms } = this.#options
    const late = Promise.withResolvers<string>()
    const timer = clock.after(startTimeout_ms, () => late.resolve(`is not ready after ${startTimeout_ms / 1000} s`))
    const reasons: Promise<string | undefined>[] = [late.promise, module.whenReady().then(() => undefined)]
    // What nothing works without may take its time.
    if (!module.spec.essential) reasons.push(module.failing.then(() => 'fails again and again'))
    let reason = await Promise.race(reasons)
    timer.cancel()
    if (this.#stopped) return false
    const { state, lastEnd } = module.status()
    if (state === 'stopped' && lastEnd?.code !== 0) reason = 'failed'
    if (reason === undefined) return true
    const message = `module ${module.name} ${reason}; its log is ${this.logPath(module.name)}`
    if (fatal) throw new Error(message)
    log.error({ module: module.name, lastEnd }, message)
    return false
  }

  /** Goes on with the processes of an earlier supervisor, as they are, and ends those that are not to be any more. */
  async #takeOver(): Promise<void> {
    const { directory, modules, clock, log, stopTimeout_ms = STOP_TIMEOUT_ms } = this.#options
    const found = new Map<string, RunningProcess>()
    for (const record of readRunState(directory).toReversed()) {
      const process = this.#find(record)
      const spec = modules.find(({ name }) => name === record.name)
      if (!process) {
        log.error({ module: record.name, pid: record.identity?.pid }, 'module ended while nobody supervised it')
        await this.#crashed(record.name)
      } else if (spec) {
        found.set(record.name, process)
        this.#records.set(record.name, { ...record, identity: process.identity })
        const place = modules.indexOf(spec)
        this.#modules[place] = this.#module({ ...spec, command: record.command, env: record.env })
      } else {
        log.info({ module: record.name, pid: process.identity.pid }, 'module removed')
        await terminate(process, clock, stopTimeout_ms)
      }
    }
    this.#save()
    for (const module of this.#modules) {
      const process = found.get(module.name)
      if (process) module.start(process)
    }
  }

  async #crashed(name: string): Promise<void> {
    try {
      await this.#options.onCrash?.(name)
    } catch (error) {
      this.#options.log.error({ module: name, error: String(error) }, 'what follows a crash failed')
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
      try {
        const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0
        if (bytes <= LOG_BYTES_MAX) continue
        copyFileSync(path, `${path}.1`)
        truncateSync(path)
      } catch (error) {
        // A full disk is no reason to end; it is tried again.
        this.#options.log.error({ module: name, error: String(error) }, 'the log cannot be cut')
      }
    }
  }
}

function checkNames(modules: readonly ModuleSpec[]): void {
  const names = modules.map(({ name }) => name)
  assert(new Set(names).size === names.length, 'two modules of one name')
  for (const name of names) assert(/^[\w.-]+$/.test(name), `${name} is no name of a module`)
}

function sameCommand(a: ModuleSpec, b: ModuleSpec): boolean {
  const plain = ({ command, env = {} }: ModuleSpec): string =>
    JSON.stringify([command, Object.entries(env).toSorted(([a], [b]) => (a < b ? -1 : 1))])
  return plain(a) === plain(b)
}
