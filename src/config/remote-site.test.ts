import { deepEqual, equal } from 'node:assert/strict'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { diffSites } from './difference.ts'
import { loadSite, parseSite } from './load.ts'
import { loadOrchestrator } from './orchestrator.ts'

const complaints = (text: string): string[] => {
  const { errors = [] } = parseSite(text)
  return errors.map(({ path, message }) => `${path}: ${message}`).filter((one) => !one.startsWith('vips'))
}

test('another site is told by its name, and has what it does not say', () => {
  const { site } = parseSite('{ site: east, remote_sites: [{ name: west, cost: 7 }] }')
  deepEqual(site!.remote_sites, [{ name: 'west', cost: 7, preference: 100, mtu: 1500, stale_routes_s: 86_400 }])
})

test('it is not this site, is there once, and its probe is one', () => {
  const remotes = '[{ name: east }, { name: west, probe: to-wast }, { name: west }]'
  const routing = '{ as: 1, router_id: 1.1.1.1, probes: [{ name: to-west, to: 10.0.0.1, icmp: {} }] }'
  deepEqual(complaints(`{ site: east, remote_sites: ${remotes}, routing: ${routing} }`), [
    'remote_sites[0].name: east is this site itself',
    'remote_sites[1].probe: there is no probe "to-wast"; did you mean "to-west"?',
    'remote_sites[2].name: "west" is already at remote_sites[1].name',
  ])
})

test('no connection is called as the way by another site is', () => {
  const connection = '{ name: site-west, switch: edge, port: acme, gateway: [192.168.1.1/24] }'
  const tenant = `{ name: acme, vni: 1, vip: vip-1, connections: [${connection}] }`
  const edge = '{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [acme] }'
  const fabric = `vips: [{ name: vip-1, address: 10.255.0.1 }], switches: [${edge}]`
  deepEqual(complaints(`{ site: east, ${fabric}, remote_sites: [{ name: west }], tenants: [${tenant}] }`), [
    'tenants[0].connections[0].name: site-west is what the way by site west is called',
  ])
})

test('no routing node is called so either', () => {
  const routing = '{ as: 1, router_id: 1.1.1.1, nodes: [{ name: site-west, address: 10.0.0.1 }] }'
  deepEqual(complaints(`{ site: east, remote_sites: [{ name: west }], routing: ${routing} }`), [
    'routing.nodes[0].name: site-west is what the way by site west is called',
  ])
})

test('a probe between the sites is something to steer by', () => {
  const steer = (more: string) => `{ site: east, ${more} vips: [{ name: v, address: 10.255.0.1 }],
    routing: { as: 1, router_id: 1.1.1.1, probes: [{ name: to-west, to: 10.0.0.1, icmp: {} }] },
    tenants: [{ name: acme, vni: 1, vip: v, steer: latency }] }`
  deepEqual(complaints(steer('remote_sites: [{ name: west, probe: to-west }],')), [])
  equal(complaints(steer('remote_sites: [{ name: west }],')).length, 1)
})

test('a change of it is a change of settings', () => {
  const [one, other] = [1, 2].map((cost) => parseSite(`{ site: east, remote_sites: [{ name: west, cost: ${cost} }] }`))
  equal(diffSites(one!.site!, other!.site!).settings, true)
  equal(diffSites(one!.site!, one!.site!).settings, false)
})

for (const [example, tenants] of [
  ['two-sites', ['acme 1001']],
  ['internet', ['internet 1000', 'acme 2000']],
] as const)
  test(`the sites of the example ${example} name each other, and their tenants are the same at both`, () => {
    const [east, west] = ['east', 'west'].map((name) => {
      const { site, errors } = loadSite(resolve(import.meta.dirname, `../../examples/${example}/${name}.yaml`))
      equal(errors, undefined)
      return site!
    })
    deepEqual(
      [east, west].map((one) => one!.remote_sites.map(({ name }) => name)),
      [['west'], ['east']],
    )
    for (const one of [east, west])
      deepEqual(
        one!.tenants.map(({ name, vni }) => `${name} ${vni}`),
        tenants,
      )
  })

test('the orchestrator of the example is right', () => {
  equal(loadOrchestrator(resolve(import.meta.dirname, '../../examples/two-sites/orchestrator.yaml')).errors, undefined)
})
