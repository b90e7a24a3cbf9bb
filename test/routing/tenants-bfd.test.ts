/**
 * BFD with tenants' routers, through the relay: tenants with the same addresses, over IPv4, IPv6 and several hops, and with
 * the echo function. One that falls silent loses its BGP session, for the reason that it has, and nobody else's does.
 */

import { deepEqual, match, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import { Bird } from '../../lab/peers/bird.ts'
import { Frr } from '../../lab/peers/frr.ts'
import { addVxlanCustomers, CUSTOMER_DEVICE } from '../../lab/peers/vxlan-customers.ts'
import { RoutingModule } from '../../lab/routing-module.ts'

const FABRIC = { node: 'rt', nodeAddress: '10.0.3.1', vip: '10.0.3.254' }
/** Long before the hold time of 90 s. */
const NOTICED_MS = 3000

function tenant(name: string, vni: number): string {
  return `  - { name: ${name}, vni: ${vni}, vip: v1, connections: [{ name: dc, switch: edge, port: p${vni},
      gateway: [192.168.1.1/24, 'fd00:1::1/64'] }] }`
}

const SITE = `
site: tenants
vips: [{ name: v1, address: ${FABRIC.vip} }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: fn-1, address: 10.0.3.253, ports: [rack] }] }]
switches: [{ name: edge, address: 10.0.3.252, uplinks: [up], ports: [p7, p17, p27, p37] }]
tenants:
${tenant('acme', 7)}
${tenant('globex', 17)}
${tenant('initech', 27)}
${tenant('hooli', 37)}
routing:
  as: 65001
  router_id: 10.0.3.1
  nodes: [{ name: rt-1, address: ${FABRIC.nodeAddress} }]
  neighbours:
    - { name: acme, tenant: acme, address: 192.168.1.2, as: 65007, bfd: { interval_ms: 50, multiplier: 5 } }
    - { name: globex, tenant: globex, address: 'fd00:1::2', as: 65017, families: [ipv6-unicast], bfd: { interval_ms: 50, multiplier: 5 } }
    - { name: initech, tenant: initech, prefix: 192.168.1.0/24, as: 65027,
        bfd: { interval_ms: 50, multiplier: 5, multihop: true, authentication: { type: password, key: secret } } }
    - { name: hooli, tenant: hooli, address: 'fd00:1::2', as: 65037, families: [ipv6-unicast],
        bfd: { interval_ms: 50, multiplier: 5, echo: true } }
`
const CUSTOMERS = { acme: 7, globex: 17, initech: 27, hooli: 37 } as const
type Name = keyof typeof CUSTOMERS
const NAMES = Object.keys(CUSTOMERS) as Name[]
const BIRDS = ['acme', 'globex', 'initech'] as const
/** Of BFD, were there no echo. */
const ECHOES_MS = 1000

const FRR_BFD = [
  'bfd',
  ' profile echo',
  '  detect-multiplier 5',
  '  transmit-interval 50',
  '  receive-interval 50',
  '  echo-mode',
  '  echo transmit-interval 50',
  '  echo receive-interval 50',
]

/** The only one that has echo. */
async function frrOf(lab: Lab, name: Name): Promise<Frr> {
  const [local, remote] = ['fd00:1::2', 'fd00:1::1']
  return await Frr.start({
    ...{ lab, namespace: name, name, as: 65_000 + CUSTOMERS[name], routerId: '192.168.1.2' },
    nextHops: { ipv4: '192.168.1.2', ipv6: local },
    neighbours: [{ local, remote, as: 65001, families: ['ipv6'], extra: ['bfd profile echo'] }],
    bfd: FRR_BFD,
  })
}

async function birdOf(lab: Lab, name: (typeof BIRDS)[number]): Promise<Bird> {
  const family = name === 'globex' ? 'ipv6' : 'ipv4'
  const isFar = name === 'initech'
  const [local, remote] = family === 'ipv6' ? ['fd00:1::2', 'fd00:1::1'] : ['192.168.1.2', '192.168.1.1']
  const keys = isFar ? 'authentication simple; password "secret" { id 1; };' : ''
  const timers = `interval 50 ms; multiplier 5; ${keys}`
  return await Bird.start({
    ...{ lab, namespace: name, name, as: 65_000 + CUSTOMERS[name], routerId: '192.168.1.2' },
    nextHops: { ipv4: '192.168.1.2', ipv6: 'fd00:1::2' },
    neighbours: [
      {
        ...{ local: local!, remote: remote!, as: 65001, families: [family] },
        extra: [...(isFar ? ['multihop 2;'] : []), 'bfd { interval 50 ms; multiplier 5; };'],
      },
    ],
    extra: [`protocol bfd bfd1 { interface "*" { ${timers} }; multihop { ${timers} }; }`],
  })
}

suite('BFD with tenants', { skip: needs('ip', 'bird', 'vtysh') }, () => {
  test('comes up through the relay, and a customer that falls silent loses its session at once', async () => {
    await using lab = await Lab.open()
    const addresses = ['192.168.1.2/24', 'fd00:1::2/64']
    await addVxlanCustomers(
      lab,
      FABRIC,
      NAMES.map((name) => ({ name, vni: CUSTOMERS[name], addresses })),
    )
    const routing = await RoutingModule.start(lab, FABRIC.node, SITE, 'rt-1')
    const [frr, ...birds] = await Promise.all([frrOf(lab, 'hooli'), ...BIRDS.map((name) => birdOf(lab, name))])
    await routing.established(...NAMES)
    for (const [i, bird] of birds.entries()) {
      const late = AbortSignal.timeout(15_000)
      while (!/ Up /.test(await bird.command('show bfd sessions'))) {
        ok(!late.aborted, `BFD of ${BIRDS[i]}: ${await bird.command('show bfd sessions')}`)
        await sleep(50)
      }
    }
    const frrSession = async () => JSON.parse(await frr.bfdCommand('show bfd peers json'))[0]
    const late = AbortSignal.timeout(15_000)
    for (let session = await frrSession(); session?.status !== 'up'; session = await frrSession()) {
      ok(!late.aborted, `BFD of hooli: ${JSON.stringify(session)}`)
      await sleep(50)
    }
    // Echoes that went astray would end it within a quarter of a second.
    const before = routing.sessions.length
    await sleep(ECHOES_MS)
    const { status, 'echo-transmit-interval': sends, 'remote-echo-receive-interval': takes } = await frrSession()
    deepEqual([status, sends > 0, takes > 0], ['up', true, true])
    deepEqual(routing.sessions.slice(before), [])

    for (const name of NAMES) {
      const down = routing.next(name, 'down')
      const before = routing.sessions.length
      const cut_ms = performance.now()
      await lab.configure(new Map([[name, [`link set ${CUSTOMER_DEVICE} down`]]]))
      const { reason } = await down
      const noticed_ms = performance.now() - cut_ms
      match(reason ?? '', /BFD down/, name)
      ok(noticed_ms < NOTICED_MS, `${name}: noticed after ${noticed_ms.toFixed(0)} ms`)
      deepEqual(
        routing.sessions.slice(before).filter(({ peer }) => peer !== name),
        [],
      )
    }
    await routing.stop()
  })
})
