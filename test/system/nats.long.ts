/**
 * A site whose modules speak over three nats-servers, which die one after the other and come back: its tenants must notice
 * nothing.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { suite, test } from 'node:test'
import { needs } from '../../lab/needs.ts'
import { reach } from '../../lab/reach.ts'
import { Surroundings } from '../../lab/site.ts'
import { fibFeed } from '../../src/agent/names.ts'
import { namesOf } from '../../src/bus/nats/names.ts'
import { failedConnections, type LiveSite, sumOf, underTraffic, until, withSite } from './live-site.ts'

const SITE = resolve(import.meta.dirname, '../../examples/two-tenants.yaml')
const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
/** Behind acme's router, for a route that is only told once all servers have died and come back. */
const LATE = '10.9.0.1'

const build = (): Promise<Surroundings> => Surroundings.build(SITE, { bus: 'nats' })

/** Over the bus, as it is then. */
async function allAnswer({ gateway }: LiveSite): Promise<void> {
  await until('all modules are there', async () => (await gateway.observer.notReady()).length === 0)
  await until('all modules answer', async () => (await gateway.observer.modules()).every(({ totals }) => totals))
}

/** The file of the running site is changed, in the way of its operator. */
async function reload({ made }: LiveSite): Promise<void> {
  const changed = join(made.lab.folder, 'changed.yaml')
  const text = readFileSync(made.siteFile, 'utf8')
  const routes = `routes: [{ prefix: ${LATE}/32, via: [192.168.1.2] }]`
  writeFileSync(changed, text.replace('    vni: 1001\n', `    vni: 1001\n    ${routes}\n`))
  const args = ['--disable-warning=ExperimentalWarning', MAIN, 'reload', changed, '--run', made.runFolder]
  await until('the servers take a changed site', async () => {
    const said = await made.lab.run(made.home!, process.execPath, ...args).catch(() => '')
    return said.includes('acme')
  })
}

suite('a site over NATS', { skip: needs('ip', 'nats-server') }, () => {
  test('servers are killed, one that leads, one that follows and all of them: no packet is lost, and news travel again', async () => {
    await withSite({ build }, async (site) => {
      const { made } = site
      const { nats, fromHere } = made.management!
      const feed = namesOf(made.lab.id).stream(fibFeed('blue')).stream
      const traffic = await underTraffic(site, async () => {
        for (const role of ['leader', 'follower'] as const) {
          const victim = (await nats.rolesOf(feed, fromHere))[role]
          await victim.kill()
          await allAnswer(site)
          await victim.start()
        }
        await Promise.all(Array.from(nats.servers.values(), (server) => server.kill()))
        equal((await site.gateway.observer.notReady()).length, site.gateway.observer.expected.length)
        await nats.startAll()
        await allAnswer(site)
      })
      ok(sumOf(traffic, ({ ping }) => ping.sent) > 500)
      deepEqual([sumOf(traffic, ({ ping }) => ping.lost), failedConnections(traffic)], [0, 0])
      await made.lab.configure(new Map([['acme-dc', [`addr add ${LATE}/32 dev lo`]]]))
      const late = [{ tenant: 'acme', namespace: 'acme-prod-web', to: LATE }]
      deepEqual(await reach(made.lab, late, { timeout_ms: 300 }), late)
      await reload(site)
      deepEqual(await reach(made.lab, late, { timeout_ms: 20_000 }), [])
    })
  })
})
