/**
 * One module under supervision: its process is started or adopted, watched, and started again when it ends without
 * being asked to, each time after a longer wait unless it ran well for a while.
 *
 *     start --> starting --> ready --> (ended) --> waiting --> starting ...    stop, from anywhere: stopping -> stopped
 */

import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { pause } from '../base/signal.ts'
import { type FailedProcess, killGroup, type ProcessEnd, type RunningProcess, signalProcess } from './process.ts'

/** The first restart is at once: traffic waits for it. */
const RESTART_FIRST_ms = 100
const RESTART_LAST_ms = 10_000
/** A run of this length wipes out the failures before it. */
const SOUND_RUN_ms = 30_000
/** After so many ends without having been ready nobody waits for it any more; it is tried on. */
const FAILING_AFTER = 3

export interface ModuleSpec {
  /** Letters, digits, `-`, `_` and `.`; the name of its log. */
  readonly name: string
  readonly command: readonly string[]
  /** On top of our own environment. */
  readonly env?: Readonly<Record<string, string>>
  /** 'never' for what does its work and ends. */
  readonly restart: 'always' | 'never'
  /** Nothing works without it: where nothing runs yet, a start that it fails is given up. */
  readonly essential?: boolean
}

export type ModuleState = 'starting' | 'ready' | 'waiting' | 'stopping' | 'stopped'

export interface ModuleStatus {
  readonly name: string
  readonly state: ModuleState
  readonly pid: number | undefined
  /** The process runs since before this supervisor. */
  readonly adopted: boolean
  readonly restarts: number
  readonly lastEnd: ProcessEnd | undefined
}

export interface ModuleEvents {
  start: [status: ModuleStatus]
  ready: [status: ModuleStatus]
  /** `expected`: it was asked to, or its work is done. */
  exit: [status: ModuleStatus, expected: boolean]
}

export interface ModuleOptions {
  readonly spec: ModuleSpec
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly stopTimeout_ms: number
  /** Spawns the process and writes down what it is. */
  spawn(): RunningProcess | FailedProcess
  /** Called when there is no process any more, whose identity was written down. */
  forget(): void
  waitReady(name: string, signal: AbortSignal): Promise<void>
  onCrash(name: string): void | Promise<void>
  emit<Event extends keyof ModuleEvents>(event: Event, ...args: ModuleEvents[Event]): void
}

export class Module {
  readonly #options: ModuleOptions
  readonly #stopping = new AbortController()
  readonly #ready = Promise.withResolvers<void>()
  readonly #failing = Promise.withResolvers<void>()
  #state: ModuleState = 'waiting'
  #process: RunningProcess | undefined
  #lastEnd: ProcessEnd | undefined
  #restarts = 0
  #failures = 0
  #run: Promise<void> | undefined

  constructor(options: ModuleOptions) {
    this.#options = options
  }

  get name(): string {
    return this.#options.spec.name
  }

  get spec(): ModuleSpec {
    return this.#options.spec
  }

  /** It was started, whatever has become of it. */
  get running(): boolean {
    return this.#run !== undefined
  }

  status(): ModuleStatus {
    const pid = this.#process?.identity.pid
    const adopted = this.#process?.adopted ?? false
    return { name: this.name, state: this.#state, pid, adopted, restarts: this.#restarts, lastEnd: this.#lastEnd }
  }

  /** Goes on until `stop`. `found` is its process if it runs already. */
  start(found?: RunningProcess): void {
    this.#run = this.#supervise(found)
  }

  /** Resolves once it was ready for the first time, or is stopped. */
  async whenReady(): Promise<void> {
    await Promise.race([this.#ready.promise, this.#run])
  }

  /** Resolves once it has ended several times; the waiting for its next start grows long by then. */
  get failing(): Promise<void> {
    return this.#failing.promise
  }

  /** SIGTERM, and after a while SIGKILL. Resolves when nothing of it is left. */
  async stop(): Promise<void> {
    if (!this.#stopping.signal.aborted) {
      if (this.#process) this.#state = 'stopping'
      this.#stopping.abort()
      if (this.#process) await terminate(this.#process, this.#options.clock, this.#options.stopTimeout_ms)
    }
    if (this.#run) await this.#run
    else this.#state = 'stopped'
  }

  async #supervise(found: RunningProcess | undefined): Promise<void> {
    const { clock, spec } = this.#options
    let next: RunningProcess | FailedProcess = found ?? this.#options.spawn()
    for (let ends = 1; ; ends++) {
      const started_us = clock.now_us()
      const expected = await this.#oneRun(next)
      if (expected || spec.restart === 'never' || this.#stopping.signal.aborted) break
      if (clock.now_us() - started_us > SOUND_RUN_ms * 1000) this.#failures = 0
      this.#state = 'waiting'
      if (ends === FAILING_AFTER) this.#failing.resolve()
      await this.#backOff()
      if (this.#stopping.signal.aborted) break
      this.#restarts++
      next = this.#options.spawn()
    }
    this.#state = 'stopped'
  }

  /** From start to end of one process. True: it ended as it should. */
  async #oneRun(run: RunningProcess | FailedProcess): Promise<boolean> {
    const { spec, log, emit, forget } = this.#options
    const over = new AbortController()
    const pid = run.identity?.pid
    if (run.identity) {
      this.#process = run
      this.#state = 'starting'
      log.info({ module: spec.name, pid }, run.adopted ? 'module adopted' : 'module started')
      emit('start', this.status())
      void this.#awaitReady(over.signal)
    }
    this.#lastEnd = await run.ended
    over.abort()
    if (run.identity) killGroup(run.identity)
    const expected = this.#stopping.signal.aborted || (spec.restart === 'never' && this.#lastEnd.code === 0)
    if (expected) log.info({ module: spec.name, pid, ...this.#lastEnd }, 'module ended')
    else log.error({ module: spec.name, pid, ...this.#lastEnd }, 'module ended unexpectedly')
    // It is forgotten only then: should we be killed meanwhile, the next supervisor finds it dead and sees to it again.
    if (!expected) await this.#crashed()
    forget()
    emit('exit', this.status(), expected)
    this.#process = undefined
    return expected
  }

  async #awaitReady(over: AbortSignal): Promise<void> {
    const { log, waitReady, emit } = this.#options
    try {
      await waitReady(this.name, over)
    } catch (error) {
      if (!over.aborted) log.error({ module: this.name, error: String(error) }, 'module does not become ready')
      return
    }
    if (over.aborted || this.#state !== 'starting') return
    this.#state = 'ready'
    emit('ready', this.status())
    this.#ready.resolve()
  }

  async #crashed(): Promise<void> {
    try {
      await this.#options.onCrash(this.name)
    } catch (error) {
      this.#options.log.error({ module: this.name, error: String(error) }, 'what follows a crash failed')
    }
  }

  async #backOff(): Promise<void> {
    const delay_ms = this.#failures === 0 ? 0 : Math.min(RESTART_FIRST_ms * 2 ** (this.#failures - 1), RESTART_LAST_ms)
    if (delay_ms < RESTART_LAST_ms) this.#failures++
    const jitter = 0.75 + this.#options.random.below(512) / 1024
    await pause(this.#options.clock, delay_ms * jitter, this.#stopping.signal)
  }
}

/** Asks it to end, and after the time ends it with all of its group. */
export async function terminate(run: RunningProcess, clock: Clock, timeout_ms: number): Promise<void> {
  const { identity } = run
  signalProcess(identity, 'SIGTERM')
  const timer = clock.after(timeout_ms, () => killGroup(identity))
  await run.ended
  timer.cancel()
  killGroup(identity)
}
