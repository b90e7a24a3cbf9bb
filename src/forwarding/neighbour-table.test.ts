import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress, parseMac } from '../base/address.ts'
import { ManualClock } from '../base/clock.ts'
import { Random } from '../base/random.ts'
import { NeighbourTable, type Wanted } from './neighbour-table.ts'

const address = parseAddress('192.168.1.2')!
const [first, second] = [parseMac('02:00:00:00:00:01')!, parseMac('02:00:00:00:00:02')!]

function table() {
  const clock = new ManualClock()
  const learnt: Uint8Array[] = []
  const neighbours = new NeighbourTable(clock, new Random(1), (_segment, _address, mac) => void learnt.push(mac))
  const wanted = (log: string[]): Wanted => ({
    segment: 1,
    address,
    ask: () => void log.push('ask'),
    resolved: (mac) => void log.push(`is ${mac[5]}`),
    forgotten: () => void log.push('forgotten'),
  })
  return { clock, learnt, neighbours, wanted }
}

test('a next hop is asked for about once a second until it answers, and then now and then', () => {
  const { clock, neighbours, wanted } = table()
  const log: string[] = []
  neighbours.want(wanted(log))
  clock.advance(10_000)
  ok(log.length >= 8 && log.length <= 15, `${log.length} questions in ten seconds`)
  neighbours.heard(1, address, first, true)
  log.length = 0
  clock.advance(100_000)
  ok(log.length >= 2 && log.length <= 5, `${log.length} refreshes in a hundred seconds`)
})

test('silence does not take a resolved next hop away; another MAC address replaces it', () => {
  const { clock, neighbours, wanted } = table()
  const log: string[] = []
  neighbours.want(wanted(log))
  neighbours.heard(1, address, first, true)
  clock.advance(3_600_000)
  neighbours.heard(1, address, second, true)
  deepEqual(
    log.filter((line) => line !== 'ask'),
    ['is 1', 'is 2'],
  )
})

test('a next hop that is also a host of the connected subnet is known as both', () => {
  const { neighbours, wanted } = table()
  const [peer, host, late]: string[][] = [[], [], []]
  neighbours.want(wanted(peer!))
  neighbours.glean(wanted(host!))
  neighbours.heard(1, address, first, true)
  neighbours.want(wanted(late!))
  deepEqual([peer, host, late], [['ask', 'is 1'], ['is 1'], ['is 1']])
})

test('a host that a packet missed is forgotten when it does not answer, and a next hop at the same address is not', () => {
  const { clock, neighbours, wanted } = table()
  const [peer, host]: string[][] = [[], []]
  neighbours.glean(wanted(host!))
  clock.advance(10_000)
  equal(host!.at(-1), 'forgotten')
  equal(host!.filter((line) => line === 'ask').length, 3)
  neighbours.want(wanted(peer!))
  equal(neighbours.unresolved, 1)
})

test('what this node heard is told to others even when it is known here, and what others said is not', () => {
  const { neighbours, wanted, learnt } = table()
  neighbours.want(wanted([]))
  neighbours.heard(1, address, first, false)
  equal(learnt.length, 0)
  neighbours.heard(1, address, first, true)
  equal(learnt.length, 1)
})

test('nobody is asked for any more once nobody wants it', () => {
  const { clock, neighbours, wanted } = table()
  const log: string[] = []
  neighbours.want(wanted(log)).close()
  clock.advance(10_000)
  deepEqual(log, ['ask'])
  equal(neighbours.unresolved, 0)
})
