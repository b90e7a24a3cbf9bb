/**
 * One run of a module's process, whether we spawned it or found it running. A process is known by its id and its start
 * time (/proc/PID/stat, field 22, proc(5)), since ids come again; nothing is ever signalled on its id alone. A spawned
 * process is the leader of its own session, so a Ctrl-C at the terminal is not for it and what it spawned can be swept
 * away after it. Its output goes to a file, so it does not need us to live.
 */

import { spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'

/** How soon we learn that a process which is not our child has ended. Ten modules cost half a percent of a core. */
const POLL_INTERVAL_ms = 50

export interface ProcessIdentity {
  readonly pid: number
  /** In clock ticks since the machine started. */
  readonly startTime: number
}

/** Of a process that is not our child nobody tells us how it ended. */
export interface ProcessEnd {
  readonly code: number | undefined
  readonly signal: string | undefined
  /** Why it could not even be started. */
  readonly error: string | undefined
}

export interface RunningProcess {
  readonly identity: ProcessIdentity
  readonly adopted: boolean
  readonly ended: Promise<ProcessEnd>
}

/** A command that the system would not run; `ended` says why. */
export interface FailedProcess {
  readonly identity: undefined
  readonly adopted: false
  readonly ended: Promise<ProcessEnd>
}

/** Undefined if there is no such process, or only what is left of one until its parent looks. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readProc(pid, 'stat')
  // The second field is the program's name in parentheses, and may hold anything.
  const [state, ...fields] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
  if (state === undefined || state === 'Z' || state === 'X') return undefined
  return { pid, startTime: Number(fields[18]) }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTime === identity.startTime
}

/** Does the process run this command? The kernel may put an interpreter in front of a script's arguments. */
export function runsCommand(pid: number, command: readonly string[]): boolean {
  const words = readProc(pid, 'cmdline')?.split('\0').slice(0, -1) ?? []
  const wanted = command.slice(1)
  return words.length > wanted.length && wanted.every((word, i) => word === words[words.length - wanted.length + i])
}

/** A process of this command with this assignment in its environment. */
export function findByEnvironment(assignment: string, command: readonly string[]): ProcessIdentity | undefined {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const pid = Number(name)
    const environment = readProc(pid, 'environ')?.split('\0') ?? []
    if (environment.includes(assignment) && runsCommand(pid, command)) return identify(pid)
  }
  return undefined
}

/** Its output is appended to the file. */
export function spawnProcess(
  command: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  outputPath: string,
): RunningProcess | FailedProcess {
  let output: number
  try {
    output = openSync(outputPath, 'a', 0o640)
  } catch (error) {
    const end = { code: undefined, signal: undefined, error: (error as Error).message }
    return { identity: undefined, adopted: false, ended: Promise.resolve(end) }
  }
  const child = spawn(command[0]!, command.slice(1), { detached: true, stdio: ['ignore', output, output], env })
  closeSync(output)
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.once('error', (error) => resolve({ code: undefined, signal: undefined, error: error.message }))
    child.once('exit', (code, signal) => {
      resolve({ code: code ?? undefined, signal: signal ?? undefined, error: undefined })
    })
  })
  const { pid } = child
  if (pid === undefined) return { identity: undefined, adopted: false, ended }
  // One that ended already is nobody's to signal.
  return { identity: identify(pid) ?? { pid, startTime: -1 }, adopted: false, ended }
}

/** Watches a process that somebody else started. */
export function adoptProcess(identity: ProcessIdentity, clock: Clock): RunningProcess {
  const ended = new Promise<ProcessEnd>((resolve) => {
    const timer = clock.every(POLL_INTERVAL_ms, () => {
      if (isAlive(identity)) return
      timer.cancel()
      resolve({ code: undefined, signal: undefined, error: undefined })
    })
  })
  return { identity, adopted: true, ended }
}

export function signalProcess(identity: ProcessIdentity, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (isAlive(identity)) sendSignal(identity.pid, signal)
}

/** Kills the process and everything in its group; call it also right after its end, for what it left behind. */
export function killGroup(identity: ProcessIdentity): void {
  const now = identify(identity.pid)
  if (now && now.startTime !== identity.startTime) return
  sendSignal(-identity.pid, 'SIGKILL')
}

function sendSignal(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal)
  } catch (error) {
    // It may end between the look and the signal.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    // Gone, or somebody else's.
    return undefined
  }
}
