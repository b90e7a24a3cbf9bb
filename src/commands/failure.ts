/** How a command ends. The numbers are documented in the help of `gatehouse` and do not change. */

import { loadSite } from '../config/load.ts'
import { formatError } from '../config/position.ts'
import type { Site } from '../config/site.ts'

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  /** The site file has errors; nothing was started or changed. */
  site: 3,
} as const

/** What a person did wrong or what went wrong for them: a message, no stack. */
export class Failure extends Error {
  readonly code: number

  constructor(message: string, code: number = EXIT.failed) {
    super(message)
    this.code = code
  }
}

/** Throws a `Failure` with all errors of the file, one a line. */
export function loadOrFail(path: string): Site {
  const { site, errors } = loadSite(path)
  if (site) return site
  throw new Failure(errors.map((error) => formatError(path, error)).join('\n'), EXIT.site)
}

/** A line a complaint about a file that is right by itself. */
export function conflictIn(path: string, { message }: Error): string {
  return message
    .split('\n')
    .map((line) => `${path}: ${line}`)
    .join('\n')
}
