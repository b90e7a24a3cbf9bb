/** The site of failovers: a tenant whose two connections lead to the same networks, one of them only while the other is down. */

import { formatAddress } from '../../src/base/address.ts'

export const MAIN = 'acme-main'
export const BACKUP = 'acme-backup'
export const MACHINE = { address: '172.16.0.5', namespace: 'acme-prod-web' } as const

export interface FailoverSiteOptions {
  /** So many /24 are behind the connections, by the site file. */
  readonly routes: number
  /** Packets go to the network that both routers announce, instead of the last one of the file's. */
  readonly learnt?: boolean
  /** The tenant's policies, as in a site file. */
  readonly policies?: string
  /** Between the gateway and both routers. */
  readonly bfd: { readonly interval_ms: number; readonly multiplier: number }
}

/** Of both routers, by BGP; that of the backup is preferred less. */
export const LEARNT = '10.200.0.0/24'

/** A network for packets to go to. The last one of the file's has to be found among all of them. */
export function targetPrefix({ routes, learnt = false }: FailoverSiteOptions): string {
  return learnt ? LEARNT : prefixOf(routes - 1)
}

function prefixOf(i: number): string {
  return `${formatAddress(Uint8Array.of(10, i >>> 8, i & 0xff, 0))}/24`
}

export function failoverSite({ routes, bfd, policies = '' }: FailoverSiteOptions): string {
  const connection = (name: string, port: string, net: number): string =>
    `{ name: ${name}, switch: edge-1, port: ${port}, gateway: [192.168.${net}.1/24], peers: [192.168.${net}.2] }`
  const via = 'via: [192.168.1.2, { to: 192.168.2.2, backup: true }]'
  const neighbour = (name: string, net: number): string =>
    `{ name: ${name}, tenant: acme, address: 192.168.${net}.2, as: 65010, import: from-${name}, bfd: { interval_ms: ${bfd.interval_ms}, multiplier: ${bfd.multiplier} } }`
  return `
site: failover
gateway: { mac: 02:67:68:00:00:01 }
vips: [{ name: vip-1, address: 10.255.0.1 }]
clusters:
  - name: blue
    vips: [vip-1]
    nodes: [{ name: fn-1, namespace: fn-1, address: 10.0.1.1, ports: [rack], workers: 1 }]
switches:
  - { name: edge-1, namespace: edge-1, address: 10.0.0.1, uplinks: [path-a], ports: [main, backup] }
  - name: rack-1
    namespace: rack-1
    address: 10.0.0.2
    uplinks: [path-a, fn-1, rn-1, host-1]
    balances: [{ vip: vip-1, selection: resilient }]
hosts: [{ name: host-1, address: 10.0.2.1, tunnel: gre, payload: ip }]
tenants:
  - name: acme
    vni: 1001
    vip: vip-1
    connections:
      - ${connection(MAIN, 'main', 1)}
      - ${connection(BACKUP, 'backup', 2).replace('switch:', 'vni: 1002, switch:')}
    vpcs: [{ name: prod, key: 1001, machines: [{ name: web, address: ${MACHINE.address}, host: host-1 }] }]
    policies: [${policies}]
    routes:
${Array.from({ length: routes }, (_, i) => `      - { prefix: ${prefixOf(i)}, ${via} }`).join('\n')}
routing:
  as: 65001
  router_id: 10.0.3.1
  nodes: [{ name: rn-1, namespace: rn-1, address: 10.0.3.1 }]
  prefix_lists: [{ name: learnt, prefixes: [${LEARNT}] }]
  policies:
    - { name: from-${MAIN}, terms: [{ match: { prefix_list: learnt }, then: accept }, { then: reject }] }
    - name: from-${BACKUP}
      terms: [{ match: { prefix_list: learnt }, set: { local_preference: 50 }, then: accept }, { then: reject }]
  neighbours:
    - ${neighbour(MAIN, 1)}
    - ${neighbour(BACKUP, 2)}
`
}
