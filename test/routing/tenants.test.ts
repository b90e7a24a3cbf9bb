/**
 * Sessions of tenants through the relay, with BIRD and FRR over the kernel's VXLAN straight to a routing node: two tenants
 * with the very same addresses, MD5, GTSM, both families, and neighbours that come from a prefix.
 *
 *   acme    192.168.1.2 BIRD, MD5     192.168.2.2 FRR, GTSM
 *   globex  192.168.1.2 FRR, GTSM     192.168.2.2 BIRD, from a prefix, MD5
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import { type BgpOrigination, type BgpRouterOptions, untilTable } from '../../lab/peers/bgp-router.ts'
import { Bird } from '../../lab/peers/bird.ts'
import { Frr } from '../../lab/peers/frr.ts'
import { addVxlanCustomers, CUSTOMER_DEVICE } from '../../lab/peers/vxlan-customers.ts'
import { RoutingModule } from '../../lab/routing-module.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { PacketSocket } from '../../src/linux/socket.ts'
import { ipv4 } from '../../src/wire/ipv4.ts'
import { TCP_FLAG, tcp } from '../../src/wire/tcp.ts'

const PASSWORD = 'not-everybody-knows'
const FABRIC = { node: 'rt', nodeAddress: '10.0.3.1', vip: '10.0.3.254' }
const HOLD_TIME_S = 9

/** A tenant has two connections, each a segment of its own: VNI and the last byte of its subnet. */
function tenant(name: string, vni: number): string {
  const connection = (number: number): string =>
    `{ name: dc-${number}, switch: edge, port: p${vni + number - 1}, vni: ${vni + number - 1},
        gateway: [192.168.${number}.1/24, 'fd00:${number}::1/64'] }`
  return `  - { name: ${name}, vni: ${vni}, vip: v1, connections: [${connection(1)}, ${connection(2)}] }`
}

const SITE = `
site: tenants
vips: [{ name: v1, address: ${FABRIC.vip} }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: fn-1, address: 10.0.3.253, ports: [rack] }] }]
switches: [{ name: edge, address: 10.0.3.252, uplinks: [up], ports: [p7, p8, p17, p18] }]
tenants:
${tenant('acme', 7)}
${tenant('globex', 17)}
routing:
  as: 65001
  router_id: 10.0.3.1
  nodes: [{ name: rt-1, address: ${FABRIC.nodeAddress} }]
  neighbours:
    - { name: acme-1, tenant: acme, address: 192.168.1.2, as: 65011, password: ${PASSWORD}, hold_time_s: ${HOLD_TIME_S} }
    - { name: acme-1-6, tenant: acme, address: 'fd00:1::2', as: 65011, families: [ipv6-unicast], password: ${PASSWORD} }
    - { name: acme-2, tenant: acme, address: 192.168.2.2, as: 65012, ttl_security_hops: 1 }
    - { name: acme-2-6, tenant: acme, address: 'fd00:2::2', as: 65012, families: [ipv6-unicast], ttl_security_hops: 1 }
    - { name: globex-1, tenant: globex, address: 192.168.1.2, as: 65011, ttl_security_hops: 1 }
    - { name: globex-1-6, tenant: globex, address: 'fd00:1::2', as: 65011, families: [ipv6-unicast], ttl_security_hops: 1 }
    - { name: globex-2, tenant: globex, prefix: 192.168.2.0/25, as_range: { from: 65012, to: 65019 }, password: ${PASSWORD} }
    - { name: globex-2-6, tenant: globex, prefix: 'fd00:2::/64', as: 65012, families: [ipv6-unicast] }
`
const NAMES = ['acme-1', 'acme-1-6', 'acme-2', 'acme-2-6', 'globex-1', 'globex-1-6', 'globex-2', 'globex-2-6']

const route: Omit<BgpOrigination, 'prefix'> = { asPath: [], origin: 'igp', communities: [], largeCommunities: [] }

let lab: Lab
let routing: RoutingModule

/** The router of a tenant's first or second connection, with a session of each family. */
function optionsOf(
  name: string,
  number: 1 | 2,
  secured: { password?: string; ttlSecurity?: boolean },
): BgpRouterOptions {
  const common = { as: 65001, holdTime_s: HOLD_TIME_S }
  const six = name === 'globex-2' ? {} : secured
  return {
    ...{ lab, namespace: name, name, as: 65_010 + number, routerId: `192.168.${number}.2` },
    nextHops: { ipv4: `192.168.${number}.2`, ipv6: `fd00:${number}::2` },
    neighbours: [
      { ...common, ...secured, local: `192.168.${number}.2`, remote: `192.168.${number}.1`, families: ['ipv4'] },
      { ...common, ...six, local: `fd00:${number}::2`, remote: `fd00:${number}::1`, families: ['ipv6'] },
    ],
  }
}

suite('sessions of tenants with routers of others', { skip: needs('ip', 'bird', 'vtysh') }, () => {
  let acme1: Bird
  let acme2: Frr
  let globex1: Frr
  let globex2: Bird

  before(async () => {
    lab = await Lab.open()
    const customer = (name: string, vni: number, number: number) => ({
      ...{ name, vni },
      addresses: [`192.168.${number}.2/24`, `fd00:${number}::2/64`],
    })
    await addVxlanCustomers(lab, FABRIC, [
      customer('acme-1', 7, 1),
      customer('acme-2', 8, 2),
      customer('globex-1', 17, 1),
      customer('globex-2', 18, 2),
    ])
    ;[routing, acme1, acme2, globex1, globex2] = await Promise.all([
      RoutingModule.start(lab, FABRIC.node, SITE, 'rt-1'),
      Bird.start(optionsOf('acme-1', 1, { password: PASSWORD })),
      Frr.start(optionsOf('acme-2', 2, { ttlSecurity: true })),
      Frr.start(optionsOf('globex-1', 1, { ttlSecurity: true })),
      Bird.start(optionsOf('globex-2', 2, { password: PASSWORD })),
    ])
  })
  after(() => lab.close())

  test('all sessions come up, and routes stay within their tenant', async () => {
    await routing.established(...NAMES)
    await acme1.announce([
      { ...route, prefix: '20.1.0.0/16' },
      { ...route, prefix: '2001:db8:1::/48' },
    ])
    await globex1.announce([
      { ...route, prefix: '20.1.0.0/16', asPath: [65_100] },
      { ...route, prefix: '2001:db8:1::/48', asPath: [65_100] },
    ])
    await untilTable(acme2, 'ipv4', ['20.1.0.0/16 via 192.168.2.1 path 65001 65011 igp'])
    await untilTable(acme2, 'ipv6', ['2001:db8:1::/48 via fd00:2::1 path 65001 65011 igp'])
    await untilTable(globex2, 'ipv4', ['20.1.0.0/16 via 192.168.2.1 path 65001 65011 65100 igp'])
    await untilTable(globex2, 'ipv6', ['2001:db8:1::/48 via fd00:2::1 path 65001 65011 65100 igp'])
    await untilTable(acme1, 'ipv4', [])
    await untilTable(globex1, 'ipv4', [])
  })

  test('thousands of routes pass, in segments that are signed each', async () => {
    const prefixes = Array.from({ length: 4000 }, (_, i) => `30.${i >> 8}.${i & 255}.0/24`)
    await globex1.announce(prefixes.slice(0, 50).map((prefix) => ({ ...route, prefix })))
    await acme1.announce(prefixes.map((prefix, i) => ({ ...route, prefix, asPath: [65_200 + (i % 100)] })))
    const behind = (i: number): string => `path 65001 65011 ${65_200 + (i % 100)} igp`
    const acme = prefixes.map((prefix, i) => `${prefix} via 192.168.2.1 ${behind(i)}`)
    await untilTable(acme2, 'ipv4', [...acme, '20.1.0.0/16 via 192.168.2.1 path 65001 65011 igp'])
    const globex = prefixes.slice(0, 50).map((prefix) => `${prefix} via 192.168.2.1 path 65001 65011 igp`)
    await untilTable(globex2, 'ipv4', [...globex, '20.1.0.0/16 via 192.168.2.1 path 65001 65011 65100 igp'])
    await acme1.withdraw(prefixes)
    await globex1.withdraw(prefixes.slice(0, 50))
    await untilTable(acme2, 'ipv4', ['20.1.0.0/16 via 192.168.2.1 path 65001 65011 igp'])
  })

  test('a peer that takes its leave is met again', async () => {
    const down = routing.next('globex-2', 'down')
    await globex2.command('disable peer0 "moving"')
    match((await down).reason ?? '', /moving/)
    const up = routing.next('globex-2', 'up')
    await globex2.command('enable peer0')
    await up
    await untilTable(globex2, 'ipv4', ['20.1.0.0/16 via 192.168.2.1 path 65001 65011 65100 igp'])
  })

  test('a site file that changes costs nobody a session but those that it changes', async () => {
    const from = routing.sessions.length
    const without = SITE.split('\n').filter((line) => !line.includes('name: globex-1, '))
    const shut = without.map((line) =>
      line.includes('name: acme-2, ') ? line.replace(' }', ", shutdown: 'splicing' }") : line,
    )
    await routing.reload(shut.join('\n'))
    await untilTable(globex2, 'ipv4', [])
    await untilTable(acme2, 'ipv4', [])
    match(await acme2.command('show bgp neighbors 192.168.2.1'), /Administrative Shutdown/)
    const ended = routing.sessions.slice(from).map(({ peer, to }) => `${peer} ${to}`)
    deepEqual(ended.sort(), ['acme-2 idle', 'globex-1 idle'])
    await routing.reload(SITE)
    await routing.established(...NAMES)
    await untilTable(globex2, 'ipv4', ['20.1.0.0/16 via 192.168.2.1 path 65001 65011 65100 igp'])
    await untilTable(acme2, 'ipv4', ['20.1.0.0/16 via 192.168.2.1 path 65001 65011 igp'])
    const others = routing.sessions.slice(from).filter(({ peer }) => peer !== 'acme-2' && peer !== 'globex-1')
    deepEqual(others, [])
  })

  test('kill -9: no peer hears FIN or RST, and all come back to the next process', async () => {
    const ends: string[] = []
    const watched = ['acme-1', 'acme-2', 'globex-1', 'globex-2'].map((name) => ({
      name,
      socket: withNamespace(lab.fullName(name), () => new PacketSocket(CUSTOMER_DEVICE)),
    }))
    await routing.kill()
    // Their keepalives, at a third of the hold time, meet nobody.
    await sleep((HOLD_TIME_S / 3) * 1000)
    for (const { name, socket } of watched) {
      for (let frame = socket.receive(); frame; frame = socket.receive())
        if (isEnd(frame.bytes)) ends.push(`${name} from the node`)
      socket.close()
    }
    deepEqual(ends, [])
    for (const bird of [acme1, globex2]) match(await bird.command('show protocols peer0'), /Established/)
    const again = await RoutingModule.start(lab, FABRIC.node, SITE, 'rt-1')
    await again.established(...NAMES)
    await untilTable(acme2, 'ipv4', ['20.1.0.0/16 via 192.168.2.1 path 65001 65011 igp'])
    await again.stop()
  })

  test('an orderly end is told', async () => {
    const again = await RoutingModule.start(lab, FABRIC.node, SITE, 'rt-1')
    await again.established(...NAMES)
    await again.stop()
    const shown = await acme1.command('show protocols all peer0')
    ok(/Received: .*(shutdown|Cease)/i.test(shown), shown)
    equal(/Established/.test(shown), false)
  })
})

/** A frame with a TCP segment in IPv4 that has FIN or RST. */
function isEnd(frame: Uint8Array): boolean {
  if (frame.length < 54 || ((frame[12]! << 8) | frame[13]!) !== 0x0800) return false
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  return ipv4.protocol.get(view, 14) === 6 && (tcp.flags.get(view, 34) & (TCP_FLAG.fin | TCP_FLAG.rst)) !== 0
}
