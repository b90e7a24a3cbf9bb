/** Our own speaker in a customer's place, between it and BIRD. */

import { suite, test } from 'node:test'
import { Lab } from '../namespaces.ts'
import { needs } from '../needs.ts'
import { type BgpOrigination, untilTable } from './bgp-router.ts'
import { Bird } from './bird.ts'
import { OwnSpeaker } from './own-speaker.ts'

const route = (prefix: string): BgpOrigination => {
  return { prefix, asPath: [], origin: 'igp', communities: [], largeCommunities: [] }
}

suite('our own speaker in place of a router', { skip: needs('ip', 'bird') }, () => {
  test('announces prefixes of both families, and withdraws them', async () => {
    await using lab = await Lab.open()
    await lab.addNamespaces(['ours', 'bird'], { 'net/ipv6/conf/default/accept_dad': 0 })
    const ends = { ours: ['10.9.0.1/24', 'fd09::1/64'], bird: ['10.9.0.2/24', 'fd09::2/64'] }
    await lab.addLinks([
      {
        a: { namespace: 'ours', interface: 'lan', addresses: ends.ours },
        b: { namespace: 'bird', interface: 'lan', addresses: ends.bird },
        mtu: 1500,
        queues: 1,
      },
    ])
    const ways = [
      { local: '10.9.0.1', remote: '10.9.0.2', families: ['ipv4'] },
      { local: 'fd09::1', remote: 'fd09::2', families: ['ipv6'] },
    ] as const
    const ours = await OwnSpeaker.start({
      ...{ lab, namespace: 'ours', name: 'ours', as: 65010, routerId: '10.9.0.1' },
      neighbours: ways.map((way) => ({ ...way, as: 65001 })),
    })
    const bird = await Bird.start({
      ...{ lab, namespace: 'bird', name: 'bird', as: 65001, routerId: '10.9.0.2' },
      neighbours: ways.map(({ local, remote, families }) => ({ local: remote, remote: local, families, as: 65010 })),
    })
    await ours.announce([route('10.1.0.0/16'), route('10.2.0.0/16'), route('2001:db8:a::/48')])
    const [first, second] = ['10.1.0.0/16', '10.2.0.0/16'].map((prefix) => `${prefix} via 10.9.0.1 path 65010 igp`)
    await untilTable(bird, 'ipv4', [first!, second!])
    await untilTable(bird, 'ipv6', ['2001:db8:a::/48 via fd09::1 path 65010 igp'])
    await ours.withdraw(['10.2.0.0/16'])
    await untilTable(bird, 'ipv4', [first!])
    await ours.stop()
  })
})
