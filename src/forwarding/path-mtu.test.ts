import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { ManualClock } from '../base/clock.ts'
import { gre, icmpError, icmpv6, ipv4, ipv6, type Layer, tcp, udp } from '../wire/build.ts'
import { learntFrom, PATH_MTU_LIFETIME_s, PathMtus } from './path-mtu.ts'
import { HOST, VIP } from './sample-site.ts'

const vip = parseAddress(VIP)!
const host = parseAddress(HOST.ip)!
const isVip = (address: Uint8Array) => address.join() === vip.join()
const tunnel = gre({ key: 7 }, ipv4({}, tcp({})))
const tooBig = (about: Layer, mtu = 1400) => icmpError({ type: 3, code: 4, mtu }, about).bytes

test('fragmentation needed about a tunnel of ours tells the path MTU to its far end', () => {
  deepEqual(learntFrom(tooBig(ipv4({ source: VIP, destination: HOST.ip }, tunnel)), 4, isVip), {
    remote: host,
    mtu: 1400,
  })
})

test('and so does packet too big', () => {
  const about = ipv6(
    { source: 'fd00::1', destination: 'fd00::2' },
    udp({ destinationPort: 4789, checksum: false }, new Uint8Array(60)),
  )
  const message = icmpv6({ type: 2, rest: 1300 }, about).bytes
  deepEqual(
    learntFrom(message, 6, () => true),
    { remote: parseAddress('fd00::2'), mtu: 1300 },
  )
})

for (const [what, message] of [
  ['quotes a source that is not ours', tooBig(ipv4({ source: '192.0.2.1', destination: HOST.ip }, tunnel))],
  ['quotes no tunnel', tooBig(ipv4({ source: VIP, destination: HOST.ip }, tcp({})))],
  ['names an absurd MTU', tooBig(ipv4({ source: VIP, destination: HOST.ip }, tunnel), 68)],
  ['is another error', icmpError({ type: 11 }, ipv4({ source: VIP }, tunnel)).bytes],
  ['has a wrong checksum', corrupted(tooBig(ipv4({ source: VIP, destination: HOST.ip }, tunnel)))],
  ['is cut short', tooBig(ipv4({ source: VIP, destination: HOST.ip }, tunnel)).slice(0, 30)],
] as const)
  test(`a message that ${what} teaches nothing`, () => {
    equal(learntFrom(message, 4, isVip), undefined)
  })

test('a learnt MTU only shrinks, and is forgotten after its lifetime', () => {
  const clock = new ManualClock()
  const changes: (number | undefined)[] = []
  const paths: PathMtus = new PathMtus(clock, (remote) => void changes.push(paths.of(remote)))
  equal(paths.learn(host, 1400, PATH_MTU_LIFETIME_s), true)
  equal(paths.learn(host, 1450, PATH_MTU_LIFETIME_s), false)
  equal(paths.learn(host, 1300, PATH_MTU_LIFETIME_s), true)
  clock.advance(PATH_MTU_LIFETIME_s * 1000)
  deepEqual(changes, [1400, 1300, undefined])
})

function corrupted(message: Uint8Array): Uint8Array {
  message[message.length - 1]! ^= 1
  return message
}
