import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadSite, parseSite } from './load.ts'
import { formatError } from './position.ts'

const FABRIC = `site: s
gateway: { mac: 02:67:68:00:00:01 }
vips: [{ name: v1, address: 10.255.0.1 }, { name: v6, address: "2001:db8::1" }]
clusters: [{ name: blue, vips: [v1, v6], nodes: [{ name: fn-1, address: 10.0.1.1, ports: [rack] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a, b] }]
hosts:
  - { name: h1, address: 10.0.2.1, tunnel: gre }
  - { name: h2, address: 10.0.2.2, tunnel: vxlan }
`

const CONNECTION = '{ name: dc, switch: edge, port: a, gateway: [192.168.1.1/24], peers: [192.168.1.2] }'

/** Errors of the fabric with one tenant whose fields are given, without line and column. */
function tenantErrors(fields: string, more = ''): string[] {
  return errorsOf(`${FABRIC}tenants:\n  - { name: acme, vni: 1, vip: v1, ${fields} }\n${more}`)
}

function errorsOf(text: string): string[] {
  return (parseSite(text).errors ?? []).map(({ path, message }) => `${path}: ${message}`)
}

test('a site comes out with its defaults and with canonical addresses', () => {
  const { site } = parseSite(`${FABRIC.replace('2001:db8::1', '2001:DB8:0::1')}tenants:
  - name: acme
    vni: 1
    vip: v1
    connections: [{ name: dc, switch: edge, port: a, gateway: ["FD00::1/64"], peers: ["FD00:0::2", { address: "fd00::3", mac: 02:00:00:00:00:0A }] }]
    routes: [{ prefix: "fd01::/16", via: ["FD00::2", { to: "fd00::3", weight: 3 }, dc] }]`)
  ok(site)
  equal(site.vips[1]!.address, '2001:db8::1')
  equal(site.control.drain_ms, 2000)
  const [acme] = site.tenants
  deepEqual(acme!.vpcs, [])
  deepEqual(acme!.connections[0]!.peers, [{ address: 'fd00::2' }, { address: 'fd00::3', mac: '02:00:00:00:00:0a' }])
  deepEqual(acme!.routes[0]!.via, [
    { to: 'fd00::2', weight: 1, backup: false },
    { to: 'fd00::3', weight: 3, backup: false },
    { to: 'dc', weight: 1, backup: false },
  ])
})

test('a site as JSON is the same site', () => {
  const { site } = parseSite(`${FABRIC}tenants: [{ name: acme, vni: 1, vip: v1, connections: [${CONNECTION}] }]`)
  deepEqual(parseSite(JSON.stringify(site)).site, site)
})

test('an error names file, line, column and path, as people write them', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'site-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'site.yaml')
  writeFileSync(path, `${FABRIC}\ntenants:\n  - name: acme\n    vni: 16777216\n    vip: v1\n`)
  const errors = loadSite(path).errors!.map((error) => formatError('site.yaml', error))
  deepEqual(errors, ['site.yaml:12:10 tenants[0].vni: 16777216 is above the largest VNI, 16777215'])
  deepEqual(loadSite(join(directory, 'other.yaml')).errors, [
    { line: 1, column: 1, path: '', message: 'there is no such file' },
  ])
})

test('errors of every kind are told at once, in the order of the file', () => {
  const { errors } = parseSite(`${FABRIC}tenants:
  - name: acme
    vni: 0
    vip: v2
    connektions: []
    vpcs: [{ name: prod, machines: [{ name: web, address: 172.16.0.300, host: h3 }] }]
    routes: [{ prefix: 10.1.0.1/16 }]`)
  deepEqual(
    errors!.map(({ line, path, message }) => `${line} ${path}: ${message}`),
    [
      '11 tenants[0].vni: 0 is below the smallest VNI, 1',
      '12 tenants[0].vip: there is no VIP "v2"',
      '13 tenants[0].connektions: unknown key "connektions"; did you mean "connections"?',
      '14 tenants[0].vpcs[0].machines[0].address: "172.16.0.300" is no IP address',
      '14 tenants[0].vpcs[0].machines[0].host: there is no host "h3"',
      '15 tenants[0].routes[0]: a route needs via, discard or vrf',
      '15 tenants[0].routes[0].prefix: 10.1.0.1/16 has bits set behind its length; the prefix is 10.1.0.0/16',
    ],
  )
})

test('what YAML itself refuses is told with its place', () => {
  const { errors } = parseSite('site: [\nvips: {\n')
  ok(errors!.length >= 1)
  ok(errors!.every(({ line, message }) => line >= 1 && !message.includes('\n')))
  ok(parseSite('site: a\nsite: b\n').errors!.some(({ line, message }) => line === 2 && /unique/i.test(message)))
})

test('a file that is no map, or nothing, is told so', () => {
  deepEqual(errorsOf(''), [': expected a map, found nothing'])
  deepEqual(errorsOf('- 1'), [': expected a map, found a list'])
})

test('aliases cannot make a page into gigabytes', () => {
  const bomb = Array.from({ length: 30 }, (_, i) => `a${i}: &a${i} [${`*a${i - 1}, `.repeat(i === 0 ? 0 : 9)}x]`).join(
    '\n',
  )
  equal(parseSite(bomb).errors!.length, 1)
})

const natsErrors = (text: string): string[] => errorsOf(`${FABRIC}bus: { nats: { ${text} } }\n`)

const cases: readonly (readonly [what: string, errors: string[], wanted: string])[] = [
  [
    'a run directory too deep for its socket',
    errorsOf(`${FABRIC}bus: { directory: "/${'x'.repeat(98)}" }\n`),
    "bus.directory: a run directory's path has at most 98 bytes, for the socket in it has 107",
  ],
  [
    'a server of NATS without a port',
    errorsOf(`${FABRIC}bus: { nats: { servers: [nats-1] } }\n`),
    'bus.nats.servers[0]: "nats-1" is no server: HOST:PORT, such as nats-1.example:4222',
  ],
  [
    'a server of NATS at a port that cannot be',
    errorsOf(`${FABRIC}bus: { nats: { servers: ["[::1]:65536"] } }\n`),
    'bus.nats.servers[0]: "[::1]:65536" is no server: HOST:PORT, such as nats-1.example:4222',
  ],
  [
    'NATS without a server',
    errorsOf(`${FABRIC}bus: { nats: { servers: [] } }\n`),
    'bus.nats.servers: a bus over NATS needs a server',
  ],
  [
    'a server of NATS twice',
    natsErrors('servers: [a:1, a:1]'),
    'bus.nats.servers[1]: "a:1" is already at bus.nats.servers[0]',
  ],
  [
    'a site on NATS whose name has an underscore',
    errorsOf(`${FABRIC.replace('site: s', 'site: s_1')}bus: { nats: { servers: [a:1] } }\n`),
    'site: a site whose bus is NATS has no _ in its name',
  ],
  ['two replicas', natsErrors('servers: [a:1], replicas: 2'), 'bus.nats.replicas: 2 is none of 1, 3'],
  ['a user without a password', natsErrors('servers: [a:1], user: u'), 'bus.nats.user: a user needs a password_file'],
  [
    'a password without a user',
    natsErrors('servers: [a:1], password_file: /p'),
    'bus.nats.password_file: whose? There is no user',
  ],
  [
    'a token and a key',
    natsErrors('servers: [a:1], token_file: /t, nkey_file: /k'),
    'bus.nats.nkey_file: one of user, token_file, nkey_file and creds_file is enough; there is token_file already',
  ],
  [
    'a password in the site file',
    natsErrors('servers: [a:1], user: u, password_file: /p, password: x'),
    'bus.nats.password: unknown key "password"',
  ],
  [
    'a file from nowhere',
    natsErrors('servers: [a:1], token_file: token'),
    'bus.nats.token_file: a file is written from the root: /etc/gatehouse/NAME',
  ],
  [
    'a certificate without its key',
    natsErrors('servers: [a:1], tls: { cert_file: /c }'),
    'bus.nats.tls.cert_file: a certificate needs its key_file',
  ],
  [
    'a key without its certificate',
    natsErrors('servers: [a:1], tls: { key_file: /k }'),
    'bus.nats.tls.key_file: a key needs its cert_file',
  ],
  ['a wrong type', tenantErrors('routes: 7'), 'tenants[0].routes: expected a list, found 7'],
  [
    'a word that is none of those',
    errorsOf(FABRIC.replace('tunnel: vxlan', 'tunnel: vxlam')),
    'hosts[1].tunnel: "vxlam" is none of gre, vxlan; did you mean "vxlan"?',
  ],
  [
    'VXLAN without Ethernet',
    errorsOf(FABRIC.replace('tunnel: vxlan', 'tunnel: vxlan, payload: ip')),
    'hosts[1].payload: VXLAN carries Ethernet; bare IP needs GRE',
  ],
  [
    'a group address as the gateway',
    errorsOf(FABRIC.replace('02:67', '03:67')),
    "gateway.mac: 03:67:68:00:00:01 is no station's address: a group's, or zero",
  ],
  [
    'an address of two things',
    errorsOf(FABRIC.replace('10.0.2.2', '10.0.1.1')),
    'hosts[1].address: "10.0.1.1" is already at clusters[0].nodes[0].address',
  ],
  [
    'a module name twice',
    errorsOf(FABRIC.replace('fn-1', 'edge')),
    'clusters[0].nodes[0].name: "edge" is already at switches[0].name',
  ],
  [
    'a module name that is taken',
    errorsOf(FABRIC.replace('fn-1', 'control')),
    'clusters[0].nodes[0].name: "control" is the name of a module',
  ],
  [
    'a control module of a name that is taken',
    errorsOf(`${FABRIC}control: { nodes: [{ name: control }, { name: fn-1 }] }`),
    'control.nodes[1].name: "fn-1" is already at clusters[0].nodes[0].name',
  ],
  [
    'an interface of two modules',
    errorsOf(FABRIC.replace('ports: [rack]', 'ports: [up]')),
    'switches[0].uplinks[0]: "up" is already at clusters[0].nodes[0].ports[0]',
  ],
  ['a VIP that nobody serves', errorsOf(FABRIC.replace('[v1, v6]', '[v1]')), 'vips[1]: no cluster serves VIP "v6"'],
  ['an unknown VIP', errorsOf(FABRIC.replace('[v1, v6]', '[v1, v6, w1]')), 'clusters[0].vips[2]: there is no VIP "w1"'],
  [
    'an unknown switch',
    tenantErrors(`connections: [${CONNECTION.replace('edge', 'edg')}]`),
    'tenants[0].connections[0].switch: there is no switch "edg"; did you mean "edge"?',
  ],
  [
    'an unknown port',
    tenantErrors(`connections: [${CONNECTION.replace('port: a', 'port: c')}]`),
    'tenants[0].connections[0].port: switch edge has no port "c"; its ports are a, b',
  ],
  [
    'tunnel endpoints of two families',
    tenantErrors(`connections: [${CONNECTION}]`).concat(
      errorsOf(`${FABRIC}tenants: [{ name: t, vni: 1, vip: v6, connections: [${CONNECTION}] }]`),
    ),
    'tenants[0].connections[0].switch: switch edge has an IPv4 tunnel endpoint, but VIP v6 is IPv6',
  ],
  [
    'two attachments on one wire',
    tenantErrors(`connections: [${CONNECTION}]`, `  - { name: b, vni: 2, vip: v1, connections: [${CONNECTION}] }`),
    'tenants[1].connections[0]: untagged port a of switch edge is already attached at tenants[0].connections[0]',
  ],
  [
    'a VNI of two tenants',
    tenantErrors('', '  - { name: b, vni: 1, vip: v1 }'),
    'tenants[1].vni: VNI 1 is already in use at tenants[0].vni',
  ],
  [
    "a key that is another tenant's VNI",
    tenantErrors('vpcs: [{ name: p, key: 2 }]', '  - { name: b, vni: 2, vip: v1 }'),
    'tenants[0].vpcs[0].key: key 2 is already in use at tenants[1].vni',
  ],
  [
    'two VPCs with one key',
    tenantErrors('vpcs: [{ name: p }, { name: q }]'),
    'tenants[0].vpcs[1]: key 1 is already that of tenants[0].vpcs[0]; each VPC needs its own',
  ],
  [
    'a key that VXLAN has no room for',
    tenantErrors('vpcs: [{ name: p, key: 16777216, subnets: [{ prefix: 10.9.0.0/24, host: h2 }] }]'),
    'tenants[0].vpcs[0].subnets[0].host: host h2 speaks VXLAN, and key 16777216 is above the largest VNI, 16777215',
  ],
  [
    'a VNI twice on one switch',
    tenantErrors(
      `connections: [${CONNECTION}, ${CONNECTION.replace('dc', 'd2').replace('port: a', 'port: b').replaceAll('168.1.', '168.2.')}]`,
    ),
    'tenants[0].connections[1]: switch edge has an attachment for VNI 1 at tenants[0].connections[0]; give this one a vni of its own',
  ],
  [
    'subnets that overlap',
    tenantErrors(`connections: [${CONNECTION}], vpcs: [{ name: p, subnets: [{ prefix: 192.168.0.0/16 }] }]`),
    'tenants[0].vpcs[0].subnets[0].prefix: 192.168.0.0/16 overlaps 192.168.1.0/24 at tenants[0].connections[0].gateway[0]',
  ],
  [
    'a gateway that is the subnet',
    tenantErrors(`connections: [${CONNECTION.replace('1.1/24', '1.0/24')}]`),
    'tenants[0].connections[0].gateway[0]: this is the address of the subnet itself',
  ],
  [
    'a peer that is the broadcast address',
    tenantErrors(`connections: [${CONNECTION.replace('1.2]', '1.255]')}]`),
    "tenants[0].connections[0].peers[0]: this is the subnet's broadcast address",
  ],
  [
    'a peer elsewhere',
    tenantErrors(`connections: [${CONNECTION.replace('1.2]', '2.2]')}]`),
    'tenants[0].connections[0].peers[0]: 192.168.2.2 is in no subnet of this connection',
  ],
  [
    'a machine outside of its VPC',
    tenantErrors(
      'vpcs: [{ name: p, subnets: [{ prefix: 10.9.0.0/24 }], machines: [{ name: m, address: 10.8.0.5, host: h1 }] }]',
    ),
    'tenants[0].vpcs[0].machines[0].address: 10.8.0.5 is in no subnet of the VPC',
  ],
  [
    'a machine in a connection',
    tenantErrors(
      `connections: [${CONNECTION}], vpcs: [{ name: p, machines: [{ name: m, address: 192.168.1.9, host: h1 }] }]`,
    ),
    'tenants[0].vpcs[0].machines[0].address: 192.168.1.9 is in the subnet at tenants[0].connections[0].gateway[0]',
  ],
  [
    'a machine on Ethernet that nobody can ask for',
    tenantErrors('vpcs: [{ name: p, machines: [{ name: m, address: 10.8.0.5, host: h2 }] }]'),
    'tenants[0].vpcs[0].machines[0]: host h2 carries Ethernet: 10.8.0.5 needs a mac, or a subnet with a gateway to ask from',
  ],
  [
    'an address of two machines',
    tenantErrors(
      'vpcs: [{ name: p, machines: [{ name: m, address: 10.8.0.5, host: h1 }, { name: n, address: [10.8.0.6, 10.8.0.5], host: h1 }] }]',
    ),
    'tenants[0].vpcs[0].machines[1].address: "10.8.0.5" is already at tenants[0].vpcs[0].machines[0].address',
  ],
  [
    'a next hop that cannot be reached',
    tenantErrors(`connections: [${CONNECTION}], routes: [{ prefix: 10.1.0.0/16, via: [192.168.2.2] }]`),
    "tenants[0].routes[0].via[0]: 192.168.2.2 cannot be reached: it is in no connection's subnet and no machine of the tenant",
  ],
  [
    'a next hop of the other family',
    tenantErrors(`connections: [${CONNECTION}], routes: [{ prefix: "fd00::/16", via: [192.168.1.2] }]`),
    'tenants[0].routes[0].via[0]: fd00::/16 is IPv6 and 192.168.1.2 is IPv4',
  ],
  [
    'a next hop that is ourselves',
    tenantErrors(`connections: [${CONNECTION}], routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.1] }]`),
    'tenants[0].routes[0].via[0]: 192.168.1.1 is our own address',
  ],
  [
    'a next hop twice',
    tenantErrors(`connections: [${CONNECTION}], routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.2, 192.168.1.2] }]`),
    'tenants[0].routes[0].via[1]: "192.168.1.2" is already at tenants[0].routes[0].via[0]',
  ],
  [
    'a connection without an address of the family',
    tenantErrors(`connections: [${CONNECTION}], routes: [{ prefix: "fd00::/16", via: [dc] }]`),
    'tenants[0].routes[0].via[0]: connection dc has no IPv6 gateway address',
  ],
  [
    'a route twice',
    tenantErrors(
      `connections: [${CONNECTION}], routes: [{ prefix: 10.1.0.0/16, discard: true }, { prefix: 10.1.0.0/16, via: [dc] }]`,
    ),
    'tenants[0].routes[1].prefix: "10.1.0.0/16" is already at tenants[0].routes[0].prefix',
  ],
  [
    'a route that is both',
    tenantErrors(`connections: [${CONNECTION}], routes: [{ prefix: 10.1.0.0/16, discard: true, via: [dc] }]`),
    'tenants[0].routes[0]: a route has one of via, discard and vrf',
  ],
  [
    "a route to a connection's own subnet",
    tenantErrors(`connections: [${CONNECTION}], routes: [{ prefix: 192.168.1.0/24, discard: true }]`),
    'tenants[0].routes[0].prefix: 192.168.1.0/24 is the subnet of tenants[0].connections[0].gateway[0]',
  ],
]

for (const [what, errors, wanted] of cases) {
  test(`${what} is refused, and nothing else is`, () => deepEqual(errors, [wanted]))
}

test('interfaces of two hosts may be called alike, and over NATS each module may have a host to itself', () => {
  const alike = FABRIC.replace('ports: [rack]', 'ports: [up]')
  deepEqual(errorsOf(`${alike}bus: { nats: { servers: [a:1] } }\n`), [])
  deepEqual(errorsOf(`${alike.replace('ports: [a, b]', 'ports: [a, a]')}bus: { nats: { servers: [a:1] } }\n`), [
    'switches[0].ports[1]: "a" is already at switches[0].ports[0]',
  ])
})

test('of very many errors the first in the file are told, and how many more there are', () => {
  const tenants = Array.from({ length: 250 }, (_, i) => `  - { name: t${i}, vni: 0, vip: v1 }\n`)
  // What is checked across the file is found last, and may stand first in it.
  const fabric = FABRIC.replace('address: 10.255.0.1 }', 'address: 10.255.0.1 }, { name: v9, address: 10.255.0.9 }')
  const errors = parseSite(`${fabric}tenants:\n${tenants.join('')}`).errors!
  equal(errors.length, 201)
  equal(errors[0]!.message, 'no cluster serves VIP "v9"')
  equal(errors[199]!.path, 'tenants[198].vni')
  equal(formatError('site.yaml', errors[200]!).replace(/:\d+ /, ': '), 'site.yaml:209: and 51 more errors from here on')
})

test('what follows from an address that cannot be read is not told on top', () => {
  const fields = `connections: [${CONNECTION.replace('192.168.1.1/24', '192.168.1.1')}], routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.2] }]`
  deepEqual(tenantErrors(fields), [
    'tenants[0].connections[0].gateway[0]: "192.168.1.1" is no address with a prefix length, such as 192.168.1.1/24',
  ])
})

test('a /31 and a /127 have no addresses to spare', () => {
  const wire = (gateway: string, peer: string) =>
    CONNECTION.replace('192.168.1.1/24', gateway).replace('192.168.1.2', peer)
  deepEqual(tenantErrors(`connections: [${wire('10.3.0.0/31', '10.3.0.1')}]`), [])
  deepEqual(tenantErrors(`connections: [${wire('"fd00::/127"', '"fd00::1"')}]`), [])
})

test('ten thousand tenants are read and checked in seconds', () => {
  const tenants = Array.from({ length: 10_000 }, (_, i) => ({
    name: `t${i}`,
    vni: i + 1,
    vip: 'v1',
    connections: [
      {
        name: 'dc',
        switch: 'edge',
        port: i < 4000 ? 'a' : i < 8000 ? 'b' : 'c',
        vlan: (i % 4000) + 1,
        gateway: ['192.168.1.1/24'],
        peers: ['192.168.1.2'],
      },
    ],
    routes: Array.from({ length: 4 }, (_, j) => ({ prefix: `10.${j}.0.0/16`, via: ['192.168.1.2'] })),
  }))
  const text = `${FABRIC.replace('[a, b]', '[a, b, c]')}tenants: ${JSON.stringify(tenants)}`
  // Of the processor, whoever else is at work.
  const start = process.cpuUsage()
  deepEqual(errorsOf(text), [])
  const { user, system } = process.cpuUsage(start)
  ok(user + system < 20e6, `${user + system} us`)
})

test('probes, BFD and what is tied to them are checked where they stand', () => {
  const routing = (fields: string): string => `site: s\nrouting:\n  as: 65001\n  router_id: 10.0.0.1\n${fields}`
  const neighbour = (bfd: string): string =>
    routing(`  neighbours: [{ name: n, address: 10.0.0.2, as: 65002, bfd: ${bfd} }]`)
  const probe = (fields: string): string => routing(`  probes: [{ name: p, to: 192.0.2.1, ${fields} }]`)
  const sound = [
    neighbour('{}'),
    neighbour('{ interval_ms: 10, multiplier: 5, multihop: true, authentication: { type: sha1, key: secret } }'),
    probe('icmp: {}, limits: { loss_percent: { down: 10, up: 2 } }'),
    probe('udp: { port: 7 }, bandwidth: {}, limits: { bandwidth_kbps: { down: 1000, up: 2000 } }'),
    probe('tcp: { port: 22 }, fall: 5'),
    probe('tcp: { port: 9 }, bandwidth: { packets: 200 }'),
    probe('http: {}, bandwidth: {}'),
    probe('http: { path: /health, status: 204 }'),
  ]
  for (const text of sound) deepEqual(errorsOf(text), [], text)
  const wrong: readonly (readonly [text: string, error: string])[] = [
    [neighbour('{ interval_ms: 9 }'), 'routing.neighbours[0].bfd.interval_ms: 9 is below the smallest interval, 10'],
    [
      neighbour('{ multihop: true, echo: true }'),
      'routing.neighbours[0].bfd.echo: over several hops there is no echo (RFC 5883 section 3)',
    ],
    [
      neighbour('{ authentication: { type: password, key: longer-than-sixteen } }'),
      'routing.neighbours[0].bfd.authentication.key: a key of password has at most 16 bytes',
    ],
    [probe('icmp: {}, tcp: { port: 1 }'), 'routing.probes[0]: a probe is one of icmp, udp, tcp and http'],
    [
      probe('icmp: {}, limits: { delay_ms: { down: 10, up: 20 } }'),
      'routing.probes[0].limits.delay_ms: delay that is good again cannot be more than what is bad',
    ],
    [
      probe('icmp: {}, limits: { bandwidth_kbps: { down: 10, up: 20 } }'),
      'routing.probes[0].limits: a limit of the bandwidth needs it measured: bandwidth: {}',
    ],
    [probe('icmp: {}, node: r1'), 'routing.probes[0].node: there is no routing node "r1"'],
    [
      probe("icmp: {}, from: '2001:db8::1'"),
      'routing.probes[0].from: 2001:db8::1 is of another IP version than 192.0.2.1',
    ],
    [
      routing('  history: { size_mb: 7 }'),
      'routing.history.size_mb: 7 MB are too few for a history: at least 8, or 0 for none',
    ],
    [
      routing('  history: { directory: here }'),
      'routing.history.directory: a directory is written from the root: /var/lib/gatehouse/NAME/history',
    ],
    [
      routing('  responders: [{ address: 10.0.0.1 }, { address: 10.0.0.1 }]'),
      'routing.responders[1]: "10.0.0.1 port 8862" is already at routing.responders[0]',
    ],
    [
      `${probe('icmp: {}')}\n  neighbours: [{ name: p, address: 10.0.0.2, as: 65002, bfd: {} }]`,
      'routing.probes[0].name: "p" is already at routing.neighbours[0].name',
    ],
  ]
  for (const [text, error] of wrong) deepEqual(errorsOf(text), [error], text)
  const connections = `connections: [${CONNECTION}]`
  const tied = (track: string): string[] =>
    tenantErrors(
      `${connections}, routes: [{ prefix: 10.0.0.0/8, via: [192.168.1.2], track: ${track} }]`,
      'routing: { as: 65001, router_id: 10.0.0.1, probes: [{ name: to-dc, to: 192.0.2.1, icmp: {} }] }\n',
    )
  deepEqual(tied('to-dc'), [])
  deepEqual(tied('to-cd'), [
    'tenants[0].routes[0].track: there is no probe and no neighbour with bfd "to-cd"; did you mean "to-dc"?',
  ])
})
