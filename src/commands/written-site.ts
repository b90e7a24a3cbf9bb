/**
 * The site as `up` hands it to its modules, whatever becomes of the site file: one JSON document in the run directory. It
 * has been checked, so that modules of a large site need not do it again, each for as long as `up` did. Where modules are
 * started one by one over NATS, each writes it, for the commands that are to find the servers.
 */

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Site, site } from '../config/site.ts'
import { loadOrFail } from './failure.ts'

const NAME = 'site.json'

/** Its path. */
export function writtenSite(directory: string): string {
  return join(directory, NAME)
}

export function writeSite(directory: string, written: Site): void {
  const path = writtenSite(directory)
  const fresh = `${path}.${process.pid}`
  writeFileSync(fresh, `${JSON.stringify(written, undefined, 2)}\n`, { mode: 0o640 })
  renameSync(fresh, path)
}

/** Of a file that was written here, and of any other one with all the checks. Throws a `Failure` with its errors. */
export function readSite(path: string, directory: string | undefined): Site {
  const isWritten = directory !== undefined && path === writtenSite(directory)
  return (isWritten ? asWritten(path) : undefined) ?? loadOrFail(path)
}

/** What was started in that run directory; undefined if nothing was, or nothing that wrote it. */
export function siteIn(directory: string): Site | undefined {
  return asWritten(writtenSite(directory))
}

/** Undefined for what is none, such as another release's. */
function asWritten(path: string): Site | undefined {
  try {
    return site.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data
  } catch {
    return undefined
  }
}
