import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress, parseAddress, parsePrefix } from '../base/address.ts'
import { parseSite } from '../config/load.ts'
import type { Site } from '../config/site.ts'
import { Ids } from './ids.ts'
import { indexSite, networkOf } from './network.ts'
import { Speakers } from './speakers.ts'

function siteOf(neighbours: readonly string[], nodes = ['rn-1', 'rn-2', 'rn-3']): Site {
  const { site, errors } = parseSite(`
    site: s
    vips: [{ name: v1, address: 10.255.0.1 }]
    clusters: [{ name: blue, vips: [v1], nodes: [{ name: b1, address: 10.0.1.1, ports: [p] }] }]
    switches: [{ name: edge, address: 10.0.0.1, uplinks: [up], ports: [a] }]
    tenants:
      - name: acme
        vni: 7
        vip: v1
        connections: [{ name: dc, switch: edge, port: a, gateway: [192.168.1.1/24, "fd00::1/64"], peers: [192.168.1.2] }]
      - { name: globex, vni: 8, vip: v1 }
    routing:
      as: 65001
      router_id: 10.0.0.9
      nodes: [${nodes.map((name, i) => `{ name: ${name}, address: 10.0.3.${i + 1} }`).join(', ')}]
      neighbours: [${neighbours.join(', ')}]`)
  ok(site, JSON.stringify(errors))
  return site
}

const SUBNETS = ['192.168.1.0/24', 'fd00::/64'].map((text) => parsePrefix(text)!)
const named = (address: string, name = `n-${address.replaceAll(/[:.]/g, '-')}`) =>
  `{ name: ${name}, tenant: acme, address: "${address}", as: 65010 }`
const RANGE = '{ name: range, tenant: acme, prefix: 192.168.1.128/25, as: 65010 }'

/** The sessions on acme's segment as text. */
function sessions(site: Site, live: readonly string[]): Record<string, string> {
  const { sessions } = new Speakers(site, new Set(live)).on('acme', 7, SUBNETS)
  return Object.fromEntries(
    sessions.map(({ peer, speaker }) => [peer ? formatAddress(peer) : 'others', formatAddress(speaker)]),
  )
}

const MANY = Array.from({ length: 60 }, (_, i) => `192.168.1.${i + 2}`)

test("neighbours on the segment have a routing node each, and a tenant's are no other's", () => {
  const site = siteOf([named('192.168.1.2'), named('fd00::2'), RANGE], ['rn-1'])
  deepEqual(sessions(site, ['rn-1']), { '192.168.1.2': '10.0.3.1', 'fd00::2': '10.0.3.1', others: '10.0.3.1' })
  const { speakers, sessions: none } = new Speakers(site, new Set()).on('globex', 8, SUBNETS)
  deepEqual([speakers, none], [[], []])
})

test('where there are no neighbours, nobody speaks', () => {
  deepEqual(sessions(siteOf([]), ['rn-1']), {})
})

test('sessions are spread over the nodes that live, and one that dies moves only its own', () => {
  const site = siteOf(MANY.map((address) => named(address)))
  const all = sessions(site, ['rn-1', 'rn-2', 'rn-3'])
  equal(new Set(Object.values(all)).size, 3)
  const left = sessions(site, ['rn-1', 'rn-3'])
  for (const [peer, speaker] of Object.entries(all)) {
    if (speaker === '10.0.3.2') ok(left[peer] !== speaker)
    else equal(left[peer], speaker)
  }
  deepEqual(sessions(site, []), all, 'while none lives they stay where they were')
})

test('the segment has its routing nodes as remotes, and its neighbours as peers to be resolved', () => {
  const site = siteOf([named('192.168.1.2'), named('fd00::2')], ['rn-1'])
  const { segments } = networkOf(site.tenants[0]!, indexSite(site), new Ids())
  const segment = segments[0]!
  ok(segment.kind === 'connection')
  deepEqual(segment.speakers, [parseAddress('10.0.3.1')])
  deepEqual(
    segment.peers.map(({ address }) => formatAddress(address)),
    ['192.168.1.2', 'fd00::2'],
  )
})
