import { deepEqual, equal, ok } from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { busHere } from '../agent/bus-here.ts'
import { putSite } from '../agent/site-store.ts'
import { systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { Random } from '../base/random.ts'
import { busSocket } from '../bus/embedded/main.ts'
import { parseSite } from '../config/load.ts'
import { type ConnectedSite, Sites } from './sites.ts'

const siteOf = (name: string, mac = '02:67:68:00:00:01') =>
  parseSite(`{ site: ${name}, gateway: { mac: "${mac}" } }`).site!

/** Resolves once it holds, looked at after every change. */
function until(sites: Sites, holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!holds()) return
      stop()
      resolve()
    }
    const stop = sites.onChange(look)
    look()
  })
}

async function scene(t: TestContext) {
  const [east, west] = [await busHere(t), await busHere(t)]
  const sites = await Sites.open({
    ...{ name: 'main', clock: systemClock, random: new Random(1), log: silent },
    sites: [
      { name: 'east', place: { socketPath: busSocket(east.directory) } },
      { name: 'west', place: { socketPath: busSocket(west.directory) } },
      { name: 'nowhere', place: { socketPath: join(west.directory, 'none') } },
    ],
  })
  east.atEnd(() => sites.close())
  return { sites, east, west, of: (name: string): ConnectedSite => sites.get(name)! }
}

test('each site is read when it is there and whenever it changes, whatever the others do', async (t) => {
  const { sites, east, west, of } = await scene(t)
  const [inEast, inWest] = [await east.join('up'), await west.join('up')]
  await putSite(inWest, siteOf('west'))
  await until(sites, () => of('west').contents !== undefined)
  const before = of('west').contents!
  await putSite(inEast, siteOf('east'))
  await putSite(inWest, siteOf('west', '02:67:68:00:00:02'))
  await until(sites, () => of('west').contents?.site.gateway.mac === '02:67:68:00:00:02')
  await until(sites, () => of('east').contents !== undefined)
  equal(before.site.gateway.mac, '02:67:68:00:00:01')
  ok(of('west').contents!.revision > before.revision)
  deepEqual(
    sites.all.map(({ state }) => [state.site, state.connected, state.failure]),
    [
      ['east', true, undefined],
      ['west', true, undefined],
      ['nowhere', false, 'its bus cannot be reached'],
    ],
  )
})

test('a site whose bus goes away is kept as it was, and read again when it is back', async (t) => {
  const { sites, east, of } = await scene(t)
  await putSite(await east.join('up'), siteOf('east'))
  await until(sites, () => of('east').contents !== undefined)
  await east.stop()
  await until(sites, () => !of('east').state.connected)
  equal(of('east').contents?.site.site, 'east')
  await east.start()
  await until(sites, () => of('east').state.connected)
  await putSite(await east.join('reload'), siteOf('east', '02:67:68:00:00:02'))
  await until(sites, () => of('east').contents?.site.gateway.mac === '02:67:68:00:00:02')
})

test('a bus of another site, and one without a site, are not taken for ours', async (t) => {
  const { sites, east, west, of } = await scene(t)
  await putSite(await east.join('up'), siteOf('another'))
  await west.join('nobody')
  await until(sites, () => of('east').state.failure === 'its bus is that of site another')
  equal(of('east').contents, undefined)
  await of('west').refresh()
  equal(of('west').state.failure, 'there is no site on its bus yet')
})
