import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import type { Bus } from '../bus/bus.ts'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { tenantDocument } from '../config/tenant-document.ts'
import { type BusHere, busHere } from './bus-here.ts'
import { eventsOf } from './events.ts'
import { BUCKET } from './names.ts'
import { CURRENT, changeTenant, finishLastChange, recordKey } from './site-change.ts'
import { getSite, putSite, siteContents, watchSite } from './site-store.ts'
import type { TenantRecord } from './tenant-record.ts'

/** With a tenant of the file's own, on VLAN 1 of the only port. */
function siteOf({ vni = 1, mac = '02:67:68:00:00:01', name = 'own' } = {}): Site {
  const { site, errors } = parseSite(`
site: s
gateway: { mac: "${mac}" }
vips: [{ name: v1, address: 10.255.0.1 }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [a] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [p] }]
tenants: [{ name: ${name}, vni: ${vni}, vip: v1, connections: [{ name: c, switch: edge, port: p, vlan: 1, gateway: [10.1.0.1/24] }] }]
`)
  if (!site) throw new Error(JSON.stringify(errors))
  return site
}

function recordOf(name: string, vni: number | null, version = 1): Omit<TenantRecord, 'sequence'> {
  const document = vni === null ? null : tenantDocument.parse({ name, vni, vip: 'v1', sites: ['s'] })
  return { name, version, id: `${name}-${version}`, author: 'ann', at_ms: 5, document }
}

const toldOf = (about: string, detail: string) => ({
  ...{ at_ms: 5, module: 'orchestrator.main', what: 'tenant-changed', author: 'ann', about, detail },
})

/** At whatever revision the site has. */
async function change(bus: Bus, name: string, vni: number | null, version = 1): Promise<void> {
  const contents = await siteContents(bus)
  ok(await changeTenant(bus, contents!.revision, recordOf(name, vni, version), toldOf(name, `version ${version}`)))
}

const tenantsOf = async (bus: Bus): Promise<unknown> =>
  (await getSite(bus))?.tenants.map(({ name, vni }) => [name, vni])

async function scene(t: Parameters<typeof busHere>[0]): Promise<{ here: BusHere; bus: Bus; other: Bus }> {
  const here = await busHere(t)
  const bus = await here.join('orchestrator')
  await putSite(bus, siteOf())
  return { here, bus, other: await here.join('up') }
}

test('what was made through the orchestrator stands beside what the file says, and outlasts other files', async (t) => {
  const { bus, other } = await scene(t)
  let seen = 0
  const watch = watchSite(other, () => seen++)
  await watch.ready
  await change(bus, 'beta', 20)
  await change(bus, 'alpha', 10)
  deepEqual(await tenantsOf(other), [
    ['own', 1],
    ['alpha', 10],
    ['beta', 20],
  ])
  await putSite(other, siteOf({ vni: 2 }))
  await change(bus, 'alpha', 11, 2)
  await change(bus, 'beta', null, 2)
  for (const each of [bus, other])
    deepEqual(await tenantsOf(each), [
      ['own', 2],
      ['alpha', 11],
    ])
  const contents = (await siteContents(other))!
  deepEqual(contents.file, siteOf({ vni: 2 }))
  equal(contents.records.get('beta')?.document, null)
  ok(seen >= 2)
  watch.close()
})

test('every change is an event with its author', async (t) => {
  const { bus } = await scene(t)
  await change(bus, 'alpha', 10)
  await change(bus, 'alpha', 11, 2)
  deepEqual(
    (await eventsOf(bus)).map(({ what, about, detail, author }) => [what, about, detail, author]),
    [
      ['tenant-changed', 'alpha', 'version 1', 'ann'],
      ['tenant-changed', 'alpha', 'version 2', 'ann'],
    ],
  )
})

test('of two changes that follow the same one, only one is made', async (t) => {
  const { bus, other } = await scene(t)
  const { revision } = (await siteContents(bus))!
  const made = await Promise.all([
    changeTenant(bus, revision, recordOf('alpha', 10), toldOf('alpha', '')),
    changeTenant(other, revision, recordOf('beta', 10), toldOf('beta', '')),
  ])
  deepEqual(made.toSorted(), [false, true])
  equal((await getSite(bus))?.tenants.length, 2)
  equal(await changeTenant(bus, revision, recordOf('gamma', 30), toldOf('gamma', '')), false)
})

test('a file that comes meanwhile is in the order of changes as well', async (t) => {
  const { bus, other } = await scene(t)
  const { revision } = (await siteContents(bus))!
  await putSite(other, siteOf({ vni: 10 }))
  equal(await changeTenant(bus, revision, recordOf('alpha', 10), toldOf('alpha', '')), false)
})

test('a file with which they would not be right any more is refused, and says whose they are', async (t) => {
  const { bus, other } = await scene(t)
  await change(bus, 'alpha', 10)
  await rejects(putSite(other, siteOf({ vni: 10 })), {
    name: 'SiteConflict',
    message:
      'tenants[1].vni: VNI 10 is already in use at tenants[0].vni\n' +
      'of the tenants that were made through the orchestrator, tenants[1] is alpha',
  })
  await rejects(putSite(other, siteOf({ name: 'alpha' })), {
    message: 'tenant alpha was made through the orchestrator: delete it there, or leave it out here',
  })
  deepEqual((await siteContents(other))?.file, siteOf())
  await change(bus, 'alpha', null, 2)
  await putSite(other, siteOf({ name: 'alpha' }))
})

test('whoever dies after a change was made leaves the rest of it to the next one', async (t) => {
  for (const next of ['file', 'change', 'nothing'] as const) {
    const { here, bus, other } = await scene(t)
    const { revision } = (await siteContents(bus))!
    await changeTenant(unfinished(bus), revision, recordOf('alpha', 10), toldOf('alpha', ''))
    equal(await bus.bucket(BUCKET.site).get(recordKey('alpha')), undefined)
    deepEqual((await getSite(other))?.tenants.length, 2, 'it is made')
    if (next === 'file') await putSite(other, siteOf({ mac: '02:67:68:00:00:02' }))
    else if (next === 'change') await change(other, 'beta', 20)
    else await finishLastChange(other)
    ok(await bus.bucket(BUCKET.site).get(recordKey('alpha')))
    deepEqual((await eventsOf(bus)).map(({ about }) => about)[0], 'alpha')
    equal((await getSite(await here.join('third')))?.tenants[1]?.name, 'alpha')
  }
})

function untilParted(bus: Bus): Promise<void> {
  return new Promise((resolve) => {
    const stop = bus.onConnection((connected) => {
      if (connected) return
      stop()
      resolve()
    })
  })
}

/** A bus that dies with its process as soon as a change stands in `current`. */
function unfinished(bus: Bus): Bus {
  const gone = async (): Promise<never> =>
    Promise.reject(await bus.request('nobody', new Uint8Array(), { timeout_ms: 1 }).catch((error: unknown) => error))
  return Object.create(bus, {
    bucket: {
      value: (name: string) => Object.assign(Object.create(bus.bucket(name)), boundTo(bus.bucket(name), gone)),
    },
    stream: { value: () => ({ append: gone }) },
  }) as Bus
}

function boundTo(bucket: ReturnType<Bus['bucket']>, gone: () => Promise<never>): Partial<ReturnType<Bus['bucket']>> {
  return {
    get: (key) => bucket.get(key),
    entries: (pattern) => bucket.entries(pattern),
    put: (key, value, options) => (key === CURRENT ? bucket.put(key, value, options) : gone()),
  }
}

test('an event that was told before its change was finished is not told again', async (t) => {
  const { bus, other } = await scene(t)
  const { revision } = (await siteContents(bus))!
  const halfway = Object.create(unfinished(bus), { stream: { value: bus.stream.bind(bus) } }) as Bus
  await changeTenant(halfway, revision, recordOf('alpha', 10), toldOf('alpha', ''))
  equal((await eventsOf(bus)).length, 1)
  await finishLastChange(other)
  ok(await bus.bucket(BUCKET.site).get(recordKey('alpha')))
  equal((await eventsOf(bus)).length, 1)
})

test('a reader that missed more changes than are named reads all of them', async (t) => {
  const { bus, other } = await scene(t)
  await change(bus, 'early', 5)
  equal((await getSite(other))?.tenants.length, 2)
  await change(bus, 'early', 6, 2)
  for (let i = 0; i < 70; i++) await change(bus, 'late', 100 + i, i + 1)
  deepEqual(await tenantsOf(other), [
    ['own', 1],
    ['early', 6],
    ['late', 169],
  ])
})

test('a bus that has lost everything and has another site is not taken for the one that was', async (t) => {
  const { here, bus, other } = await scene(t)
  await change(bus, 'alpha', 10)
  await getSite(other)
  const parted = [bus, other].map(untilParted)
  await here.stop()
  await Promise.all(parted)
  here.wipe()
  await here.start()
  for (const each of [bus, other]) await each.whenConnected(5000)
  await putSite(bus, siteOf())
  await change(bus, 'beta', 20)
  deepEqual(await tenantsOf(other), [
    ['own', 1],
    ['beta', 20],
  ])
})

test('what a release that knows of no changes has written is gone on from', async (t) => {
  const { bus } = await scene(t)
  await change(bus, 'alpha', 10)
  await change(bus, 'alpha', 11, 2)
  const bucket = bus.bucket(BUCKET.site)
  const { digest, parts } = JSON.parse(Buffer.from((await bucket.get(CURRENT))!.value).toString())
  await bucket.put(CURRENT, Buffer.from(JSON.stringify({ digest, parts })))
  await change(bus, 'alpha', 12, 3)
  deepEqual((await siteContents(bus))!.records.get('alpha')?.version, 3)
  equal((await eventsOf(bus)).length, 3)
})
