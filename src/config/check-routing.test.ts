import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { parseSite } from './load.ts'

const FABRIC = `site: s
vips: [{ name: v1, address: 10.255.0.1 }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: fn-1, address: 10.0.1.1, ports: [rack] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a, b] }]
tenants:
  - name: acme
    vni: 1
    vip: v1
    connections: [{ name: dc, switch: edge, port: a, gateway: [192.168.1.1/24, 'fd00::1/64'] }]
  - name: globex
    vni: 2
    vip: v1
    connections: [{ name: dc, switch: edge, port: b, gateway: [192.168.1.1/24, 192.168.2.1/24] }]
`
const NODES = 'nodes: [{ name: rt-1, address: 10.0.3.1 }, { name: rt-2, address: 10.0.3.2 }]'

/** With these neighbours: with line and column where `where` is true. */
function errorsOf(neighbours: string[], nodes = NODES, more = ''): string[] {
  const list = neighbours.map((one) => `    - { ${one} }\n`).join('')
  const parts = `as: 65001\n  router_id: 10.0.0.9\n  ${nodes}\n${more}${list && `  neighbours:\n${list}`}`
  const text = `${FABRIC}routing:\n  ${parts}`
  return (parseSite(text).errors ?? []).map(
    ({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`,
  )
}

const peer = (name: string, more: string): string => `name: ${name}, as: 65002, tenant: acme, ${more}`

test('tenants may have the same neighbours, by address and by prefix, of both families', () => {
  deepEqual(
    errorsOf([
      peer('one', 'address: 192.168.1.2, password: secret, ttl_security_hops: 1, local_address: 192.168.1.1'),
      peer('two', "address: 'fd00::2'"),
      peer('others', 'prefix: 192.168.1.128/25'),
      'name: same, as: 65002, tenant: globex, address: 192.168.1.2, local_address: 192.168.2.1',
      'name: kernel, as: 65003, address: 192.168.1.2',
    ]),
    [],
  )
})

test('a tenant that is not there, and one with no routing node to speak to it', () => {
  deepEqual(errorsOf(['name: one, as: 65002, tenant: akme, address: 192.168.1.2']), [
    '19:39 routing.neighbours[0].tenant: there is no tenant "akme"; did you mean "acme"?',
  ])
  deepEqual(errorsOf([peer('one', 'address: 192.168.1.2')], 'nodes: []'), [
    '19:39 routing.neighbours[0].tenant: a tenant is spoken to by routing nodes, and routing.nodes has none',
  ])
})

test('an address that no connection leads to, our own, and those that nobody has', () => {
  deepEqual(errorsOf([peer('one', 'address: 192.168.3.2')]), [
    '19:54 routing.neighbours[0].address: 192.168.3.2 is in no subnet of a connection of tenant acme',
  ])
  deepEqual(errorsOf([peer('one', 'address: 192.168.1.1')]), [
    '19:54 routing.neighbours[0].address: 192.168.1.1 is our own address there',
  ])
  deepEqual(errorsOf([peer('one', 'address: 192.168.1.255')]), [
    "19:54 routing.neighbours[0].address: this is the subnet's broadcast address",
  ])
  deepEqual(errorsOf([peer('one', 'prefix: 192.168.0.0/16')]), [
    '19:53 routing.neighbours[0].prefix: 192.168.0.0/16 is in no subnet of a connection of tenant acme',
  ])
})

test('a local address that is not ours there', () => {
  deepEqual(errorsOf([peer('one', 'address: 192.168.1.2, local_address: 192.168.2.1')]), [
    '19:82 routing.neighbours[0].local_address: connection dc has no such gateway address; of this family it has 192.168.1.1/24',
  ])
})

test('two neighbours of one tenant with the same address', () => {
  deepEqual(errorsOf([peer('one', 'address: 192.168.1.2'), peer('two', 'address: 192.168.1.2')]), [
    '20:54 routing.neighbours[1].address: "192.168.1.2" is already at routing.neighbours[0].address',
  ])
})

test('routing nodes are modules with names and addresses of their own', () => {
  deepEqual(errorsOf([], 'nodes: [{ name: fn-1, address: 10.0.3.1 }, { name: control, address: 10.255.0.1 }]'), [
    '17:19 routing.nodes[0].name: "fn-1" is already at clusters[0].nodes[0].name',
    '17:54 routing.nodes[1].name: "control" is the name of a module',
    '17:72 routing.nodes[1].address: "10.255.0.1" is already at vips[0].address',
  ])
})

test('a listener on all addresses leaves no port for the peers of tenants', () => {
  const listen = "  listen: [{ address: 0.0.0.0 }, { address: '::', port: 1790 }]\n"
  deepEqual(errorsOf([peer('one', 'address: 192.168.1.2')], NODES, listen), [
    "18:23 routing.listen[0].address: tenants' neighbours need port 179 of other ones: name the addresses to listen on",
  ])
  deepEqual(errorsOf(['name: kernel, as: 65003, address: 192.168.1.2'], NODES, listen), [])
})

test('a summary of a tenant that is not there, and VPNs of two tenants behind one route distinguisher', () => {
  const aggregate = '  aggregates: [{ prefix: 10.0.0.0/8, tenant: akme }]\n'
  deepEqual(errorsOf([], NODES, aggregate), [
    '18:46 routing.aggregates[0].tenant: there is no tenant "akme"; did you mean "acme"?',
  ])
  const vpn = (text: string): string =>
    text.replaceAll('    vip: v1\n', '    vip: v1\n    vpn: { route_distinguisher: "65001:1" }\n')
  const errors = parseSite(vpn(`${FABRIC}routing: { as: 65001, router_id: 10.0.0.9 }\n`)).errors ?? []
  deepEqual(
    errors.map(({ path, message }) => `${path}: ${message}`),
    ['tenants[1].vpn.route_distinguisher: "65001:1" is already at tenants[0].vpn.route_distinguisher'],
  )
})

test('probes in the network of a tenant', () => {
  const probes = (...texts: string[]): string[] => {
    const list = texts.map((text, i) => `    - { name: p${i}, tenant: acme, ${text} }\n`).join('')
    return errorsOf([], NODES, `  probes:\n${list}`).map((error) => error.replace(/^\S+ /, ''))
  }
  deepEqual(
    probes(
      'to: 192.168.1.2, icmp: { bytes: 1472 }',
      'to: 192.168.1.2, tcp: { port: 22 }',
      "to: 'fd00::2', http: {}, bandwidth: { bytes: 1500 }",
      'to: 192.168.1.3, udp: {}, node: rt-2',
    ),
    [],
  )
  deepEqual(probes('to: 192.168.3.2, icmp: {}', 'to: 192.168.1.1, icmp: {}'), [
    'routing.probes[0].to: 192.168.3.2 is in no subnet of a connection of tenant acme',
    'routing.probes[1].to: 192.168.1.1 is our own address there',
  ])
  deepEqual(probes('to: 192.168.1.2, icmp: { bytes: 1473 }', 'to: 192.168.1.2, from: 192.168.1.1, icmp: {}'), [
    'routing.probes[0].icmp.bytes: packets of 1501 bytes do not fit: the connection has room for 1500',
    "routing.probes[1].from: what is sent to a tenant comes from the gateway's address on the connection",
  ])
  deepEqual(probes('to: 192.168.1.2, tcp: { port: 179 }', 'to: 192.168.1.2, icmp: {}, node: rt-2'), [
    'routing.probes[0].tcp.port: the port of BGP is left to sessions',
    'routing.probes[1].node: 192.168.1.2 is probed by rt-1, and answers go to one node',
  ])
  deepEqual(
    errorsOf([], 'nodes: []', '  probes: [{ name: p, tenant: akme, to: 192.168.1.2, icmp: {} }]\n').map((error) =>
      error.replace(/^\S+ /, ''),
    ),
    [
      'routing.probes[0].tenant: there is no tenant "akme"; did you mean "acme"?',
      'routing.probes[0].tenant: a tenant is spoken to by routing nodes, and routing.nodes has none',
    ],
  )
})
