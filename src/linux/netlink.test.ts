import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatAddress, formatMac, parseAddress, parseMac, parsePrefix } from '../base/address.ts'
import { Random } from '../base/random.ts'
import { addAddress, decodeAddress, deleteAddress, listAddresses } from './interface-address.ts'
import { decodeLink, listLinks, setLink } from './link.ts'
import { withNamespace } from './namespace.ts'
import { decodeNeighbour, deleteNeighbour, listNeighbours, setNeighbour } from './neighbour.ts'
import { Group, type Message, Netlink, parseAttributes } from './netlink.ts'
import { decodeRoute, deleteRoute, lookupRoute, RouteReader, replaceRoute } from './route.ts'
import { ScratchNetwork, unprivileged } from './scratch.ts'

/** Two namespaces with a wire; requests go to the first. */
class Wire {
  readonly net = new ScratchNetwork()
  readonly here = this.net.namespace()
  readonly there = this.net.namespace()
  readonly netlink: Netlink
  readonly index: number

  constructor() {
    this.net.wire(
      { namespace: this.here, name: 'near', addresses: ['10.9.0.1/24', '2001:db8::1/64'] },
      { namespace: this.there, name: 'far', addresses: ['10.9.0.2/24', '2001:db8::2/64'] },
    )
    this.netlink = withNamespace(this.here, () => new Netlink())
    this.index = this.link().index
  }

  link() {
    return listLinks(this.netlink).find(({ name }) => name === 'near')!
  }

  [Symbol.dispose](): void {
    this.netlink.close()
    this.net[Symbol.dispose]()
  }
}

const ip = (text: string): Uint8Array => parseAddress(text)!
const prefix = (text: string) => parsePrefix(text)!

describe('rtnetlink', { skip: unprivileged }, () => {
  test('links are listed and changed', () => {
    using wire = new Wire()
    const { name, mtu, up, carrier, kind, loopback } = wire.link()
    assert.deepEqual(
      { name, mtu, up, carrier, kind, loopback },
      { name: 'near', mtu: 1500, up: true, carrier: true, kind: 'veth', loopback: false },
    )
    setLink(wire.netlink, wire.index, { mtu: 9000, mac: parseMac('02:00:00:00:00:07')! })
    setLink(wire.netlink, wire.index, { up: false })
    const after = wire.link()
    assert.deepEqual(
      [after.mtu, formatMac(after.mac), after.up, after.carrier],
      [9000, '02:00:00:00:00:07', false, false],
    )
  })

  test('addresses are added, listed and deleted', () => {
    using wire = new Wire()
    const mine = (): string[] =>
      listAddresses(wire.netlink)
        .filter(({ usable }) => usable)
        .map(({ address }) => formatAddress(address))
    addAddress(wire.netlink, wire.index, { address: ip('10.9.0.9'), length: 24 })
    addAddress(wire.netlink, wire.index, { address: ip('2001:db8::9'), length: 64 })
    assert.ok(mine().includes('10.9.0.9') && mine().includes('2001:db8::9'))
    deleteAddress(wire.netlink, wire.index, { address: ip('10.9.0.9'), length: 24 })
    deleteAddress(wire.netlink, wire.index, { address: ip('2001:db8::9'), length: 64 })
    assert.ok(!mine().includes('10.9.0.9') && !mine().includes('2001:db8::9'))
  })

  for (const [version, destination, gateways, inside] of [
    ['IPv4', '10.50.0.0/16', ['10.9.0.2', '10.9.0.3'], '10.50.1.1'],
    ['IPv6', '2001:db8:50::/48', ['2001:db8::2', '2001:db8::3'], '2001:db8:50::1'],
  ] as const) {
    test(`an ${version} route with two next hops and an MTU is read back, used and deleted`, () => {
      using wire = new Wire()
      const nextHops = gateways.map((gateway, i) => ({
        interfaceIndex: wire.index,
        gateway: ip(gateway),
        weight: i + 1,
      }))
      const route = { destination: prefix(destination), nextHops, mtu: 1400, priority: 77 }
      replaceRoute(wire.netlink, route)
      const found = new RouteReader().read(wire.netlink).find(({ priority }) => priority === 77)!
      assert.equal(found.mtu, 1400)
      assert.deepEqual(found.destination, prefix(destination))
      assert.deepEqual(found.nextHops.map(({ gateway, weight, usable }) => [formatAddress(gateway!), weight, usable]), [[gateways[0], 1, true], [gateways[1], 2, true]]) // biome-ignore format: one line
      const chosen = lookupRoute(wire.netlink, ip(inside))!
      assert.equal(chosen.nextHops[0]!.interfaceIndex, wire.index)
      assert.ok(gateways.some((gateway) => gateway === formatAddress(chosen.nextHops[0]!.gateway!)))
      deleteRoute(wire.netlink, route)
      assert.equal(lookupRoute(wire.netlink, ip(inside)), undefined)
    })
  }

  test('neighbours are set, listed and deleted', () => {
    using wire = new Wire()
    const key = { interfaceIndex: wire.index, address: ip('10.9.0.77') }
    const find = () => listNeighbours(wire.netlink).find(({ address }) => formatAddress(address) === '10.9.0.77')
    setNeighbour(wire.netlink, key, parseMac('02:00:00:00:00:77')!)
    assert.deepEqual([formatMac(find()!.mac!), find()!.state], ['02:00:00:00:00:77', 'permanent'])
    deleteNeighbour(wire.netlink, key)
    assert.equal(find(), undefined)
  })

  test("the kernel's own words are in the error", () => {
    using wire = new Wire()
    const nextHops = [{ interfaceIndex: wire.index, gateway: ip('192.0.2.1') }]
    const expected = { call: 'netlink(new route)', code: 'ENETUNREACH', message: /Nexthop has invalid gateway/ }
    assert.throws(() => replaceRoute(wire.netlink, { destination: prefix('10.60.0.0/16'), nextHops }), expected)
  })

  test('an overrun is told once and leaves nothing stale behind', () => {
    using wire = new Wire()
    const events = withNamespace(wire.here, () => new Netlink([Group.link]))
    for (let i = 0; i < 5000; i++) setLink(wire.netlink, wire.index, { mtu: 1400 + (i & 1) })
    assert.ok(events.events() === 'overrun')
    assert.equal(events.events().length, 0)
    setLink(wire.netlink, wire.index, { mtu: 1300 })
    const [after] = events.events() as Message[]
    assert.equal(decodeLink(after!)!.mtu, 1300)
    events.close()
  })

  test('no cut or garbled message makes a decoder throw', () => {
    using wire = new Wire()
    const nextHops = [2, 3].map((n) => ({ interfaceIndex: wire.index, gateway: ip(`10.9.0.${n}`) }))
    replaceRoute(wire.netlink, { destination: prefix('10.50.0.0/16'), nextHops, mtu: 1400 })
    setNeighbour(wire.netlink, { interfaceIndex: wire.index, address: ip('10.9.0.77') }, parseMac('02:00:00:00:00:77')!)
    const random = new Random(1)
    const GET_TYPES = { 18: decodeLink, 22: decodeAddress, 26: decodeRoute, 30: decodeNeighbour }
    for (const [type, decode] of Object.entries(GET_TYPES)) {
      // A structure of zeros of the family's size asks for all.
      const body = new Uint8Array({ 18: 16, 22: 8, 26: 12, 30: 12 }[type]!)
      const samples = wire.netlink.dump(Number(type), body)
      assert.ok(samples.length > 0)
      for (const { type, payload } of samples) {
        for (let end = 0; end < payload.length; end++) decode({ type, payload: payload.subarray(0, end) })
        for (let n = 0; n < 300; n++) {
          const garbled = payload.slice()
          for (let k = 0; k < 3; k++) garbled[random.below(garbled.length)] = random.u32()
          decode({ type, payload: garbled })
        }
      }
    }
  })
})

test('attributes end where a length lies', () => {
  assert.deepEqual([...parseAttributes(Uint8Array.of(8, 0, 1, 0, 9, 0, 0, 0, 3, 0, 2, 0), 0).keys()], [1])
  assert.deepEqual([...parseAttributes(Uint8Array.of(8, 0, 1, 0, 9, 0, 0, 0, 9, 0, 2, 0, 1, 1, 1, 1), 0).keys()], [1])
})
