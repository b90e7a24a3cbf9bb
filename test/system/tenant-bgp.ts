/**
 * Tenants' routers that speak BGP with the gateway, through all of it: edge switch, forwarding node, routing node, control
 * module, and back into every FIB. The routers are BIRD, and packets are real.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Gateway } from '../../lab/gateway.ts'
import { needs } from '../../lab/needs.ts'
import { UP } from '../../lab/observe.ts'
import type { Bird } from '../../lab/peers/bird.ts'
import { reach } from '../../lab/reach.ts'
import type { Surroundings } from '../../lab/site.ts'
import { type LiveSite, underTraffic, until } from './live-site.ts'
import { gatehouse, lives, lostRoutes, plain, REACH_ms, stateOf, unnoticed } from './tenant-routers.ts'
import { theSite } from './the-site.ts'

suite("tenants' BGP through the whole gateway", { skip: needs('ip', 'bird') }, () => {
  let site: LiveSite
  let made: Surroundings
  let gateway: Gateway
  let acme: Bird
  let globex: Bird
  before(() => {
    site = theSite()
    ;({ made, gateway } = site)
    ;[acme, globex] = ['acme-dc', 'globex-dc'].map((name) => made.routers.get(name)) as [Bird, Bird]
  })
  const hasRoute = async (tenant: string, prefix: string) => (await gateway.observer.routes(tenant)).has(prefix)

  test('what a customer announces is reached by its machines, and gone from the FIBs when withdrawn', async () => {
    const via = '192.168.1.2 on acme-dc'
    equal((await gateway.observer.routes('acme')).get('10.1.0.0/16'), via)
    deepEqual(
      (await acme.table('ipv4')).map(({ prefix, nextHop, asPath }) => `${prefix} ${nextHop} ${asPath}`).sort(),
      ['172.16.0.5/32 192.168.1.1 65001', '172.16.0.6/32 192.168.1.1 65001'],
      'the VPC’s machines',
    )

    // A policy that is reloaded lets more in, and no session notices.
    const before = await lives(gateway)
    const wider = readFileSync(made.siteFile, 'utf8').replace('10.1.0.0/16', '10.0.0.0/8, 10.1.0.0/16, 10.5.0.0/16')
    writeFileSync(`${made.lab.folder}/wider.yaml`, wider)
    match(await gatehouse({ made }, 'reload', `${made.lab.folder}/wider.yaml`), /settings changed/)
    await acme.announce([plain])
    await made.lab.run('acme-dc', 'ip', 'addr', 'add', '10.5.0.1/32', 'dev', 'lo')
    const ping = { tenant: 'acme', namespace: 'acme-prod-web', to: '10.5.0.1' }
    deepEqual(await reach(made.lab, [ping], { timeout_ms: REACH_ms }), [])
    equal((await gateway.observer.routes('acme')).get('10.5.0.0/16'), via)
    equal(await hasRoute('globex', '10.5.0.0/16'), false)
    deepEqual(await lives(gateway), before)

    await acme.withdraw(['10.5.0.0/16'])
    await until('the route is gone', async () => !(await hasRoute('acme', '10.5.0.0/16')))
    deepEqual(await reach(made.lab, [ping], { timeout_ms: 1000 }), [ping])
    const dropped = (await gateway.observer.modules()).map(({ tenants }) => tenants['acme']?.['no-route'] ?? 0)
    ok(
      dropped.some((count) => count > 0),
      'a forwarding node had no route',
    )
    equal((await globex.table('ipv4')).length, 2)

    const shown = JSON.parse(await gatehouse({ made }, 'show', 'sessions', 'acme', '--json'))
    deepEqual(
      shown.map(({ module, name, state }: Record<string, string>) => ({ module, name, state })),
      [{ module: 'rn-1', name: 'acme-dc', state: UP }],
    )
  })

  test("a dead customer's routes go at once, though its routing node lives", async () => {
    await acme.kill()
    const began = performance.now()
    await until('its route is gone', async () => !(await hasRoute('acme', '10.1.0.0/16')))
    ok(performance.now() - began < 5000)
    ok(await hasRoute('globex', '10.1.0.0/16'))
    await acme.restart()
    await until('its route is there again', () => hasRoute('acme', '10.1.0.0/16'))
  })

  test('a neighbour that the site shuts down loses its session and its routes alone, until it may again', async () => {
    const others = async () => (await lives(gateway)).filter((line) => !line.startsWith('acme-dc '))
    const before = await others()
    const text = readFileSync(made.siteFile, 'utf8')
    const shut = text.replace('name: acme-dc, tenant: acme,', 'name: acme-dc, tenant: acme, shutdown: true,')
    for (const [file, site, isThere] of [
      ['shut', shut, false],
      ['again', text, true],
    ] as const) {
      writeFileSync(`${made.lab.folder}/${file}.yaml`, site)
      await gatehouse({ made }, 'reload', `${made.lab.folder}/${file}.yaml`)
      await until(`routes are as in ${file}`, async () => (await hasRoute('acme', '10.1.0.0/16')) === isThere)
      deepEqual(await others(), before)
    }
  })

  test('a routing node is killed: traffic goes on, routes stay, and sessions come back by themselves', async (t) => {
    let gone = 0
    let lost: readonly string[] = []
    const traffic = await underTraffic(site, async () => {
      const lostSoFar = lostRoutes({ made })
      const { pid } = (await stateOf(gateway, 'acme-dc'))!
      ok(pid)
      process.kill(pid, 'SIGKILL')
      const killed = performance.now()
      const isBack = async (): Promise<boolean> => {
        for (const tenant of ['acme', 'globex']) if (!(await hasRoute(tenant, '10.1.0.0/16'))) gone++
        const sessions = await gateway.observer.sessions()
        return sessions.every((session) => session.row?.state === UP && session.pid !== pid)
      }
      await until('sessions are up again', isBack)
      t.diagnostic(`sessions were back after ${Math.round(performance.now() - killed)} ms`)
      // Until it has said all again, and for a while after.
      for (let i = 0; i < 100; i++) {
        await isBack()
        await sleep(50)
      }
      lost = lostSoFar()
    })
    equal(gone, 0, 'routes were withdrawn meanwhile')
    unnoticed(traffic, lost)
  })
})
