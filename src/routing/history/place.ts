/** Where the history of a site lies, if it is kept: a directory a process that speaks BGP. */

import { join } from 'node:path'
import type { Site } from '../../config/site.ts'
import type { HistorySettings } from './history.ts'

const MIB = 1 << 20

/** Undefined when the site wants none. */
export function historyOf(site: Site, stateDirectory: string, node: string): HistorySettings | undefined {
  const { size_mb = 0 } = site.routing?.history ?? {}
  if (size_mb === 0) return undefined
  return { directory: join(historyDirectory(site, stateDirectory), node), size_bytes: size_mb * MIB, node }
}

/** That of all processes. */
export function historyDirectory(site: Site | undefined, stateDirectory: string): string {
  return site?.routing?.history.directory ?? join(stateDirectory, 'history')
}
