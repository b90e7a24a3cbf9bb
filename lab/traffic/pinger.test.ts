import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/base/clock.ts'
import type { IcmpSocket } from '../../src/linux/socket.ts'
import { Fault } from '../../src/wire/fault.ts'
import { checkIcmp } from '../../src/wire/icmp.ts'
import { Pinger } from './pinger.ts'

const FAR = Uint8Array.of(192, 0, 2, 1)

function bench() {
  const sent: Uint8Array[] = []
  const socket = { send: (message: Uint8Array) => sent.push(message.slice()) > 0 } as unknown as IcmpSocket
  const clock = new ManualClock()
  return { sent, clock, pinger: new Pinger(7, '192.0.2.1', socket, clock) }
}

test('a ping is a right one, and its answer is timed', () => {
  const { sent, clock, pinger } = bench()
  pinger.send()
  const [message] = sent as [Uint8Array]
  const view = new DataView(message.buffer)
  equal(checkIcmp(view, 0, message.length), Fault.none)
  deepEqual([view.getUint8(0), view.getUint16(4), view.getUint16(6)], [8, 7, 0])
  clock.advance(3)
  pinger.answered(Uint8Array.of(192, 0, 2, 2), 0)
  equal(pinger.waiting, 1, 'that was another')
  pinger.answered(FAR, 0)
  pinger.answered(FAR, 0)
  pinger.answered(FAR, 9)
  deepEqual([pinger.sent, pinger.lost, pinger.waiting], [1, 0, 0])
  equal(Math.round(pinger.latency.percentile_us(1) / 50), 60)
})

test('what takes longer than a second is lost, once, however late its answer comes', () => {
  const { clock, pinger } = bench()
  pinger.send()
  clock.advance(600)
  pinger.send()
  clock.advance(401)
  pinger.giveUp()
  deepEqual([pinger.lost, pinger.waiting], [1, 1])
  pinger.answered(FAR, 0)
  clock.advance(700)
  pinger.answered(FAR, 1)
  pinger.giveUp()
  deepEqual([pinger.sent, pinger.lost, pinger.waiting], [2, 2, 0])
  equal(pinger.latency.percentile_us(1), 0)
})
