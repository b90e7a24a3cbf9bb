import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress, ipv4Bytes } from '../../base/address.ts'
import { parseSite } from '../../config/load.ts'
import type { RouteColumns } from '../../wire/control/columns.ts'
import { vpcRoutes } from './vpc-routes.ts'

test("a neighbour is told of its tenant's VPCs: subnets, and machines that are in none", () => {
  const tenant = (name: string, vni: number, vpcs: string) => `{ name: ${name}, vni: ${vni}, vip: v1, vpcs: [${vpcs}] }`
  const machines = '{ name: a, address: [172.16.0.5, "fd01::5"], host: h }'
  const subnet = 'key: 9, subnets: [{ prefix: 10.8.0.0/24 }], machines: [{ name: b, address: 10.8.0.9, host: h }]'
  const { site, errors } = parseSite(`
    site: s
    vips: [{ name: v1, address: 10.255.0.1 }]
    clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [p] }] }]
    switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a, b] }]
    hosts: [{ name: h, address: 10.0.2.1, tunnel: gre }]
    tenants:
      - ${tenant('silent', 6, `{ name: p, machines: [${machines}] }`)}
      - name: acme
        vni: 7
        vip: v1
        connections: [{ name: dc, switch: edge, port: a, gateway: [192.168.1.1/24], peers: [192.168.1.2] }]
        vpcs: [{ name: p, ${subnet} }, { name: q, machines: [${machines}] }]
    routing:
      as: 65001
      router_id: 10.0.0.9
      nodes: [{ name: rn-1, address: 10.0.3.1 }]
      neighbours: [{ name: n, tenant: acme, address: 192.168.1.2, as: 65010 }]`)
  ok(site, JSON.stringify(errors))
  const { tenants, replaces, routes4, routes6 } = vpcRoutes(site)
  deepEqual([tenants, replaces], [['acme'], true])
  deepEqual(linesOf(routes4), ['0 10.8.0.0/24 1', '0 172.16.0.5/32 1'])
  deepEqual(linesOf(routes6), ['0 fd01::5/128 1'])
})

test("a neighbour in another tenant's VRF is told of the public prefixes there, as they are written", () => {
  const { site, errors } = parseSite(`
    site: s
    vips: [{ name: v1, address: 10.255.0.1 }]
    clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [p] }] }]
    switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
    hosts: [{ name: h, address: 10.0.2.1, tunnel: gre }]
    tenants:
      - name: internet
        vni: 6
        vip: v1
        connections: [{ name: isp, switch: edge, port: a, gateway: [192.0.2.1/30], peers: [192.0.2.2] }]
      - name: acme
        vni: 7
        vip: v1
        vpcs: [{ name: p, subnets: [{ prefix: 203.0.113.0/25, host: h }, { prefix: 10.8.0.0/24, host: h }] }]
        public: { vrf: internet, prefixes: [203.0.113.0/24] }
    routing:
      as: 65001
      router_id: 10.0.0.9
      nodes: [{ name: rn-1, address: 10.0.3.1 }]
      neighbours: [{ name: n, tenant: internet, address: 192.0.2.2, as: 65010 }]`)
  ok(site, JSON.stringify(errors))
  const { tenants, routes4 } = vpcRoutes(site)
  deepEqual(tenants, ['internet'])
  deepEqual(linesOf(routes4), ['0 203.0.113.0/24 1'])
})

function linesOf({ tables, addresses, lengths, nextHops }: RouteColumns): string[] {
  const words = addresses.length / lengths.length
  return Array.from(lengths, (length, i) => {
    const bytes = Array.from(addresses.subarray(i * words, (i + 1) * words), (word) => [...ipv4Bytes(word)]).flat()
    return `${tables[i]} ${formatAddress(Uint8Array.from(bytes))}/${length} ${nextHops[i]}`
  })
}
