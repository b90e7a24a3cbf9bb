/**
 * VPN routes (RFC 4364, RFC 4659) with FRR and GoBGP: what one announces the other has through us, behind its route
 * distinguisher and with its targets and label; and a tenant's virtual network is told to both as a route of its VPN.
 */

import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import { Frr } from '../../lab/peers/frr.ts'
import { GoBgp } from '../../lab/peers/gobgp.ts'
import { addPeeringLan, lanAddresses, OURS } from '../../lab/peers/peering-lan.ts'
import { RoutingModule } from '../../lab/routing-module.ts'

const OUR_AS = 65001
const FRR = { number: 12, as: 65012 }
const GOBGP = { number: 13, as: 65013 }
const ours = lanAddresses(1)

const SITE = `
site: vpn
vips: [{ name: v1, address: 10.255.0.1 }]
clusters: [{ name: blue, vips: [v1], nodes: [{ name: fn-1, address: 10.0.1.1, ports: [rack] }] }]
switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
hosts: [{ name: host-1, address: 10.0.2.1, tunnel: gre }]
tenants:
  - name: acme
    vni: 7
    vip: v1
    vpcs: [{ name: prod, machines: [{ name: web, address: [172.16.0.5, 'fd07::5'], host: host-1 }] }]
    vpn: { route_distinguisher: '65001:7', import: ['65013:100'], export: ['65001:7', '65001:8'], label: 107 }
routing:
  as: ${OUR_AS}
  router_id: ${ours.ipv4}
  listen: [{ address: ${ours.ipv4} }]
  neighbours:
    - { name: frr, address: ${lanAddresses(FRR.number).ipv4}, as: ${FRR.as}, families: [vpnv4, vpnv6] }
    - { name: gobgp, address: ${lanAddresses(GOBGP.number).ipv4}, as: ${GOBGP.as}, families: [vpnv4, vpnv6] }
`

const common = (lab: Lab, name: string, { number, as }: typeof FRR) => {
  const { ipv4 } = lanAddresses(number)
  const neighbour = { local: ipv4, remote: ours.ipv4, as: OUR_AS, families: [] }
  return { lab, namespace: name, name, as, routerId: ipv4, neighbour }
}

async function startFrr(lab: Lab): Promise<Frr> {
  const { neighbour, ...options } = common(lab, 'frr', FRR)
  const frr = await Frr.start({ ...options, neighbours: [neighbour] })
  await frr.command(
    ...['configure terminal', 'route-map target permit 10', 'set extcommunity rt 65012:100', 'exit'],
    `router bgp ${FRR.as}`,
    ...['address-family ipv4 vpn', `neighbor ${ours.ipv4} activate`],
    ...['network 10.60.0.0/24 rd 65012:1 label 200 route-map target', 'exit-address-family'],
    ...['address-family ipv6 vpn', `neighbor ${ours.ipv4} activate`],
    ...['network fd60::/64 rd 65012:1 label 201 route-map target', 'exit-address-family'],
  )
  return frr
}

async function startGoBgp(lab: Lab): Promise<GoBgp> {
  const { neighbour, ...options } = common(lab, 'gobgp', GOBGP)
  const extra = ['l3vpn-ipv4-unicast', 'l3vpn-ipv6-unicast'].flatMap((name) => [
    '[[neighbors.afi-safis]]',
    '[neighbors.afi-safis.config]',
    `afi-safi-name = "${name}"`,
  ])
  const gobgp = await GoBgp.start({ ...options, neighbours: [{ ...neighbour, extra }] })
  const add = ['global', 'rib', 'add', '-a']
  await gobgp.command(...add, 'vpnv4', '10.50.0.0/24', 'label', '100', 'rd', '65013:1', 'rt', '65013:100')
  await gobgp.command(...add, 'vpnv6', 'fd50::/64', 'label', '101', 'rd', '65013:1', 'rt', '65013:100')
  return gobgp
}

const PATIENCE_MS = 15_000
const LOOK_MS = 200

/** What a router shows has all of these words in the end. */
async function has(what: string, show: () => Promise<string>, wanted: readonly string[]): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; ; await sleep(LOOK_MS)) {
    const shown = await show()
    const missing = wanted.filter((word) => !shown.includes(word))
    if (missing.length === 0) return
    if (performance.now() > end) throw new Error(`${what} does not show ${missing.join(', ')}:\n${shown}`)
  }
}

suite('VPN routes with routers of others', { skip: needs('ip', 'vtysh', 'gobgpd') }, () => {
  test('pass between them as they are, and a tenant has its own', async () => {
    await using lab = await Lab.open()
    await addPeeringLan(
      lab,
      new Map([
        ['frr', FRR.number],
        ['gobgp', GOBGP.number],
      ]),
    )
    const [routing, frr, gobgp] = await Promise.all([
      RoutingModule.start(lab, OURS, SITE),
      startFrr(lab),
      startGoBgp(lab),
    ])
    try {
      await routing.established('frr', 'gobgp')
      const atFrr = (prefix: string) => () => frr.command(`show bgp ${familyOf(prefix)} vpn ${prefix}`)
      const atGoBgp = (family: string) => () => gobgp.command('global', 'rib', '-a', family)
      const path = `${OUR_AS} ${GOBGP.as}`
      await has('FRR', atFrr('10.50.0.0/24'), ['65013:1', path, ours.ipv4, 'RT:65013:100', 'Remote label: 100'])
      await has('FRR', atFrr('fd50::/64'), ['65013:1', path, 'RT:65013:100', 'Remote label: 101'])
      await has('FRR', atFrr('172.16.0.5/32'), ['65001:7', ours.ipv4, 'RT:65001:7 RT:65001:8', 'Remote label: 107'])
      await has('FRR', atFrr('fd07::5/128'), ['65001:7', 'RT:65001:7 RT:65001:8', 'Remote label: 107'])
      const [four, six] = ['10.60.0.0/24', 'fd60::/64'].map((prefix) => `65012:1:${prefix}`)
      await has('GoBGP', atGoBgp('vpnv4'), [
        four!,
        '[200]',
        '65012:100',
        `${OUR_AS} ${FRR.as}`,
        '65001:7:172.16.0.5/32',
      ])
      await has('GoBGP', atGoBgp('vpnv6'), [six!, '[201]', '65012:100', '65001:7:fd07::5/128', '[107]'])
      await gobgp.command('global', 'rib', 'del', '-a', 'vpnv4', '10.50.0.0/24', 'label', '100', 'rd', '65013:1')
      await has('FRR', atFrr('10.50.0.0/24'), ['Network not in table'])
    } catch (error) {
      throw new Error(`the end of our log:\n${routing.lastLines()}`, { cause: error })
    } finally {
      await Promise.all([frr.stop(), gobgp.stop()])
    }
  })
})

function familyOf(prefix: string): string {
  return prefix.includes(':') ? 'ipv6' : 'ipv4'
}
