/** `gatehouse reload`: gives a running site a new site file. All errors first; then one change, make before break. */

import { getSite, putSite } from '../agent/site-store.ts'
import type { Bus } from '../bus/bus.ts'
import { describeDifference, diffSites } from '../config/difference.ts'
import { runDirectory } from '../config/site.ts'
import { withBus } from './bus-of.ts'
import { Failure, loadOrFail } from './failure.ts'

export async function reload(path: string, { run }: { run?: string }): Promise<void> {
  const site = loadOrFail(path)
  const put = async (bus: Bus): Promise<void> => {
    const before = await getSite(bus)
    if (before && before.site !== site.site)
      throw new Failure(`site ${before.site} runs there, and ${path} is site ${site.site}`)
    await putSite(bus, site)
    const lines = before ? describeDifference(diffSites(before, site)) : ['there was no site before']
    console.log(lines.length > 0 ? lines.join('\n') : 'nothing changed')
  }
  await withBus(run ?? runDirectory(site), put, site)
}
