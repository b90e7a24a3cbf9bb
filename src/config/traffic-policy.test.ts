import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { describeDifference, diffSites } from './difference.ts'
import { parseSite } from './load.ts'

const SITE = `site: s
vips: [{ name: v1, address: 10.255.0.1 }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: fn-1, address: 10.0.1.1, ports: [rack] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
tenants:
  - name: acme
    vni: 1
    vip: v1
    connections:
      - { name: mpls, switch: edge, port: a, vlan: 1, gateway: [192.168.1.1/24] }
      - { name: internet, switch: edge, port: a, vlan: 2, vni: 2, gateway: [192.168.2.1/24] }
    policies:
`

const parsed = (...policies: string[]) => parseSite(SITE + policies.map((policy) => `      - ${policy}\n`).join(''))

function errorsOf(...policies: string[]): string[] {
  return (parsed(...policies).errors ?? []).map(({ line, column, path, message }) => {
    return `${line}:${column} ${path.replace('tenants[0].policies', '')}: ${message}`
  })
}

test('policies come out with numbers for names, and one value as a list of one', () => {
  const { site, errors } = parsed(
    '{ name: voice, match: { dscp: [ef, 8], source: 10.1.0.0/16 }, by: mpls, only: true }',
    '{ name: web, match: { protocol: [tcp, 17], destination_port: [443, { from: 8000, to: 8099 }] }, by: [internet, mpls], balanced: true }',
    '{ name: rest, discard: true }',
  )
  ok(site, JSON.stringify(errors))
  const way = { balanced: false, only: false }
  deepEqual(site.tenants[0]!.policies, [
    { name: 'voice', match: { dscp: [46, 8], source: ['10.1.0.0/16'] }, ...way, by: ['mpls'], only: true },
    {
      name: 'web',
      match: {
        protocol: [6, 17],
        destination_port: [
          { from: 443, to: 443 },
          { from: 8000, to: 8099 },
        ],
      },
      ...way,
      by: ['internet', 'mpls'],
      balanced: true,
    },
    { name: 'rest', match: {}, ...way, discard: true },
  ])
  deepEqual(parseSite(JSON.stringify(site)).site, site)
})

const wrong: readonly (readonly [what: string, policies: string[], error: string])[] = [
  ['neither way nor end', ['{ name: a }'], '13:9 [0]: a policy needs by or discard'],
  ['both', ['{ name: a, by: mpls, discard: true }'], '13:9 [0]: a policy has either by or discard'],
  [
    'a connection that is not there',
    ['{ name: a, by: [mpls, internt] }'],
    '13:31 [0].by[1]: there is no connection "internt"; did you mean "internet"?',
  ],
  [
    'a connection twice',
    ['{ name: a, by: [mpls, mpls] }'],
    '13:31 [0].by[1]: "mpls" is already at tenants[0].policies[0].by[0]',
  ],
  [
    'a name twice',
    ['{ name: a, by: mpls }', '{ name: a, discard: true }'],
    '14:17 [1].name: "a" is already at tenants[0].policies[0].name',
  ],
  [
    'only of nothing',
    ['{ name: a, discard: true, only: true }'],
    '13:41 [0].only: only what? The policy names no connection',
  ],
  [
    'a balance of nothing',
    ['{ name: a, discard: true, balanced: true }'],
    '13:45 [0].balanced: over what? The policy names no connection',
  ],
  [
    'two families',
    ['{ name: a, by: mpls, match: { source: 10.0.0.0/8, destination: "2001:db8::/32" } }'],
    '13:72 [0].match.destination: no packet is from IPv4 to IPv6',
  ],
  [
    'ports of what has none',
    ['{ name: a, by: mpls, match: { protocol: [tcp, icmp], source_port: 7 } }'],
    '13:55 [0].match.protocol[1]: protocol 1 has no ports: TCP, UDP and SCTP have',
  ],
  [
    'a DSCP that is none',
    ['{ name: a, by: mpls, match: { dscp: 64 } }'],
    '13:45 [0].match.dscp: 64 is above the largest DSCP, 63',
  ],
  [
    'ports that end before they begin',
    ['{ name: a, by: mpls, match: { source_port: { from: 9, to: 8 } } }'],
    '13:52 [0].match.source_port: it ends before it begins',
  ],
  [
    'more rules than a tenant may have',
    [
      '{ name: a, by: mpls }',
      `{ name: b, by: mpls, match: { source_port: [${'1, '.repeat(63)}1], dscp: [1, 2, 3, 4] } }`,
      '{ name: c, by: mpls }',
    ],
    "14:9 [1]: with it the tenant's policies come to 257 rules, one a combination; there may be 256",
  ],
]

for (const [what, policies, error] of wrong) {
  test(`refused: ${what}`, () => deepEqual(errorsOf(...policies), [error]))
}

test('a policy that changes is a difference of its tenant', () => {
  const before = parsed('{ name: a, by: mpls }').site!
  const after = parsed('{ name: a, by: internet }').site!
  deepEqual(describeDifference(diffSites(before, after)), ['tenants: 1 changed (acme)'])
  equal(describeDifference(diffSites(before, before)).length, 0)
})
