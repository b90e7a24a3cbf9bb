import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { createFrameMemory, FramePool, Frames } from '../../src/dataplane/frames.ts'
import { MemoryPort } from '../../src/dataplane/memory-port.ts'
import {
  arpReply,
  arpRequest,
  ethernet,
  gre,
  ipv4,
  ipv6,
  type Layer,
  neighbourAdvertisement,
  neighbourSolicitation,
  text,
  udp,
} from '../../src/wire/build.ts'
import { ND_ADVERTISEMENT } from '../../src/wire/neighbour-discovery.ts'
import { VSwitch, type VSwitchConfig, type VSwitchCounters } from './vswitch.ts'

const HOST = '10.0.2.1'
const GATEWAY = '02:67:68:00:00:01'
const RACK = '02:00:00:00:00:aa'
const UPLINK = '02:00:00:00:00:bb'
const CHUNKS = 64

const config: VSwitchConfig = {
  address: HOST,
  gatewayMac: GATEWAY,
  uplinks: [{ interface: 'rack-1', mac: UPLINK, nextHopMac: RACK }],
  machines: [
    { interface: 'vm0', key: 7, mac: '02:76:00:00:00:00', addresses: ['172.16.0.5', '2001:db8::5'] },
    { interface: 'vm1', key: 8, mac: '02:76:00:00:00:01', addresses: ['172.16.0.5', '2001:db8::5'] },
  ],
  vips: [
    { key: 7, vip: '10.255.0.1' },
    { key: 8, vip: '10.255.0.2' },
  ],
}
const machineMac = (i: number): string => config.machines[i]!.mac

class Bench {
  readonly frames = new Frames(createFrameMemory(CHUNKS))
  readonly pool = new FramePool(this.frames, 0, CHUNKS)
  readonly ports: MemoryPort[]
  readonly vswitch: VSwitch

  constructor(with_: VSwitchConfig = config, capacity = 16) {
    const names = [...with_.uplinks, ...with_.machines].map((end) => end.interface)
    this.ports = names.map((name) => new MemoryPort(name, this.frames, this.pool, capacity))
    this.vswitch = new VSwitch(with_, this.frames, this.pool, this.ports)
  }

  /** Puts a frame into a port and returns what came out, by port; every chunk is back in the pool then. */
  send(port: string, ...frames: Uint8Array[]): Record<string, Buffer[]> {
    const free = this.pool.free
    for (const frame of frames) this.ports.find(({ name }) => name === port)!.inject(frame)
    while (this.vswitch.step() > 0) {}
    equal(this.pool.free, free, 'no chunk is lost')
    return Object.fromEntries(
      this.ports.flatMap((each) => {
        const sent = each.sent().map((frame) => Buffer.from(frame))
        return sent.length > 0 ? [[each.name, sent]] : []
      }),
    )
  }

  count(reason: keyof VSwitchCounters): number {
    return this.vswitch.counters[reason]
  }
}

const toGateway = (machine: number, layer: Layer): Uint8Array =>
  ethernet({ source: machineMac(machine), destination: GATEWAY }, layer)
const toMachine = (machine: number, layer: Layer): Buffer =>
  Buffer.from(ethernet({ source: GATEWAY, destination: machineMac(machine) }, layer))
const onWire = (outer: Layer): Buffer => Buffer.from(ethernet({ source: UPLINK, destination: RACK }, outer))
const fromWire = (outer: Layer): Uint8Array => ethernet({ source: RACK, destination: UPLINK }, outer)
const hello = (tos = 0): Layer => ipv4({ source: '172.16.0.5', destination: '10.1.0.1', tos }, udp({}, text('hello')))
const hello6 = ipv6({ source: '2001:db8::5', destination: '2001:db8:1::1', trafficClass: 0x2a }, udp({}, text('hello')))
const outwards = { source: HOST, destination: '10.255.0.1', dontFragment: true }
const inwards = { source: '10.255.0.1', destination: HOST, dontFragment: true }

suite('the vSwitch of a host', () => {
  test("takes a machine's packet to its tenant's VIP, the VPC in GRE's key, DSCP and ECN outside too", () => {
    const bench = new Bench()
    deepEqual(bench.send('vm0', toGateway(0, hello(0xb9))), {
      'rack-1': [onWire(ipv4({ ...outwards, tos: 0xb9 }, gre({ key: 7 }, hello(0xb9))))],
    })
    deepEqual(bench.send('vm0', toGateway(0, hello6)), {
      'rack-1': [onWire(ipv4({ ...outwards, tos: 0x2a }, gre({ key: 7 }, hello6)))],
    })
    equal(bench.count('to-tunnel'), 2)
  })

  test('keeps tenants with the same addresses apart by the key', () => {
    const bench = new Bench()
    const inner = ipv4({ source: '10.1.0.1', destination: '172.16.0.5' }, udp({}, text('who am I')))
    for (const machine of [0, 1]) {
      const key = config.machines[machine]!.key
      deepEqual(bench.send('rack-1', fromWire(ipv4(inwards, gre({ key }, inner)))), {
        [`vm${machine}`]: [toMachine(machine, inner)],
      })
    }
    deepEqual(bench.send('rack-1', fromWire(ipv4(inwards, gre({ key: 9 }, inner)))), {})
    deepEqual(bench.send('rack-1', fromWire(ipv4(inwards, gre({}, inner)))), {})
    equal(bench.count('no-machine'), 2)
  })

  test('follows a tenant that moved to another VIP', () => {
    const bench = new Bench()
    bench.vswitch.setVip(7, '10.255.0.9')
    deepEqual(bench.send('vm0', toGateway(0, hello())), {
      'rack-1': [onWire(ipv4({ ...outwards, destination: '10.255.0.9' }, gre({ key: 7 }, hello())))],
    })
  })

  test('answers for every neighbour but the machine itself', () => {
    const bench = new Bench()
    const mac = machineMac(0)
    const ask = (targetIp: string): Uint8Array =>
      ethernet(
        { source: mac, destination: 'ff:ff:ff:ff:ff:ff' },
        arpRequest({ senderMac: mac, senderIp: '172.16.0.5', targetIp }),
      )
    const answer = arpReply({ senderMac: GATEWAY, senderIp: '169.254.1.1', targetMac: mac, targetIp: '172.16.0.5' })
    deepEqual(bench.send('vm0', ask('169.254.1.1')), { vm0: [toMachine(0, answer)] })
    deepEqual(bench.send('vm0', ask('172.16.0.5')), {})
    const solicit = (target: string, source: string): Uint8Array =>
      ethernet(
        { source: mac, destination: '33:33:ff:00:00:01' },
        ipv6(
          { source, destination: 'ff02::1:ff00:1', hopLimit: 255 },
          neighbourSolicitation({ target, ...(source !== '::' && { sourceMac: mac }) }),
        ),
      )
    const flags = (ND_ADVERTISEMENT.solicited | ND_ADVERTISEMENT.override) >>> 0
    const advertised = ipv6(
      { source: 'fe80::1', destination: '2001:db8::5', hopLimit: 255 },
      neighbourAdvertisement({ target: 'fe80::1', flags, targetMac: GATEWAY }),
    )
    deepEqual(bench.send('vm0', solicit('fe80::1', '2001:db8::5')), { vm0: [toMachine(0, advertised)] })
    deepEqual(bench.send('vm0', solicit('2001:db8::5', '2001:db8::5'), solicit('fe80::1', '::')), {})
    equal(bench.count('answered'), 2)
  })

  test('marks congestion that the tunnel met, and drops what cannot be told of it', () => {
    const bench = new Bench()
    const inner = (tos: number): Layer => ipv4({ source: '10.1.0.1', destination: '172.16.0.5', tos }, udp({}))
    const congested = { ...inwards, tos: 3 }
    deepEqual(bench.send('rack-1', fromWire(ipv4(congested, gre({ key: 7 }, inner(2))))), {
      vm0: [toMachine(0, inner(3))],
    })
    deepEqual(bench.send('rack-1', fromWire(ipv4(congested, gre({ key: 7 }, inner(0))))), {})
    equal(bench.count('congested'), 1)
  })

  test('speaks IPv6 on the underlay', () => {
    const vips = [{ key: 7, vip: 'fd00::1' }]
    const bench = new Bench({ ...config, address: 'fd00::2:1', vips })
    const ends = { source: 'fd00::2:1', destination: 'fd00::1' }
    deepEqual(bench.send('vm0', toGateway(0, hello())), { 'rack-1': [onWire(ipv6(ends, gre({ key: 7 }, hello())))] })
    const inner = ipv6({ source: '2001:db8:1::1', destination: '2001:db8::5' }, udp({}))
    const back = ipv6({ source: 'fd00::1', destination: 'fd00::2:1' }, gre({ key: 7, sequence: 3 }, inner))
    deepEqual(bench.send('rack-1', fromWire(back)), { vm0: [toMachine(0, inner)] })
  })

  test('passes jumbo frames in their chunks and cuts padding off short ones', () => {
    const bench = new Bench()
    const jumbo = ipv4({ source: '172.16.0.5', destination: '10.1.0.1' }, udp({}, new Uint8Array(8900).fill(7)))
    deepEqual(bench.send('vm0', toGateway(0, jumbo)), { 'rack-1': [onWire(ipv4(outwards, gre({ key: 7 }, jumbo)))] })
    const padded = Buffer.concat([toGateway(0, hello()), new Uint8Array(13)])
    deepEqual(bench.send('vm0', padded), { 'rack-1': [onWire(ipv4(outwards, gre({ key: 7 }, hello())))] })
  })

  test('leaves an uplink without a carrier, and counts what has nowhere to go', () => {
    const second = { interface: 'rack-2', mac: '02:00:00:00:00:cc', nextHopMac: '02:00:00:00:00:dd' }
    const bench = new Bench({ ...config, uplinks: [...config.uplinks, second] })
    const flows = Array.from({ length: 16 }, (_, i) =>
      toGateway(0, ipv4({ source: '172.16.0.5', destination: '10.1.0.1' }, udp({ sourcePort: 2000 + i }))),
    )
    deepEqual(Object.keys(bench.send('vm0', ...flows)), ['rack-1', 'rack-2'])
    bench.vswitch.setCarrier('rack-1', false)
    deepEqual(Object.keys(bench.send('vm0', ...flows)), ['rack-2'])
    bench.vswitch.setCarrier('rack-2', false)
    deepEqual(bench.send('vm0', ...flows), {})
    equal(bench.count('no-tunnel'), 16)
    bench.vswitch.setCarrier('rack-1', true)
    deepEqual(Object.keys(bench.send('vm0', ...flows)), ['rack-1'])
  })

  test('counts what it cannot use and loses no memory over it', () => {
    const bench = new Bench(config, 1)
    const whole = fromWire(
      ipv4(inwards, gre({ key: 7 }, ipv4({ source: '10.1.0.1', destination: '172.16.0.5' }, udp({})))),
    )
    for (let length = 0; length < whole.length - 8; length++)
      deepEqual(bench.send('rack-1', whole.slice(0, length)), {})
    equal(bench.count('malformed'), whole.length - 8)
    bench.send('vm0', toGateway(0, hello()), toGateway(0, hello()))
    equal(bench.count('uplink-full'), 1)
  })
})
