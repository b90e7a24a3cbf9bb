/**
 * The run directory of a site: made if it is not there, and used only if it is ours alone to write. Whoever may write
 * it may put a socket or a site file there that the modules would believe.
 */

import { mkdirSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { RUN_DIRECTORY_BYTES_MAX } from '../config/limits.ts'
import { Failure } from './failure.ts'

/** Returns its path from the root. Throws a `Failure` that says why it is not used. */
export function openRunDirectory(path: string): string {
  const directory = resolve(path)
  if (Buffer.byteLength(directory) > RUN_DIRECTORY_BYTES_MAX)
    throw new Failure(
      `run directory ${directory}: its path is longer than the ${RUN_DIRECTORY_BYTES_MAX} bytes it may have`,
    )
  try {
    mkdirSync(directory, { recursive: true, mode: 0o750 })
  } catch (error) {
    throw new Failure(`run directory ${directory}: ${(error as Error).message}`)
  }
  const { uid, mode } = statSync(directory)
  const me = process.geteuid!()
  if (uid !== me)
    throw new Failure(`run directory ${directory} belongs to user ${uid}, not to user ${me} who runs this`)
  if ((mode & 0o022) !== 0)
    throw new Failure(
      `run directory ${directory} may be written by others (mode ${octal(mode)}); chmod go-w makes it safe`,
    )
  return directory
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8)
}
