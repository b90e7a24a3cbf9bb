import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import type { SiteContents } from '../agent/site-store.ts'
import { wrongAtSite } from './check-change.ts'
import { documentOf, siteOf } from './two-sites.ts'

const site = siteOf('east')
const contents: SiteContents = { site, file: site, records: new Map(), revision: 1 }

test('what does not go with another tenant names it to those who may know of it, and to nobody else', () => {
  const document = { ...documentOf('acme', 1, ['west', 'east']), vni: 20 }
  const told = (sees: boolean): string[] =>
    wrongAtSite(document, contents, () => sees).map(({ path, message }) => `${path}: ${message}`)
  const wire = 'connections[1]: VLAN 1 of port p of switch edge is already attached at'
  deepEqual(told(true), [`${wire} connections[0] of tenant own`])
  deepEqual(told(false), [`${wire} another tenant`])
})

test('a tenant is checked in the place of what it was', () => {
  const document = documentOf('acme', 20)
  const before = { ...site.tenants[0]!, name: 'acme', vni: 20 }
  const twice = { ...contents, site: { ...site, tenants: [...site.tenants, { ...before, connections: [] }] } }
  deepEqual(
    wrongAtSite(document, twice, () => true),
    [],
  )
})
