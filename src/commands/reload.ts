/**
 * `gatehouse reload`: gives a running site a new site file. All errors first; then one change, make before break. Tenants
 * that were made through the orchestrator stay, and a file that does not go with them is refused.
 */

import { putSite, SiteConflict, siteContents } from '../agent/site-store.ts'
import type { Bus } from '../bus/bus.ts'
import { describeDifference, diffSites } from '../config/difference.ts'
import { runDirectory, type Site } from '../config/site.ts'
import { withBus } from './bus-of.ts'
import { conflictIn, EXIT, Failure, loadOrFail } from './failure.ts'

export async function reload(path: string, { run }: { run?: string }): Promise<void> {
  const site = loadOrFail(path)
  const put = async (bus: Bus): Promise<void> => {
    const before = (await siteContents(bus))?.file
    if (before && before.site !== site.site)
      throw new Failure(`site ${before.site} runs there, and ${path} is site ${site.site}`)
    await putOrFail(bus, site, path)
    const lines = before ? describeDifference(diffSites(before, site)) : ['there was no site before']
    console.log(lines.length > 0 ? lines.join('\n') : 'nothing changed')
  }
  await withBus(run ?? runDirectory(site), put, site)
}

async function putOrFail(bus: Bus, site: Site, path: string): Promise<void> {
  try {
    await putSite(bus, site)
  } catch (error) {
    if (error instanceof SiteConflict) throw new Failure(conflictIn(path, error), EXIT.site)
    throw error
  }
}
