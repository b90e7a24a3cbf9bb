import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress } from '../../base/address.ts'
import type { BrokenPath } from '../../wire/control/liveness.ts'
import type { RelaySetup, Way } from '../relay/ways.ts'
import { BrokenNeighbours } from './broken-neighbours.ts'

const way = (neighbour: string, vni: number, last: number, number = last): Partial<Way> => {
  return { neighbour, vni, number, peers: { address: Uint8Array.of(192, 168, 1, last), length: 32 } }
}
const relay = (...ways: Partial<Way>[]) => ({ ways }) as unknown as RelaySetup

function scene() {
  let told = ''
  const teller = {
    are: (broken: Iterable<BrokenPath>) => {
      told = Array.from(broken, ({ vni, peer }) => `${vni} ${formatAddress(peer!)}`).join(', ')
    },
    close: () => {},
  }
  const broken = new BrokenNeighbours(teller, relay(way('dc', 7, 2), way('branch', 8, 2), way('range', 9, 3, 0)))
  return { broken, told: () => told }
}

test('who was reached and is not any more is broken until BFD is up again', () => {
  const { broken, told } = scene()
  const seen = [
    { name: 'dc', state: 'down', reason: 'no packet has come yet' },
    { name: 'dc', state: 'up', reason: '' },
    { name: 'dc', state: 'down', reason: 'nothing came within the detection time', isFailure: true },
    { name: 'branch', state: 'down', reason: 'the path is down', isFailure: true },
    { name: 'dc', state: 'down', reason: 'the peer says that it hears nothing' },
    { name: 'dc', state: 'init', reason: '' },
    { name: 'dc', state: 'up', reason: '' },
  ] as const
  const after = seen.map((news) => {
    broken.watched(news)
    return told()
  })
  const dc = '7 192.168.1.2'
  const branch = '8 192.168.1.2'
  deepEqual(after, ['', '', dc, `${dc}, ${branch}`, `${dc}, ${branch}`, `${dc}, ${branch}`, branch])
})

test('who is not watched here any more, or has ended BFD on purpose, is not broken', () => {
  const { broken, told } = scene()
  for (const name of ['dc', 'branch']) broken.watched({ name, state: 'down', reason: '', isFailure: true })
  broken.watched({ name: 'dc', state: 'left', reason: '' })
  deepEqual(told(), '8 192.168.1.2')
  broken.watched({ name: 'branch', state: 'down', reason: '', isPeerDown: true })
  deepEqual(told(), '')
})

test('neighbours are found where another site file has them, and those of a range nowhere', () => {
  const { broken, told } = scene()
  for (const name of ['dc', 'range', 'stranger']) broken.watched({ name, state: 'down', reason: '', isFailure: true })
  deepEqual(told(), '7 192.168.1.2')
  broken.relayBy(relay(way('dc', 77, 9)))
  deepEqual(told(), '77 192.168.1.9')
})
