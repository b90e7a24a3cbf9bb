import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadSite } from '../src/config/load.ts'
import { needs } from './needs.ts'
import { Surroundings } from './site.ts'
import { defaultShape, topologyOf } from './topology.ts'
import { Traffic } from './traffic/traffic.ts'

// Machines of two tenants with the same addresses, crosswise on two hosts; the gateway plays no part.
const SITE = `
site: crosswise
gateway: { mac: '02:67:68:00:00:01' }
vips: [{ name: vip-1, address: 10.255.0.1 }]
clusters:
  - { name: blue, vips: [vip-1], nodes: [{ name: fn-1, namespace: fn-1, address: 10.0.1.1, ports: [rack], workers: 2 }] }
switches:
  - { name: edge-1, namespace: edge-1, address: 10.0.0.1, uplinks: [path-a, path-b], ports: [dc, trunk] }
  - { name: rack-1, namespace: rack-1, address: 10.0.0.2, uplinks: [path-a, path-b, fn-1, host-1, host-2], balances: [{ vip: vip-1 }] }
hosts:
  - { name: host-1, address: 10.0.2.1, tunnel: gre }
  - { name: host-2, address: 10.0.2.2, tunnel: gre }
tenants:
  - name: acme
    vni: 1001
    vip: vip-1
    connections:
      - { name: acme-dc, switch: edge-1, port: dc, gateway: [192.168.1.1/24, '2001:db8:1::1/64'], peers: [192.168.1.2, '2001:db8:1::2'] }
    vpcs:
      - name: prod
        machines:
          - { name: a, address: [172.16.0.5, '2001:db8::5'], host: host-1 }
          - { name: b, address: [172.16.0.6, '2001:db8::6'], host: host-2 }
    routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.2] }]
  - name: globex
    vni: 1002
    vip: vip-1
    connections:
      - { name: dc, switch: edge-1, port: trunk, vlan: 200, gateway: [192.168.1.1/24], peers: [192.168.1.2] }
    vpcs:
      - name: prod
        machines:
          - { name: a, address: 172.16.0.5, host: host-2 }
          - { name: b, address: 172.16.0.6, host: host-1 }
`

const ROUTING = `
routing:
  as: 65001
  router_id: 10.0.3.1
  nodes: [{ name: rn-1, namespace: rn-1, address: 10.0.3.1 }]
  prefix_lists: [{ name: own, prefixes: [10.7.0.0/16] }]
  policies: [{ name: in, terms: [{ match: { prefix_list: own }, then: accept }] }]
  neighbours:
    - { name: acme-4, tenant: acme, address: 192.168.1.2, as: 65010, hold_time_s: 9, import: in }
    - { name: acme-6, tenant: acme, address: '2001:db8:1::2', as: 65010, families: [ipv6-unicast] }
`

function withSite<T>(text: string, use: (path: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-site-'))
  try {
    writeFileSync(join(folder, 'site.yaml'), text)
    return use(join(folder, 'site.yaml'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function topology() {
  return topologyOf(withSite(SITE, loadSite).site!, defaultShape)
}

suite('a topology', () => {
  test('has all the shortest ways between addresses, and nobody but switches on the way', () => {
    const { commands } = topology()
    const routes = (namespace: string): string[] => commands.get(namespace)!.filter((line) => line.startsWith('route'))
    match(
      routes('edge-1').join('\n'),
      /10\.255\.0\.1\/32 src 10\.0\.0\.1 nexthop via \S+ dev path-a nexthop via \S+ dev path-b/,
    )
    match(routes('host-1').join('\n'), /10\.0\.0\.1\/32 src 10\.0\.2\.1 nexthop via \S+ dev rack-1$/m)
    equal(routes('rack-1').length, 5)
    ok(commands.get('fn-1')!.includes('addr add 10.255.0.1/32 dev lo'))
  })

  test('gives each worker a queue, and customers what is routed to them', () => {
    const { links, customers } = topology()
    deepEqual(links.find(({ b }) => b.namespace === 'fn-1')?.queues, 2)
    deepEqual(
      customers.map(({ namespace, addresses }) => [namespace, ...addresses]),
      [
        ['acme-dc', '10.1.0.1', '2001:db8:1::2'],
        ['globex-dc', '192.168.1.2'],
      ],
    )
  })

  test('has a router at each customer that the gateway speaks BGP with, and routing nodes in the underlay', () => {
    const routed = SITE.replace('fn-1, host-1', 'fn-1, rn-1, host-1').replace(
      '    routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.2] }]\n',
      '',
    )
    const { site, errors } = withSite(`${routed}${ROUTING}`, loadSite)
    ok(site, JSON.stringify(errors))
    const { customers, commands, underlay, links } = topologyOf(site, defaultShape)
    ok(underlay.includes('rn-1') && commands.get('rn-1')!.includes('addr add 10.0.3.1/32 dev lo'))
    ok(links.some(({ a, b }) => a.namespace === 'rack-1' && b.namespace === 'rn-1' && b.interface === 'rack-1'))
    const [acme, globex] = customers
    deepEqual(acme!.router, {
      as: 65010,
      routerId: '192.168.1.2',
      sessions: [
        { local: '192.168.1.2', remote: '192.168.1.1', as: 65001, families: ['ipv4'], holdTime_s: 9 },
        { local: '2001:db8:1::2', remote: '2001:db8:1::1', as: 65001, families: ['ipv6'], holdTime_s: 90 },
      ],
      announces: ['10.7.0.0/16', '2001:db8:a::/48'],
      extra: [],
    })
    deepEqual(acme!.addresses, ['10.7.0.1', '2001:db8:a::1'])
    equal(globex!.router, undefined)
    const defaults = (namespace: string, routersInstall: boolean): number =>
      topologyOf(site, { ...defaultShape, routersInstall })
        .commands.get(namespace)!
        .filter((line) => line.startsWith('route add default')).length
    deepEqual([defaults('acme-dc', true), defaults('acme-dc', false), defaults('globex-dc', true)], [0, 2, 1])
  })

  test('says what a port leads nowhere for', () => {
    const site = { ...withSite(SITE, loadSite).site! }
    const switches = site.switches.map((each) => ({ ...each, uplinks: [...each.uplinks, 'nowhere'] }))
    const [edge, rack] = switches
    ok(topologyOf({ ...site, switches }, defaultShape))
    const lone = [
      { ...edge!, uplinks: ['path-a', 'nowhere'] },
      { ...rack!, uplinks: ['path-a'] },
    ]
    match(String(catching(() => topologyOf({ ...site, switches: lone }, defaultShape))), /edge-1's uplink nowhere/)
  })
})

function catching(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}

suite('the surroundings of a site', { skip: needs('ip') }, () => {
  test('carry pings, TCP and HTTP of tenants with the same addresses between their machines on two hosts', async () => {
    await using made = await withSite(SITE, (path) => Surroundings.build(path))
    const { lab } = made
    lab.set('rack-1', { 'net/ipv4/ip_forward': 1 })
    const [host1, host2] = [made.vswitches.get('host-1')!, made.vswitches.get('host-2')!]
    for (const key of [1001, 1002]) {
      await host1.setVip(key, '10.0.2.2')
      await host2.setVip(key, '10.0.2.1')
    }
    const tenantPlan = (tenant: string, families: [string, string][]) => {
      const [from, to] = [`${tenant}-prod-a`, `${tenant}-prod-b`]
      return {
        pings: families.flatMap(([a, b]) => [
          { tenant, namespace: from, to: b },
          { tenant, namespace: to, to: a },
        ]),
        server: { tenant, namespace: to, addresses: families.map(([, b]) => b) },
        client: {
          tenant,
          namespace: from,
          streams: families.flatMap(([a, b]) => [
            { from: a, to: b, direction: 'up' as const },
            { from: a, to: b, direction: 'down' as const },
          ]),
          fetches: families.flatMap(([a, b]) => [
            { from: a, to: b, fresh: true },
            { from: a, to: b, fresh: false },
          ]),
        },
      }
    }
    const ipv4: [string, string] = ['172.16.0.5', '172.16.0.6']
    const plans = [tenantPlan('acme', [ipv4, ['2001:db8::5', '2001:db8::6']]), tenantPlan('globex', [ipv4])]
    const traffic = await Traffic.prepare(lab, {
      pings: plans.flatMap((plan) => plan.pings).map((ping, i) => ({ ...ping, identifier: i + 1 })),
      servers: plans.map((plan) => plan.server),
      clients: plans.map((plan) => plan.client),
      pingInterval_ms: 20,
      fetchInterval_ms: 20,
      streamRate_bit_per_s: 20e6,
    })
    traffic.start()
    await sleep(1500)
    await traffic.stop()
    for (const { name, ping, tcp, http, trouble } of traffic.tenants) {
      const families = name === 'acme' ? 2 : 1
      equal(trouble, undefined)
      equal(ping.lost + tcp.failed + http.failed, 0)
      ok(ping.sent > families * 10, `${name}: ${ping.sent} pings`)
      ok(ping.p50_us > 0 && ping.p99_us >= ping.p50_us)
      ok(http.requests > families * 5, `${name}: ${http.requests} requests`)
      ok(tcp.bytes > families * 5e5, `${name}: ${tcp.bytes} bytes`)
    }
    deepEqual(traffic.pings.map(({ identifier }) => identifier).toSorted(), [1, 2, 3, 4, 5, 6])
    const counters = await host1.counters()
    ok(counters['to-tunnel'] > 100 && counters['to-machine'] > 100)
    equal(counters['no-machine'] + counters['malformed'] + counters['uplink-full'] + counters['machine-full'], 0)
  })

  test('count what goes wrong on the way, and are gone afterwards', async () => {
    const made = await withSite(SITE, (path) => Surroundings.build(path))
    const { lab } = made
    try {
      match(readFileSync(made.siteFile, 'utf8'), new RegExp(`namespace: ${lab.id}-fn-1`))
      // Customers have a default route, and behind it there is nobody: no switch runs.
      const traffic = await Traffic.prepare(lab, {
        pings: [{ tenant: 'acme', namespace: 'acme-dc', to: '172.16.0.5', identifier: 7 }],
        servers: [{ tenant: 'acme', namespace: 'acme-prod-a', addresses: ['172.16.0.5'] }],
        clients: [
          {
            tenant: 'acme',
            namespace: 'acme-dc',
            streams: [{ from: '10.1.0.1', to: '172.16.0.5', direction: 'up' }],
            fetches: [{ from: '10.1.0.1', to: '172.16.0.5', fresh: true }],
          },
        ],
        pingInterval_ms: 50,
        fetchInterval_ms: 500,
        streamRate_bit_per_s: 1e6,
      })
      traffic.start()
      await sleep(700)
      await traffic.stop()
      const [{ ping, tcp, http, trouble }] = traffic.tenants as [(typeof traffic.tenants)[number]]
      ok(ping.sent > 5 && ping.lost === ping.sent)
      deepEqual([tcp.bytes, tcp.failed, http.requests, http.failed], [0, 1, 1, 1])
      ok(trouble)
    } finally {
      await made.close()
    }
    deepEqual(
      readdirSync('/run/netns').filter((name) => name.startsWith(`${lab.id}-`)),
      [],
    )
  })

  test('say with line and column what is wrong with a site file', async () => {
    await rejects(
      withSite(SITE.replace('vni: 1001', 'vni: 16777216'), (path) => Surroundings.build(path)),
      /site\.yaml:\d+:\d+ .*16777216/,
    )
  })
})
