import { deepEqual, equal, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { describeDifference, diffSites, isEmpty } from './difference.ts'
import { parseSite } from './load.ts'
import type { Site } from './site.ts'

const text = readFileSync(new URL('../../examples/two-tenants.yaml', import.meta.url), 'utf8')

function siteOf(change: (text: string) => string = (same) => same): Site {
  const { site, errors } = parseSite(change(text))
  ok(site, JSON.stringify(errors))
  return site
}

test('the same site, written differently, differs in nothing', () => {
  const difference = diffSites(
    siteOf(),
    siteOf((same) =>
      same
        .replaceAll('peers: [192.168.1.2]', 'peers: [{ address: 192.168.1.2 }]')
        .replaceAll('import: from-customer', 'import: [from-customer]'),
    ),
  )
  ok(isEmpty(difference), describeDifference(difference).join('; '))
})

test('a difference names what was added, removed and changed, by noun', () => {
  const after = siteOf((before) =>
    before
      .replace('host-2, address: 10.0.2.2', 'host-2, address: 10.0.2.9')
      .replace(/ {6}- \{ name: fn-3.*\n/, '      - { name: fn-4, namespace: fn-4, address: 10.0.1.4, ports: [rack] }\n')
      .replace('name: globex\n', 'name: initech\n')
      .replace('tenant: globex', 'tenant: initech')
      .replace('name: rn-1, namespace: rn-1', 'name: rn-1, namespace: rn-2'),
  )
  const difference = diffSites(siteOf(), after)
  deepEqual(describeDifference(difference), [
    'clusters: 1 changed (blue)',
    'nodes: 1 added, 1 removed (fn-4, fn-3)',
    'hosts: 1 changed (host-2)',
    'tenants: 1 added, 1 removed (initech, globex)',
    'routing nodes: 1 changed (rn-1)',
    'neighbours: 1 changed (globex-dc)',
  ])
  equal(difference.hosts.changed[0]!.before.address, '10.0.2.2')
  equal(isEmpty(difference), false)
})

test("a site's settings are part of the difference", () => {
  const after = siteOf((before) => before.replace('gateway:', 'control: { drain_ms: 1 }\ngateway:'))
  deepEqual(describeDifference(diffSites(siteOf(), after)), ['settings changed'])
})

test('policies are, too', () => {
  const after = siteOf((before) => before.replace('prefixes: [10.1.0.0/16]', 'prefixes: [10.0.0.0/8]'))
  deepEqual(describeDifference(diffSites(siteOf(), after)), ['settings changed'])
})
