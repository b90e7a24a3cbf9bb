import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { formatPath } from './position.ts'
import { checkDocument, sitesOf, tenantAt, tenantDocument } from './tenant-document.ts'

const DOCUMENT = tenantDocument.parse({
  ...{ name: 'acme', vni: 20, vip: { east: 'v1', west: 'v7' } },
  connections: [
    { site: 'west', name: 'dc-west', switch: 'edge', port: 'p', gateway: '192.168.2.1/24' },
    { site: 'east', name: 'dc-east', switch: 'edge', port: 'p', gateway: '192.168.1.1/24' },
  ].map((one) => ({ ...one, gateway: [one.gateway] })),
  vpcs: [
    { name: 'only-west', key: 21, sites: ['west'] },
    {
      name: 'prod',
      machines: [
        { name: 'a', address: '172.16.0.1', host: 'h1', sites: ['west'] },
        { name: 'b', address: '172.16.0.2', host: 'h1' },
      ],
    },
  ],
  routes: [
    { prefix: '10.1.0.0/16', via: ['192.168.2.9'], sites: ['west'] },
    { prefix: '10.1.0.0/16', via: ['192.168.1.9'], sites: ['east'] },
  ],
  policies: [
    { name: 'voice', match: { dscp: 'ef' }, by: ['dc-west'], sites: ['west'] },
    { name: 'no-telnet', match: { protocol: 'tcp', destination_port: 23 }, discard: true },
  ],
})

test('each site has what is there, as a tenant of its file would be', () => {
  deepEqual(sitesOf(DOCUMENT), ['east', 'west'])
  const [east, west] = ['east', 'west'].map((site) => tenantAt(DOCUMENT, site)!.tenant)
  deepEqual([east!.vip, west!.vip], ['v1', 'v7'])
  deepEqual(
    [east!.connections.map(({ name }) => name), west!.connections.map(({ name }) => name)],
    [['dc-east'], ['dc-west']],
  )
  deepEqual(
    [east!, west!].map(({ vpcs }) => vpcs.map(({ name, machines }) => `${name} ${machines.map((one) => one.name)}`)),
    [['prod b'], ['only-west ', 'prod a,b']],
  )
  deepEqual([east!.routes[0]!.via![0]!.to, west!.routes[0]!.via![0]!.to], ['192.168.1.9', '192.168.2.9'])
  deepEqual(
    [east!, west!].map(({ policies }) => policies.map(({ name }) => name)),
    [['no-telnet'], ['voice', 'no-telnet']],
  )
  equal(tenantAt(DOCUMENT, 'north'), undefined)
  for (const part of [
    east!.connections[0]!,
    east!.vpcs[0]!,
    east!.vpcs[0]!.machines[0]!,
    east!.routes[0]!,
    east!.policies[0]!,
  ])
    deepEqual(
      ['site', 'sites'].filter((key) => key in part),
      [],
    )
})

test('a path in what a site has is told as that in the document', () => {
  const { pathOf } = tenantAt(DOCUMENT, 'east')!
  const paths: [(string | number)[], string][] = [
    [['vni'], 'vni'],
    [['connections', 0, 'vlan'], 'connections[1].vlan'],
    [['vpcs', 0], 'vpcs[1]'],
    [['vpcs', 0, 'machines', 0, 'host'], 'vpcs[1].machines[1].host'],
    [['routes', 0, 'via', 2, 'to'], 'routes[1].via[2].to'],
    [['policies', 0, 'match'], 'policies[1].match'],
  ]
  for (const [path, told] of paths) equal(formatPath(pathOf(path)), told)
})

test('what no site has to be asked about is told at once', () => {
  const wrong = tenantDocument.parse({
    ...{ name: 'acme', vni: 20, vip: { east: 'v1', constructor: 'v2' }, sites: ['east', 'west'] },
    vpcs: [
      { name: 'a', sites: ['north'] },
      { name: 'a', key: 2 },
    ],
    routes: [
      { prefix: '10.0.0.0/8', discard: true },
      { prefix: '10.0.0.0/8', discard: true, sites: ['west'] },
    ],
  })
  deepEqual(
    checkDocument(wrong, ['east', 'west', 'north']).map(({ path, message }) => `${formatPath(path)}: ${message}`),
    [
      'vip: which VIP is it at west?',
      "vip.constructor: constructor is not among the tenant's sites, east, west",
      "vpcs[0].sites[0]: north is not among the tenant's sites, east, west",
      'vpcs[1].name: "a" is already at vpcs[0].name',
      'routes[1].prefix: "10.0.0.0/8 at west" is already at routes[0].prefix',
    ],
  )
  const nowhere = tenantDocument.parse({ name: 'acme', vni: 20, vip: 'v1' })
  deepEqual(checkDocument(nowhere, ['east'])[0]!.path, ['sites'])
})
