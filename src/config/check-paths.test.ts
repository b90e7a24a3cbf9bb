import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { describeDifference, diffSites } from './difference.ts'
import { parseSite } from './load.ts'

interface Wish {
  mpls?: string
  internet?: string
  tenant?: string
  probe?: string
}

const textOf = ({ mpls = '', internet = '', tenant = '', probe = '' }: Wish): string => `site: s
clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [p] }] }]
vips: [{ name: v1, address: 10.255.0.1 }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a, b] }]
routing:
  as: 65001
  router_id: 10.0.0.9
  nodes: [{ name: r1, address: 10.0.3.1 }]
  probes:
    - { name: over-mpls, tenant: acme, to: 192.168.1.2, icmp: {} ${probe} }
    - { name: over-internet, tenant: acme, to: 192.168.2.2, icmp: {} }
    - { name: backbone, to: 192.0.2.1, icmp: {} }
    - { name: of-globex, tenant: globex, to: 192.168.1.2, icmp: {} }
tenants:
  - name: acme
    vni: 1001
    vip: v1
    connections:
      - { name: mpls, switch: edge, port: a, vlan: 1, gateway: [192.168.1.1/24] ${mpls} }
      - { name: internet, switch: edge, port: b, vlan: 1, vni: 1003, gateway: [192.168.2.1/24] ${internet} }
    ${tenant}
  - name: globex
    vni: 1002
    vip: v1
    connections: [{ name: dc, switch: edge, port: a, vlan: 2, gateway: [192.168.1.1/24] }]
`

const errorsOf = (wish: Wish): string[] =>
  (parseSite(textOf(wish)).errors ?? []).map(({ line, column, message }) => `${line}:${column}: ${message}`)

const BOTH = { mpls: ', probes: [over-mpls]', internet: ', probes: [over-internet]' }

test('what a tenant steers by is a criterion or a list of them, and connections have preference, cost and probes', () => {
  const { site, errors } = parseSite(
    textOf({ ...BOTH, mpls: ', probes: [over-mpls, backbone], cost: 10, preference: 5', tenant: 'steer: latency' }),
  )
  equal(errors, undefined)
  const { steer, connections } = site!.tenants[0]!
  deepEqual(steer, ['latency'])
  deepEqual(
    connections.map(({ preference, cost, probes }) => [preference, cost, probes]),
    [
      [5, 10, ['over-mpls', 'backbone']],
      [100, 0, ['over-internet']],
    ],
  )
  deepEqual(errorsOf({ ...BOTH, tenant: 'steer: [loss, cost]' }), [])
  deepEqual(errorsOf({ tenant: 'steer: cost' }), [])
  deepEqual(
    errorsOf({ ...BOTH, mpls: ', probes: [over-mpls]', probe: ', bandwidth: {}', tenant: 'steer: bandwidth' }),
    [],
  )
})

const wrong: [string, Wish, string][] = [
  [
    'an unknown probe',
    { mpls: ', probes: [over-mplz]' },
    '19:92: there is no probe "over-mplz"; did you mean "over-mpls"?',
  ],
  [
    "a probe of another tenant's",
    { mpls: ', probes: [of-globex]' },
    '19:92: probe of-globex is in the network of tenant globex',
  ],
  [
    'a probe over another connection',
    { mpls: ', probes: [backbone, over-internet]' },
    '19:102: probe over-internet goes to 192.168.2.2, which is in no subnet of this connection',
  ],
  [
    'a probe that is named twice',
    { mpls: ', probes: [backbone, backbone]' },
    '19:102: "backbone" is already at tenants[0].connections[0].probes[0]',
  ],
  [
    'a tenant that steers by what nothing measures',
    { tenant: 'steer: [cost, latency]' },
    '21:19: nothing tells the latency of any path: no connection of the tenant has probes',
  ],
  [
    'the same where it is not a list',
    { tenant: 'steer: loss' },
    '21:12: nothing tells the loss of any path: no connection of the tenant has probes',
  ],
  [
    'bandwidth that no probe measures',
    { ...BOTH, tenant: 'steer: bandwidth' },
    '21:12: nothing tells the bandwidth of any path: no connection of the tenant has probes with bandwidth: {}',
  ],
  ['a criterion twice', { ...BOTH, tenant: 'steer: [loss, loss]' }, '21:19: "loss" is already at tenants[0].steer[0]'],
  [
    'a word that is no criterion',
    { ...BOTH, tenant: 'steer: [latancy]' },
    '21:13: "latancy" is none of latency, loss, bandwidth, cost; did you mean "latency"?',
  ],
  ['a cost below none', { mpls: ', cost: -1' }, 'cost'],
]

for (const [what, wish, error] of wrong) {
  test(`${what} is an error`, () => {
    const errors = errorsOf(wish)
    equal(errors.length, 1, errors.join('; '))
    if (error.includes(':')) deepEqual(errors, [error])
    else equal(errors[0]!.includes(error), true, errors[0])
  })
}

test('a difference of a site names tenants whose steering, preferences or probes are others', () => {
  const siteOf = (wish: Wish) => parseSite(textOf(wish)).site!
  const before = siteOf(BOTH)
  for (const tenant of ['steer: cost', 'steer: [loss]'])
    deepEqual(describeDifference(diffSites(before, siteOf({ ...BOTH, tenant }))), ['tenants: 1 changed (acme)'])
  for (const more of [', preference: 7', ', cost: 7'])
    deepEqual(describeDifference(diffSites(before, siteOf({ ...BOTH, mpls: BOTH.mpls + more }))), [
      'tenants: 1 changed (acme)',
    ])
  deepEqual(describeDifference(diffSites(before, siteOf({ internet: BOTH.internet }))), ['tenants: 1 changed (acme)'])
})
