/**
 * The directories of a site: made if they are not there, and used only if they are ours alone to write. Whoever may
 * write them may put a socket, a site file or routes there that the modules would believe.
 */

import { mkdirSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { RUN_DIRECTORY_BYTES_MAX } from '../config/limits.ts'
import { type Directories, directoriesOf, type Site } from '../config/site.ts'
import { Failure } from './failure.ts'

/** Those of the site, by the options of the command line. Their paths are from the root. Throws a `Failure`. */
export function openDirectories(site: Site, options: Partial<Directories>): Directories {
  const { run, state } = directoriesOf(site, options)
  return { run: openRunDirectory(run), state: openDirectory('state', state) }
}

/** Returns its path from the root. Throws a `Failure` that says why it is not used. */
export function openRunDirectory(path: string): string {
  const directory = resolve(path)
  if (Buffer.byteLength(directory) > RUN_DIRECTORY_BYTES_MAX)
    throw new Failure(
      `run directory ${directory}: its path is longer than the ${RUN_DIRECTORY_BYTES_MAX} bytes it may have`,
    )
  return openDirectory('run', directory)
}

function openDirectory(kind: 'run' | 'state', path: string): string {
  const directory = resolve(path)
  try {
    mkdirSync(directory, { recursive: true, mode: 0o750 })
  } catch (error) {
    throw new Failure(`${kind} directory ${directory}: ${(error as Error).message}`)
  }
  const { uid, mode } = statSync(directory)
  const me = process.geteuid!()
  if (uid !== me)
    throw new Failure(`${kind} directory ${directory} belongs to user ${uid}, not to user ${me} who runs this`)
  if ((mode & 0o022) !== 0)
    throw new Failure(
      `${kind} directory ${directory} may be written by others (mode ${octal(mode)}); chmod go-w makes it safe`,
    )
  return directory
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8)
}
