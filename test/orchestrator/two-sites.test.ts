/**
 * Two sites whose buses and control modules are processes, and the orchestrator as one: what is asked for over HTTP is in the
 * FIBs of both, and an orchestrator that is killed anywhere leaves nothing half done that the next one does not complete.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { eventsOf } from '../../src/agent/events.ts'
import { putSite, siteContents, watchSite } from '../../src/agent/site-store.ts'
import type { Bus } from '../../src/bus/bus.ts'
import { documentText, siteOf, siteText } from '../../src/orchestrator/two-sites.ts'
import { Scene } from '../control/scene.ts'
import type { Readers } from '../control/state.ts'
import { type Orchestrator, startOrchestrator } from './orchestrator-process.ts'

interface Site {
  readonly scene: Scene
  readonly bus: Bus
  readonly readers: Readers
}

interface Both {
  readonly east: Site
  readonly west: Site
  readonly start: () => Promise<Orchestrator>
}

async function siteNamed(t: TestContext, name: string): Promise<Site> {
  const scene = await Scene.of(t)
  const bus = scene.join('test')
  await bus.whenConnected(10_000)
  await putSite(bus, siteOf(name))
  scene.control('control', siteText(name))
  return { scene, bus, readers: scene.readers(bus, siteOf(name)) }
}

async function both(t: TestContext): Promise<Both> {
  const [east, west] = await Promise.all([siteNamed(t, 'east'), siteNamed(t, 'west')])
  const places = { east: east.scene.directory, west: west.scene.directory }
  return { east, west, start: () => startOrchestrator(t, east.scene.directory, places) }
}

const WEB = 'b1 acme 172.16.0.5/32'
const DB = 'b1 acme 172.16.0.6/32'
const MACHINE = '/v1/tenants/acme/vpcs/prod/machines/db'
const DB_BODY = { address: '172.16.0.6', host: 'h1' }

const untilHeld = ({ readers }: Site, route: string, isThere = true): Promise<void> =>
  readers.until(
    () => readers.state.has(route) === isThere,
    () => [...readers.state.keys()].join('\n'),
  )

const authorsOf = async ({ bus }: Site, about: string): Promise<unknown[]> =>
  (await eventsOf(bus)).filter((event) => event.about === about).map(({ what, author }) => `${what} ${author}`)

test('what is asked for over HTTP is in the FIBs of both sites, and each change is an event with its author', async (t) => {
  const { east, west, start } = await both(t)
  const { ask } = await start()
  equal((await ask('PUT', '/v1/tenants/acme', documentText('acme', 20))).status, 201)
  for (const site of [east, west]) await untilHeld(site, WEB)
  equal((await ask('PUT', MACHINE, DB_BODY)).status, 201)
  for (const site of [east, west]) await untilHeld(site, DB)
  const routes = await ask('GET', '/v1/sites/west/tenants/acme/routes')
  const prefixes = (routes.body['items'] as { prefix: string }[]).map(({ prefix }) => prefix)
  ok(prefixes.includes('172.16.0.6/32'), prefixes.join(' '))
  equal((await ask('DELETE', MACHINE)).status, 204)
  for (const site of [east, west]) await untilHeld(site, DB, false)
  const { etag } = await ask('GET', '/v1/tenants/acme')
  equal((await ask('DELETE', '/v1/tenants/acme', undefined, { 'if-match': etag })).status, 204)
  for (const site of [east, west]) {
    await untilHeld(site, WEB, false)
    const changes = [...Array.from({ length: 3 }, () => 'tenant-changed olaf'), 'tenant-deleted olaf']
    deepEqual(await authorsOf(site, 'acme'), changes)
  }
})

test('an orchestrator that is killed between the writes to two sites is completed by the next one', async (t) => {
  const { east, west, start } = await both(t)
  const first = await start()
  equal((await first.ask('PUT', '/v1/tenants/acme', documentText('acme', 20))).status, 201)
  for (const site of [east, west]) await untilHeld(site, WEB)
  // West does not answer, so that it is still to be told when east has been.
  process.kill(west.scene.busPid, 'SIGSTOP')
  const asked = first.ask('PUT', MACHINE, DB_BODY).catch(() => undefined)
  await untilVersion(east, 2)
  await first.kill()
  await asked
  process.kill(west.scene.busPid, 'SIGCONT')
  await untilHeld(east, DB)
  equal((await siteContents(west.bus))?.records.get('acme')?.version, 1)
  const { ask } = await start()
  await untilHeld(west, DB)
  const { body } = await ask('GET', '/v1/tenants/acme')
  deepEqual([body['version'], body['author'], body['pending']], [2, 'olaf', []])
  for (const site of [east, west])
    deepEqual(await authorsOf(site, 'acme'), ['tenant-changed olaf', 'tenant-changed olaf'])
})

async function untilVersion({ bus }: Site, version: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const watch = watchSite(bus, async () => {
    if ((await siteContents(bus))?.records.get('acme')?.version === version) resolve()
  })
  await promise
  watch.close()
}

test('whatever instant it is killed at, a change is made at both sites or at none', async (t) => {
  const { east, west, start } = await both(t)
  const answered: string[] = []
  for (let round = 0; round < 3; round++) {
    const orchestrator = await start()
    if (round === 0) await orchestrator.ask('PUT', '/v1/tenants/acme', documentText('acme', 20))
    const machine = { address: `172.16.1.${round + 1}`, host: 'h1' }
    const path = `/v1/tenants/acme/vpcs/prod/machines/m${round}`
    const asked = orchestrator.ask('PUT', path, machine).catch(() => undefined)
    // As many turns of the loop as make each round end somewhere else.
    for (let turn = 0; turn < round * 60; turn++) await new Promise(setImmediate)
    await orchestrator.kill()
    if ((await asked)?.status === 201) answered.push(`m${round}`)
  }
  const { ask } = await start()
  equal((await ask('PUT', MACHINE, DB_BODY)).status, 201)
  for (const site of [east, west]) await untilHeld(site, DB)
  const machines = await Promise.all([east, west].map(({ bus }) => machinesOf(bus)))
  deepEqual(machines[0], machines[1])
  for (const name of answered) ok(machines[0]!.includes(name), name)
})

async function machinesOf(bus: Bus): Promise<string[]> {
  const tenant = (await siteContents(bus))!.site.tenants.find(({ name }) => name === 'acme')!
  return tenant.vpcs.flatMap(({ machines }) => machines.map(({ name }) => name)).sort()
}

test('events are heard as they happen, and again from where the reader was', async (t) => {
  const { start } = await both(t)
  const { ask, listen } = await start()
  const first = await listen()
  await ask('PUT', '/v1/tenants/acme', documentText('acme', 20))
  const heard = [await first.next('tenant-changed'), await first.next('tenant-changed')]
  deepEqual(heard.map(({ data }) => `${data['site']} ${data['about']} ${data['author']}`).sort(), [
    'east acme olaf',
    'west acme olaf',
  ])
  first.close()
  await ask('PUT', MACHINE, DB_BODY)
  const again = await listen(heard[0]!.id)
  const missed = [await again.next('tenant-changed'), await again.next('tenant-changed')]
  deepEqual(missed[0]!.data, heard[1]!.data)
  equal(missed[1]!.data['detail'], 'version 2: machine db of VPC prod')
  again.close()
  const { body } = await ask('GET', '/v1/events?about=acme')
  equal((body['items'] as object[]).length, 4)
})
