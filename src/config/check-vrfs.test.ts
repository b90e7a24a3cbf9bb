import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { parseSite } from './load.ts'

/** A tenant with connections to the Internet, and one with machines; `more` are other fields of each. */
function siteText({ acme = '', internet = '', globex = '' }): string {
  return `site: s
vips: [{ name: v1, address: 10.255.0.1 }, { name: v2, address: 10.255.0.2 }]
clusters:
  - { name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [p] }] }
  - { name: green, vips: [v2], nodes: [{ name: g1, address: 10.0.1.2, ports: [q] }] }
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
hosts: [{ name: h, address: 10.0.2.1, tunnel: gre }]
tenants:
  - name: internet
    vni: 1
    vip: v1
    connections: [{ name: isp, switch: edge, port: a, gateway: [192.0.2.1/30] }]
    routes: [{ prefix: 0.0.0.0/0, via: [192.0.2.2] }${internet}]
  - name: acme
    vni: 2
    vip: v1
    vpcs: [{ name: web, subnets: [{ prefix: 203.0.113.0/28, host: h }] }, { name: b, key: 9, machines: [{ name: m, address: 198.51.100.9, host: h }] }]
    ${acme}
  - { name: globex, vni: 3, vpcs: [{ name: web, subnets: [{ prefix: 203.0.113.0/24 }] }], ${globex} }
`
}

const V1 = 'vip: v1'
const OUT = 'routes: [{ prefix: 0.0.0.0/0, vrf: internet }]'
const errorsOf = (parts: { acme?: string; internet?: string; globex?: string }): string[] =>
  (parseSite(siteText({ globex: V1, ...parts })).errors ?? []).map(
    ({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`,
  )

test('a tenant has public prefixes in another’s VRF and a route into it', () => {
  const text = siteText({
    acme: `public: { vrf: internet, prefixes: [203.0.113.0/29, 198.51.100.0/24] }\n    ${OUT}`,
    globex: V1,
  })
  const { site, errors } = parseSite(text)
  ok(site, JSON.stringify(errors))
  deepEqual(site.tenants[1]!.public, { vrf: 'internet', prefixes: ['203.0.113.0/29', '198.51.100.0/24'] })
  deepEqual(site.tenants[1]!.routes, [{ prefix: '0.0.0.0/0', vrf: 'internet' }])
})

const wrong: readonly (readonly [what: string, parts: Parameters<typeof errorsOf>[0], error: string])[] = [
  [
    'a VRF of nobody',
    { acme: 'routes: [{ prefix: 0.0.0.0/0, vrf: intrenet }]' },
    '18:40 tenants[1].routes[0].vrf: there is no tenant "intrenet"; did you mean "internet"?',
  ],
  [
    'its own VRF',
    { acme: 'routes: [{ prefix: 0.0.0.0/0, vrf: acme }]' },
    '18:40 tenants[1].routes[0].vrf: this is the tenant itself',
  ],
  [
    'two ends of one route',
    { acme: 'routes: [{ prefix: 0.0.0.0/0, vrf: internet, discard: true }]' },
    '18:14 tenants[1].routes[0]: a route has one of via, discard and vrf',
  ],
  [
    'public prefixes that are nowhere',
    { acme: 'public: { vrf: internet, prefixes: [192.0.2.128/25] }' },
    "18:41 tenants[1].public.prefixes[0]: 192.0.2.128/25 has no machine and no subnet of the tenant's VPCs in it",
  ],
  [
    'public prefixes of two tenants that overlap',
    {
      acme: 'public: { vrf: internet, prefixes: [203.0.113.0/28] }',
      globex: `${V1}, public: { vrf: internet, prefixes: [203.0.113.0/24] }`,
    },
    '19:136 tenants[2].public.prefixes[0]: this overlaps tenants[1].public.prefixes[0], in the same VRF',
  ],
  [
    'a VRF that leads on',
    { acme: OUT, globex: `${V1}, routes: [{ prefix: 10.0.0.0/8, vrf: acme }]` },
    '19:136 tenants[2].routes[0].vrf: a packet changes VRFs once: routes[0] of tenant acme leads on to another',
  ],
  [
    'tenants that no node holds together',
    { globex: 'vip: v2, routes: [{ prefix: 0.0.0.0/0, vrf: internet }]' },
    '19:135 tenants[2].routes[0].vrf: nodes have to hold both tenants: VIP v2 is behind cluster green, and VIP v1 of internet behind cluster blue',
  ],
]

for (const [what, parts, error] of wrong) test(`refused: ${what}`, () => deepEqual(errorsOf(parts), [error]))
