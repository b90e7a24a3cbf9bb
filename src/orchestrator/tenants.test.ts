import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { eventsOf } from '../agent/events.ts'
import { changeTenant } from '../agent/site-change.ts'
import { getSite, putSite, siteContents, watchSite } from '../agent/site-store.ts'
import type { Bus } from '../bus/bus.ts'
import type { TenantDocument } from '../config/tenant-document.ts'
import type { Change, Tenants } from './tenants.ts'
import { documentOf, siteOf, twoSites, until, untilParted } from './two-sites.ts'

const put = (document: TenantDocument | null, author = 'ann'): Change => ({
  ...{ author, sees: () => true },
  edit: () => ({ document, detail: '' }),
})

/** With one more machine. */
const addMachine = (name: string, address: string, author = 'ann'): Change => ({
  ...{ author, sees: () => true },
  edit(before) {
    const [vpc] = before!.document.vpcs
    const machines = [...vpc!.machines, { name, address: [address], host: 'h1' }]
    return { document: { ...before!.document, vpcs: [{ ...vpc!, machines }] }, detail: `machine ${name}` }
  },
})

async function machinesAt(bus: Bus, name: string): Promise<string[] | undefined> {
  const tenant = (await getSite(bus))?.tenants.find((one) => one.name === name)
  return tenant?.vpcs.flatMap((vpc) => vpc.machines.map((machine) => machine.name)).sort()
}

/** Resolves once the tenant at that site is like that. */
async function untilAt(bus: Bus, name: string, machines: string[] | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = async (): Promise<void> => {
    if (JSON.stringify(await machinesAt(bus, name)) === JSON.stringify(machines)) resolve()
  }
  const watch = watchSite(bus, () => void look())
  await promise
  watch.close()
}

const versionsOf = (tenants: Tenants, name: string): unknown => {
  const known = tenants.get(name)
  return known?.owner === 'orchestrator' ? [known.record.version, known.pending] : known
}

test('a tenant is at each of its sites, with its part of it', async (t) => {
  const { clients, orchestrator } = await twoSites(t)
  const { tenants } = await orchestrator('main')
  const { created, pending } = await tenants.change('acme', put(documentOf('acme', 20)))
  deepEqual([created, pending], [true, []])
  for (const [i, site] of (['east', 'west'] as const).entries()) {
    const tenant = (await getSite(clients[site]))!.tenants.find(({ name }) => name === 'acme')!
    deepEqual(
      tenant.connections.map(({ name, gateway }) => [name, gateway]),
      [[`dc-${site}`, [`192.168.${i}.1/24`]]],
    )
    deepEqual(await machinesAt(clients[site], 'acme'), ['web'])
    deepEqual(
      (await eventsOf(clients[site])).map(({ what, about, detail, author }) => [what, about, detail, author]),
      [['tenant-changed', 'acme', 'version 1', 'ann']],
    )
  }
})

test('what is there already changes nothing', async (t) => {
  const { clients, orchestrator } = await twoSites(t)
  const { tenants } = await orchestrator('main')
  await tenants.change('acme', put(documentOf('acme', 20)))
  const { record, created } = await tenants.change('acme', put(documentOf('acme', 20), 'bob'))
  deepEqual([record.version, record.author, created], [1, 'ann', false])
  equal((await eventsOf(clients.east)).length, 1)
})

test('a site that a tenant leaves, and one that it is deleted at, do not have it any more', async (t) => {
  const { clients, orchestrator } = await twoSites(t)
  const { tenants } = await orchestrator('main')
  await tenants.change('acme', put(documentOf('acme', 20)))
  await tenants.change('acme', put(documentOf('acme', 20, ['west'])))
  deepEqual([await machinesAt(clients.east, 'acme'), await machinesAt(clients.west, 'acme')], [undefined, ['web']])
  await tenants.change('acme', put(null))
  equal(await machinesAt(clients.west, 'acme'), undefined)
  deepEqual(tenants.names, ['own'])
  const { record } = await tenants.change('acme', put(documentOf('acme', 21, ['east'])))
  equal(record.version, 4)
})

test('nothing is written anywhere that would not be right somewhere, and the place is that in the document', async (t) => {
  const { clients, orchestrator } = await twoSites(t)
  const { tenants } = await orchestrator('main')
  await putSite(clients.west, siteOf('west', { hosts: ['h9'] }))
  await rejects(tenants.change('acme', put(documentOf('acme', 20))), {
    kind: 'invalid',
    errors: [{ site: 'west', path: 'vpcs[0].machines[0].host', message: 'there is no host "h1"' }],
  })
  equal(await machinesAt(clients.east, 'acme'), undefined)
  const twice = { ...documentOf('acme', 1, ['east']), sites: ['east', 'north'] }
  await rejects(tenants.change('acme', put(twice)), {
    errors: [{ path: 'sites[1]', message: 'there is no site "north"; there are east, west' }],
  })
  await rejects(tenants.change('acme', put(documentOf('acme', 1, ['east']))), {
    errors: [
      { site: 'east', path: 'vni', message: 'VNI 1 is already in use at vni of tenant own' },
      {
        ...{ site: 'east', path: 'connections[0]' },
        message: 'VLAN 1 of port p of switch edge is already attached at connections[0] of tenant own',
      },
    ],
  })
})

test("a site file's tenant is the file's", async (t) => {
  const { orchestrator } = await twoSites(t)
  const { tenants } = await orchestrator('main')
  deepEqual(tenants.get('own'), { owner: 'file', sites: ['east', 'west'] })
  await rejects(tenants.change('own', put(documentOf('own', 1))), {
    kind: 'conflict',
    message: 'tenant own is that of the site file of east, west: change it there',
  })
})

test('of changes at the same time, by two orchestrators, none is lost', async (t) => {
  const { clients, orchestrator } = await twoSites(t)
  const [one, other] = [await orchestrator('one'), await orchestrator('other')]
  await one.tenants.change('acme', put(documentOf('acme', 20)))
  const names = Array.from({ length: 12 }, (_, i) => `m${i}`)
  await Promise.all(
    names.map((name, i) =>
      (i % 2 === 0 ? one : other).tenants.change('acme', addMachine(name, `172.16.1.${i + 1}`, name)),
    ),
  )
  for (const bus of [clients.east, clients.west]) {
    deepEqual(await machinesAt(bus, 'acme'), [...names, 'web'].sort())
    deepEqual(new Set((await eventsOf(bus)).map(({ author }) => author)), new Set(['ann', ...names]))
  }
})

test('two tenants that want the same VLAN at the same time do not both get it', async (t) => {
  const { clients, orchestrator } = await twoSites(t)
  const [one, other] = [await orchestrator('one'), await orchestrator('other')]
  const made = await Promise.allSettled([
    one.tenants.change('acme', put(documentOf('acme', 20))),
    other.tenants.change('beta', put({ ...documentOf('beta', 20), vni: 21 })),
  ])
  deepEqual(made.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  equal((await getSite(clients.east))!.tenants.length, 2)
})

test('a site whose bus is away is told when it is back, also of several changes', async (t) => {
  const { buses, clients, orchestrator } = await twoSites(t)
  const { sites, tenants } = await orchestrator('main')
  await tenants.change('acme', put(documentOf('acme', 20)))
  await tenants.change('beta', put(documentOf('beta', 21)))
  await buses.west.stop()
  await untilParted(sites, 'west')
  const { pending } = await tenants.change('acme', addMachine('db', '172.16.0.6', 'bob'))
  deepEqual(pending, [{ site: 'west', why: 'its bus cannot be reached' }])
  await tenants.change('beta', put(null, 'bob'))
  deepEqual(await machinesAt(clients.east, 'acme'), ['db', 'web'])
  deepEqual(versionsOf(tenants, 'acme'), [2, pending])
  await buses.west.start()
  await untilAt(clients.west, 'acme', ['db', 'web'])
  await untilAt(clients.west, 'beta', undefined)
  await tenants.settled()
  deepEqual(versionsOf(tenants, 'acme'), [2, []])
  const last = (await eventsOf(clients.west)).map(({ what, about, author }) => `${what} ${about} ${author}`).slice(-2)
  deepEqual(last.sort(), ['tenant-changed acme bob', 'tenant-deleted beta bob'])
})

test('while all of its sites are away a tenant cannot be changed, and others can', async (t) => {
  const { buses, orchestrator } = await twoSites(t)
  const { sites, tenants } = await orchestrator('main')
  await tenants.change('acme', put(documentOf('acme', 20, ['west'])))
  await buses.west.stop()
  await untilParted(sites, 'west')
  await rejects(tenants.change('acme', put(null)), { kind: 'unavailable' })
  await tenants.change('beta', put(documentOf('beta', 21, ['east'])))
})

test('a new orchestrator completes what the last one left, from what the sites have', async (t) => {
  const { clients, orchestrator } = await twoSites(t)
  const first = await orchestrator('first')
  await first.tenants.change('acme', put(documentOf('acme', 20)))
  await first.close()
  await writtenAt(clients.east, { ...documentOf('acme', 20), vpcs: [] }, 2)
  deepEqual(await machinesAt(clients.west, 'acme'), ['web'])
  const { tenants } = await orchestrator('second')
  await untilAt(clients.west, 'acme', [])
  await tenants.settled()
  deepEqual(versionsOf(tenants, 'acme'), [2, []])
  equal((await eventsOf(clients.west)).at(-1)?.author, 'bob')
})

/** As an orchestrator that died between the writes to two sites leaves them. */
async function writtenAt(bus: Bus, document: TenantDocument, version: number): Promise<void> {
  const { revision } = (await siteContents(bus))!
  const told = { at_ms: 1, module: 'first', what: 'tenant-changed', about: document.name, detail: '', author: 'bob' }
  const record = { name: document.name, version, id: `x${version}`, author: 'bob', at_ms: 1, document }
  ok(await changeTenant(bus, revision, record, told))
}

test('what a site cannot take any more waits until it can, and says why', async (t) => {
  const { clients, orchestrator } = await twoSites(t)
  await writtenAt(clients.east, documentOf('acme', 20), 1)
  await putSite(clients.west, siteOf('west', { vni: 20 }))
  const { tenants } = await orchestrator('main')
  await tenants.settled()
  const why = 'vni: VNI 20 is already in use at vni of tenant own'
  deepEqual(versionsOf(tenants, 'acme'), [1, [{ site: 'west', why }]])
  await putSite(clients.west, siteOf('west'))
  await untilAt(clients.west, 'acme', ['web'])
  await tenants.settled()
  deepEqual(versionsOf(tenants, 'acme'), [1, []])
})

test('a site that was not read since the start may have something newer: what it has is not changed', async (t) => {
  const { buses, clients, orchestrator } = await twoSites(t)
  await writtenAt(clients.east, documentOf('acme', 20), 1)
  await buses.west.stop()
  const { sites, tenants } = await orchestrator('main', ['east'])
  await rejects(tenants.change('acme', addMachine('db', '172.16.0.6')), {
    kind: 'unavailable',
    message: 'what site west has is not known, so that nothing can be changed there: its bus cannot be reached',
  })
  await tenants.change('beta', put(documentOf('beta', 21, ['east'])))
  await buses.west.start()
  await until(sites, () => sites.get('west')!.contents !== undefined)
  await tenants.change('acme', addMachine('db', '172.16.0.6'))
  deepEqual(await machinesAt(clients.west, 'acme'), ['db', 'web'])
})

test('of two versions that were made apart from each other the same one holds everywhere, which is told', async (t) => {
  const { clients, orchestrator } = await twoSites(t)
  await writtenAt(clients.west, { ...documentOf('acme', 20), vpcs: [] }, 1)
  const { revision } = (await siteContents(clients.east))!
  const told = { at_ms: 2, module: 'other', what: 'tenant-changed', about: 'acme', detail: '', author: 'ann' }
  const record = { name: 'acme', version: 1, id: 'a', author: 'ann', at_ms: 2, document: documentOf('acme', 20) }
  ok(await changeTenant(clients.east, revision, record, told))
  const { tenants } = await orchestrator('main')
  await untilAt(clients.west, 'acme', ['web'])
  await tenants.settled()
  equal((await eventsOf(clients.west)).at(-1)?.detail, 'version 1: it replaces another version 1, by bob')
})
