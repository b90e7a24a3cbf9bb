import { equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { ethernet, gre, ipv4, udp, vxlan } from '../../src/wire/build.ts'
import { UDP_PORT } from '../../src/wire/udp.ts'
import { arrived, flowOf, flowsOf, SENT_AT, wrong } from './frames.ts'
import { GATEWAY_MAC, keyOf, MACHINE_MAC, tunnelOf } from './site.ts'
import { ADDRESS } from './wires.ts'

const SIZE = { tenants: 3, routesPerTenant: 10 }
const ENDS = { source: ADDRESS.vip, destination: ADDRESS.receiver }
const FLOWS = flowsOf(SIZE, 'gre', 64, 100)

/** The inner packet as a gateway passes it on. */
function forwarded(flow: (typeof FLOWS)[number]): Uint8Array {
  const [a, b, c, d] = arrived(flow.frame)!.packet.subarray(12)
  const payload = new Uint8Array(64 - 42)
  new DataView(payload.buffer).setUint32(0, 12_345) // the time of sending
  new DataView(payload.buffer).setUint32(4, FLOWS.indexOf(flow))
  const ports = { sourcePort: 1024 + FLOWS.indexOf(flow), destinationPort: 9, checksum: false }
  return ipv4({ source: `${a}.${b}.${c}.${d}`, destination: flow.destination, ttl: 63 }, udp(ports, payload)).bytes
}

function byGre(key: number, packet: Uint8Array, ends: { source: string; destination: string } = ENDS): Uint8Array {
  return ethernet({}, ipv4(ends, gre({ key }, { bytes: packet, etherType: 0x0800 })))
}

function byVxlan(vni: number, packet: Uint8Array): Uint8Array {
  const frame = ethernet({ source: GATEWAY_MAC, destination: MACHINE_MAC, etherType: 0x0800 }, packet)
  return ethernet({}, ipv4(ENDS, udp({ destinationPort: UDP_PORT.vxlan, checksum: false }, vxlan({ vni }, frame))))
}

const byTheRoute = { kind: 'route', tunnel: 'gre' } as const

test('a packet that came out as it should is told from every other', () => {
  const [flow] = FLOWS
  const key = keyOf(flow!.tenant)
  const packet = forwarded(flow!)
  const verdict = (frame: Uint8Array) => wrong(flow!, arrived(frame)!, byTheRoute)
  equal(verdict(byGre(key, packet)), undefined)
  equal(flowOf(arrived(byGre(key, packet))!), 0)
  match(verdict(byGre(key + 1, packet))!, /by gre/)
  match(verdict(byVxlan(key, packet))!, /by vxlan/)
  match(verdict(byGre(key, packet, { ...ENDS, destination: ADDRESS.sender }))!, /to 10\.0\.1\.1/)
  match(verdict(byGre(key, forwarded(FLOWS[1]!)))!, /as 45/)
  match(verdict(byGre(key, arrived(flow!.frame)!.packet))!, /as 45/) // its TTL is what it was
})

test('the time of sending stands where sender and receiver look for it', () => {
  const [flow] = FLOWS
  const time = (frame: Uint8Array, at: number) => new DataView(frame.buffer).getUint32(at)
  const packet = forwarded(flow!)
  equal(time(byGre(1, packet), SENT_AT.gre), 12_345)
  equal(time(byVxlan(1, packet), SENT_AT.vxlan), 12_345)
  const stamped = flow!.frame.slice()
  new DataView(stamped.buffer).setUint32(SENT_AT.vxlan, 1)
  equal(wrong(flow!, arrived(stamped)!, { kind: 'pass' }), undefined)
})

test('flows go only to routes of their tunnel, all over the FIB, in frames of one size', () => {
  equal(tunnelOf(0), 'vxlan')
  equal(new Set(FLOWS.map(({ tenant }) => tenant)).size, SIZE.tenants)
  equal(new Set(FLOWS.map(({ frame }) => frame.length)).size, 1)
  equal(FLOWS[0]!.frame.length, 64 + 50)
})
