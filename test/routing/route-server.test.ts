/** examples/route-server.yaml as it stands: two BIRDs on a machine's loopback addresses, and the route server between them. */

import { equal, match } from 'node:assert/strict'
import { resolve } from 'node:path'
import { suite, test } from 'node:test'
import { Lab } from '../../lab/namespaces.ts'
import { needs } from '../../lab/needs.ts'
import { type BgpOrigination, untilTable } from '../../lab/peers/bgp-router.ts'
import { Bird } from '../../lab/peers/bird.ts'
import { RoutingModule } from '../../lab/routing-module.ts'

const EXAMPLE = resolve(import.meta.dirname, '../../examples/route-server.yaml')

async function startBird(lab: Lab, name: string, number: number): Promise<Bird> {
  const local = `127.0.0.${number}`
  const server = { local, remote: '127.0.0.1', port: 1790, as: 65001, families: ['ipv4'] } as const
  const routerId = `10.0.0.${number}`
  return await Bird.start({ lab, namespace: 'host', name, as: 65000 + number, routerId, neighbours: [server] })
}

async function holds(bird: Bird, expected: readonly string[]): Promise<void> {
  await untilTable(bird, 'ipv4', expected)
}

const plain: BgpOrigination = {
  prefix: '198.51.100.0/24',
  asPath: [],
  origin: 'igp',
  communities: [],
  largeCommunities: [],
}
const rich: BgpOrigination = {
  prefix: '203.0.113.0/24',
  asPath: [64999, 4_200_000_001],
  origin: 'incomplete',
  med: 70,
  communities: ['65002:7'],
  largeCommunities: ['65002:1:2'],
}

suite('the route server of the examples', { skip: needs('ip', 'bird') }, () => {
  test('passes routes on as they are, and tells of them until their neighbour is gone', async () => {
    await using lab = await Lab.open()
    await lab.addNamespaces(['host'])
    const routing = await RoutingModule.startFile(lab, 'host', EXAMPLE)
    const [left, right] = await Promise.all([startBird(lab, 'left', 2), startBird(lab, 'right', 3)])
    await left.announce([plain, rich])
    await right.announce([{ ...plain, prefix: '192.0.2.0/24' }])
    await routing.established('left', 'right')
    const fromLeft = [
      '198.51.100.0/24 via 127.0.0.2 path 65002 igp',
      '203.0.113.0/24 via 127.0.0.2 path 65002 64999 4200000001 incomplete med 70 65002:7 65002:1:2',
    ]
    await holds(right, fromLeft)
    await holds(left, ['192.0.2.0/24 via 127.0.0.3 path 65003 igp'])
    await left.withdraw([rich.prefix])
    await holds(right, fromLeft.slice(0, 1))
    const down = routing.next('left', 'down')
    await left.kill()
    match((await down).reason ?? '', /closed|reset/)
    await holds(right, [])
    await left.restart()
    await holds(right, fromLeft.slice(0, 1))
    const end = routing.next('right', 'down')
    await routing.stop()
    equal((await end).to, 'idle')
    match(await right.command('show protocols all peer0'), /Administrative shutdown/)
  })
})
