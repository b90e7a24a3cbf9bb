import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { startDifference } from './start-part.ts'

const TENANT = `
vips: [{ name: v1, address: 10.255.0.1 }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: fn-1, address: 10.0.1.1, ports: [rack] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
tenants:
  - name: acme
    vni: 7
    vip: v1
    connections: [{ name: dc, switch: edge, port: a, gateway: [192.168.1.1/24] }]`

function siteWith(parts: string): Site {
  const common = 'router_id: 10.0.0.1, nodes: [{ name: rn-1, address: 10.0.3.1 }]'
  const { site, errors } = parseSite(`site: s${TENANT}\nrouting: { ${common}, ${parts} }\n`)
  if (!site) throw new Error(JSON.stringify(errors))
  return site
}

test('what a routing process is made by takes a new start, and nothing else does', () => {
  const before = siteWith('as: 65001')
  const named = (parts: string): string[] => startDifference(before, siteWith(parts), 'rn-1')
  deepEqual(named('as: 65001'), [])
  deepEqual(named('as: 65001, neighbours: [{ name: n, address: 192.0.2.1, as: 65002 }]'), [])
  deepEqual(named('as: 65009, multipath: 2'), ['as', 'multipath'])
  // Without tenants' neighbours there is no relay, and a process does not begin to have one.
  const tenants = (more: string) =>
    `as: 65001, neighbours: [{ name: n, tenant: acme, address: 192.168.1.2, as: 65002${more} }]`
  deepEqual(named(tenants('')), ['session relay'])
  deepEqual(startDifference(siteWith(tenants('')), siteWith(tenants(', port: 1179')), 'rn-1'), [])
})
