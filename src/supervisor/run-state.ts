/**
 * What a supervisor leaves in the run directory for the next one: which process is which module. The file is replaced
 * whole, so a reader finds the old or the new. A module is written down before it is spawned, without an identity; a
 * supervisor that was killed between the two is survived by a process that its environment gives away.
 */

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ProcessIdentity } from './process.ts'

const VERSION = 1

export interface ModuleRecord {
  readonly name: string
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Undefined: it was about to be spawned. */
  readonly identity: ProcessIdentity | undefined
}

interface RunState {
  readonly version: number
  /** Process ids and start times mean nothing after the machine was started anew. */
  readonly bootId: string
  readonly supervisorPid: number
  readonly modules: readonly ModuleRecord[]
}

const pathOf = (directory: string): string => join(directory, 'modules.json')

export function writeRunState(directory: string, modules: readonly ModuleRecord[]): void {
  const state: RunState = { version: VERSION, bootId: bootId(), supervisorPid: process.pid, modules }
  const fresh = `${pathOf(directory)}.new`
  writeFileSync(fresh, `${JSON.stringify(state, undefined, 2)}\n`, { mode: 0o600 })
  renameSync(fresh, pathOf(directory))
}

/** The records of this boot, in the order of starting. Throws if the file is there but not one of ours. */
export function readRunState(directory: string): readonly ModuleRecord[] {
  const state = readState(directory)
  return state?.bootId === bootId() ? state.modules : []
}

export function supervisorPid(directory: string): number | undefined {
  return readState(directory)?.supervisorPid
}

function readState(directory: string): RunState | undefined {
  let text: string
  try {
    text = readFileSync(pathOf(directory), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const state = JSON.parse(text) as RunState
  if (state.version !== VERSION) throw new Error(`${pathOf(directory)} is of version ${state.version}, not ${VERSION}`)
  return state
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}
