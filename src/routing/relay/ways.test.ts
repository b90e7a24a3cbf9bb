import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress } from '../../base/address.ts'
import { innerAddress, innerNumberOf, ourInnerAddress } from './inner-address.ts'
import { NODE, PEER, PEER_6, setupWith } from './relay-bed.ts'

test("numbers are addresses of networks that are nobody else's, and nothing else is a number", () => {
  for (const number of [2, 255, 16_385, (1 << 20) + 4095])
    for (const length of [4, 16]) equal(innerNumberOf(innerAddress(number, length)), number)
  deepEqual(
    [4, 16].map((length) => formatAddress(innerAddress(258, length))),
    ['240.0.1.2', 'fd67:6174::102'],
  )
  deepEqual(
    ([4, 16] as const).map((length) => ourInnerAddress(length).length),
    [4, 32],
  )
  equal(innerNumberOf(Uint8Array.of(192, 168, 1, 2)), 0)
  equal(innerNumberOf(innerAddress(7, 16).with(7, 1)), 0)
})

test("each tenant's neighbour has its way, over the connection that has its subnet", () => {
  const { address, ways, segments, members } = setupWith([
    `name: one, tenant: acme, address: ${PEER}, password: secret, ttl_security_hops: 2`,
    'name: kernel, address: 10.9.9.9',
    'name: others, tenant: acme, prefix: 192.168.1.130/25',
    `name: six, tenant: globex, address: '${PEER_6}', as: 65001`,
  ])
  equal(formatAddress(address), NODE)
  deepEqual(members, ['rt-1', 'rt-2'])
  deepEqual(
    ways.map(({ neighbour, vni, number, local, sibling, peers, ttlMin, ttl, mtu }) => [
      ...[neighbour, vni, number, formatAddress(local), formatAddress(sibling!)],
      ...[`${formatAddress(peers.address)}/${peers.length}`, ttlMin, ttl, mtu],
    ]),
    [
      ['one', 7, 2, '192.168.1.1', 'fd00::1', '192.168.1.2/32', 254, 255, 1500],
      ['others', 7, 0, '192.168.1.1', 'fd00::1', '192.168.1.128/25', 0, 1, 1500],
      ['six', 8, 3, 'fd00::1', '192.168.1.1', 'fd00::2/128', 0, 64, 1400],
    ],
  )
  deepEqual(
    segments.map(({ vni, gateways }) => [vni, gateways.length]),
    [
      [7, 2],
      [8, 2],
    ],
  )
})
