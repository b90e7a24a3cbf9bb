/**
 * Probes in tenants' networks, through the relay: two tenants with the same addresses, every kind of probe and both
 * families. What is down in one tenant's network is not down in the other's, and comes back.
 */

import { once } from 'node:events'
import { after, before, suite, test } from 'node:test'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import { addVxlanCustomers, CUSTOMER_DEVICE } from '../../lab/peers/vxlan-customers.ts'
import { RoutingModule } from '../../lab/routing-module.ts'

const FABRIC = { node: 'rt', nodeAddress: '10.0.3.1', vip: '10.0.3.254' }
const TARGET = '192.168.1.2'
const TARGET_6 = 'fd00:1::2'

function tenant(name: string, vni: number): string {
  return `  - { name: ${name}, vni: ${vni}, vip: v1, connections: [{ name: dc, switch: edge, port: p${vni},
      gateway: [192.168.1.1/24, 'fd00:1::1/64'] }] }`
}

const KINDS = {
  ping: `to: ${TARGET}, icmp: {}`,
  ping6: `to: '${TARGET_6}', icmp: {}`,
  datagram: `to: ${TARGET}, udp: { port: 7 }`,
  connection: `to: ${TARGET}, tcp: { port: 9 }, bandwidth: { interval_ms: 1000 }`,
  page: `to: ${TARGET}, http: { port: 80 }`,
  page6: `to: '${TARGET_6}', http: { port: 80 }`,
} as const
const NAMES = Object.keys(KINDS) as (keyof typeof KINDS)[]
const probe = (tenant: string, kind: keyof typeof KINDS): string =>
  `    - { name: ${tenant}-${kind}, tenant: ${tenant}, ${KINDS[kind]}, interval_ms: 50, timeout_ms: 500 }`

const SITE = `
site: tenants
vips: [{ name: v1, address: ${FABRIC.vip} }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: fn-1, address: 10.0.3.253, ports: [rack] }] }]
switches: [{ name: edge, address: 10.0.3.252, uplinks: [up], ports: [p7, p17] }]
tenants:
${tenant('acme', 7)}
${tenant('globex', 17)}
routing:
  as: 65001
  router_id: 10.0.3.1
  nodes: [{ name: rt-1, address: ${FABRIC.nodeAddress} }]
  probes:
${NAMES.map((kind) => probe('acme', kind)).join('\n')}
${probe('globex', 'ping')}
${probe('globex', 'page')}
`

/** Echo over UDP, discard and a page over TCP. */
const SERVICES = `
  const dgram = require('node:dgram'), net = require('node:net'), http = require('node:http')
  const echo = dgram.createSocket('udp4').bind(7)
  echo.on('message', (bytes, { port, address }) => echo.send(bytes, port, address))
  net.createServer((socket) => socket.on('error', () => {}).resume()).listen(9, '::')
  http.createServer((_, answer) => answer.end('here')).listen(80, '::', () => console.log('ready'))
`

let lab: Lab

async function serve(customer: string): Promise<void> {
  const stdio = ['ignore', 'pipe', 'inherit'] as const
  const child = lab.spawn(customer, process.execPath, ['-e', SERVICES], { stdio: [...stdio] })
  await once(child.stdout!, 'data')
}

suite("probes in tenants' networks", { skip: needs('ip') }, () => {
  before(async () => {
    lab = await Lab.open()
    const addresses = [`${TARGET}/24`, `${TARGET_6}/64`]
    const customers = { acme: 7, globex: 17 }
    await addVxlanCustomers(
      lab,
      FABRIC,
      Object.entries(customers).map(([name, vni]) => ({ name, vni, addresses })),
    )
  })
  after(() => lab.close())

  test('tell of each tenant what is up there, of every kind and family, and what is not any more', async () => {
    await serve('acme')
    const routing = await RoutingModule.start(lab, FABRIC.node, SITE, 'rt-1')
    await Promise.all(NAMES.map((kind) => routing.watches(`acme-${kind}`, 'up')))
    await Promise.all([routing.watches('globex-ping', 'up'), routing.watches('globex-page', 'down')])

    await lab.configure(new Map([['acme', [`link set ${CUSTOMER_DEVICE} down`]]]))
    await Promise.all(NAMES.map((kind) => routing.watches(`acme-${kind}`, 'down')))
    await Promise.all([serve('globex'), routing.watches('globex-page', 'up')])
    await routing.watches('globex-ping', 'up')

    const back = [`link set ${CUSTOMER_DEVICE} up`, `addr add ${TARGET_6}/64 dev ${CUSTOMER_DEVICE}`]
    await lab.configure(new Map([['acme', back]]))
    await Promise.all(NAMES.map((kind) => routing.watches(`acme-${kind}`, 'up')))
    await routing.stop()
  })
})
