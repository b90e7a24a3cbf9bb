/** What is done to frames to spoil them, and to make the spoilt ones believable. */

import { deepEqual, equal, notDeepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../base/random.ts'
import {
  destinationOptions,
  ethernet,
  gre,
  icmpEcho,
  icmpv6Echo,
  ipv4,
  ipv6,
  type Layer,
  type Payload,
  tcp,
  text,
  udp,
  vxlan,
} from './build.ts'
import { refit, repair, setTunnelId, spoilt, tunnelId } from './mutate.ts'

const DATA = text('checksums cover this')
const inner4 = (ttl = 64) => ipv4({ ttl, options: Uint8Array.of(148, 4, 0, 0) }, tcp({}, DATA))
const inner6 = (hopLimit = 64) => ipv6({ hopLimit, extensions: [destinationOptions()] }, udp({}, DATA))
const overVxlan = (payload: Layer, vni = 7) => udp({ destinationPort: 4789 }, vxlan({ vni }, ethernet({}, payload)))
const overGre = (payload: Payload, key = 7) => gre({ key, checksum: true, sequence: 1 }, payload)

const tunnels: [string, (payload: Layer, id?: number) => Uint8Array][] = [
  ['VXLAN over IPv4', (payload, id) => ethernet({}, ipv4({}, overVxlan(payload, id)))],
  ['VXLAN over IPv6', (payload, id) => ethernet({}, ipv6({}, overVxlan(payload, id)))],
  ['GRE over IPv4', (payload, id) => ethernet({}, ipv4({}, overGre(payload, id)))],
  ['GRE over IPv6', (payload, id) => ethernet({}, ipv6({ extensions: [destinationOptions()] }, overGre(payload, id)))],
  ['GRE with Ethernet', (payload, id) => ethernet({}, ipv4({}, overGre(ethernet({ vlan: 3 }, payload), id)))],
]
const payloads = [inner4(), inner6(), ipv4({}, icmpEcho({}, DATA)), ipv6({}, icmpv6Echo({}, DATA))]

for (const [tunnel, frameOf] of tunnels) {
  test(`${tunnel}: what is right is left as it is`, () => {
    for (const payload of payloads) {
      const frame = frameOf(payload)
      const repaired = frame.slice()
      repair(repaired)
      deepEqual(repaired, frame)
    }
  })

  test(`${tunnel}: every checksum is made right after a change, the outer ones too`, () => {
    for (const [before, after] of [
      [inner4(9), inner4(8)],
      [inner6(9), inner6(8)],
    ] as const) {
      const frame = frameOf(before)
      // The same bytes but for the TTL and the checksums over it.
      const at = Buffer.from(frame).lastIndexOf(before.bytes.subarray(0, 8))
      frame.set(after.bytes.subarray(0, 10), at)
      repair(frame)
      deepEqual(frame, frameOf(after))
    }
  })

  test(`${tunnel}: its number is found and replaced`, () => {
    const frame = frameOf(inner4())
    equal(tunnelId(frame), 7)
    setTunnelId(frame, 1234)
    repair(frame)
    deepEqual(frame, frameOf(inner4(), 1234))
  })

  test(`${tunnel}: cut short and made to fit, only what is in the tunnel is too short`, () => {
    const whole = frameOf(inner4())
    const cut = whole.slice(0, -DATA.length)
    refit(cut)
    const fitting = frameOf({ ...inner4(), bytes: inner4().bytes.slice(0, -DATA.length) })
    repair(fitting) // TCP's checksum covers what is left
    deepEqual(cut, fitting)
  })
}

test('whatever the bytes are, nothing throws', () => {
  const random = new Random(1)
  for (const [, frameOf] of tunnels)
    for (const payload of payloads) for (let i = 0; i < 2000; i++) spoilt(random, frameOf(payload), 9)
})

test('it is a copy that is spoilt', () => {
  const random = new Random(2)
  const frame = tunnels[0]![1](inner4())
  const before = frame.slice()
  notDeepEqual(spoilt(random, frame), spoilt(random, frame))
  deepEqual(frame, before)
})
