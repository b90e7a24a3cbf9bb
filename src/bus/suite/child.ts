/** For the tests of a bus: processes of their own that can be stopped and killed. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

/** Runs an ES module in a process of its own; its standard output comes line by line. */
export function spawnModule(source: string): { child: ChildProcess; line(): Promise<string> } {
  const options = { stdio: ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'] }
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], options)
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]()
  const line = async (): Promise<string> => {
    const next = await lines.next()
    if (next.done) throw new Error('the process ended')
    return next.value
  }
  return { child, line }
}
