import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { destinationOf, PacketSender } from './datagram-batch.ts'
import { interfaceIndex } from './libc.ts'
import { withNamespace } from './namespace.ts'
import { PollSet } from './poll.ts'
import { ping, ip as runIp, ScratchNetwork, unprivileged } from './scratch.ts'
import { hasFamily, type SocketOptions, UdpSocket } from './socket.ts'

const ip = (text: string): Uint8Array => parseAddress(text)!

/** Two namespaces, two wires. */
class Wires {
  readonly net = new ScratchNetwork()
  readonly here = this.net.namespace()
  readonly there = this.net.namespace()
  readonly #sockets: UdpSocket[] = []

  constructor() {
    for (const [i, name] of ['first', 'second'].entries()) {
      const ends = [1, 2].map((n) => [`10.${i}.0.${n}/24`, `2001:db8:${i}::${n}/64`])
      this.net.wire(
        { namespace: this.here, name, addresses: ends[0]! },
        { namespace: this.there, name, addresses: ends[1]! },
      )
    }
  }

  udp(namespace: string, address: string, port: number, options?: SocketOptions): UdpSocket {
    const socket = withNamespace(namespace, () => new UdpSocket({ address: ip(address), port }, options))
    this.#sockets.push(socket)
    return socket
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close()
    this.net[Symbol.dispose]()
  }
}

const heard = (socket: UdpSocket): boolean => new PollSet([socket.fd]).wait(2000) > 0

describe('datagram sockets', { skip: unprivileged }, () => {
  for (const [version, any, near, far] of [
    ['IPv4', '0.0.0.0', '10.1.0.1', '10.1.0.2'],
    ['IPv6', '::', '2001:db8:1::1', '2001:db8:1::2'],
  ] as const) {
    test(`a datagram over ${version} arrives with its TTL, traffic class, interface and both addresses`, () => {
      using wires = new Wires()
      const receiver = wires.udp(wires.here, any, 3784)
      const sender = wires.udp(wires.there, far, 0, { ttl: 255, trafficClass: 0xc0 })
      assert.ok(sender.send(Uint8Array.of(1, 2, 3), { address: ip(near), port: 3784 }))
      assert.ok(heard(receiver))
      const { bytes, from, ttl, trafficClass, interfaceIndex: index, destination } = receiver.receive()!
      assert.deepEqual(bytes, Uint8Array.of(1, 2, 3))
      assert.deepEqual([from.address, from.port], [ip(far), sender.localPort()])
      assert.deepEqual([ttl, trafficClass, destination], [255, 0xc0, ip(near)])
      assert.equal(
        index,
        withNamespace(wires.here, () => interfaceIndex('second')),
      )
      assert.equal(receiver.receive(), undefined)
    })
  }

  test('a socket of one device hears nothing from another', () => {
    using wires = new Wires()
    const first = wires.udp(wires.here, '0.0.0.0', 3784, { device: 'first' })
    const second = wires.udp(wires.here, '0.0.0.0', 3784, { device: 'second' })
    const sender = wires.udp(wires.there, '0.0.0.0', 0)
    sender.send(Uint8Array.of(7), { address: ip('10.1.0.1'), port: 3784 })
    assert.ok(heard(second))
    assert.equal(second.receive()!.bytes[0], 7)
    assert.equal(first.receive(), undefined)
  })

  test('what cannot leave is said, and does not throw', () => {
    using wires = new Wires()
    const socket = wires.udp(wires.here, '0.0.0.0', 0)
    assert.equal(socket.send(Uint8Array.of(1), { address: ip('192.0.2.1'), port: 1 }), false)
    assert.equal(socket.send(new Uint8Array(70_000), { address: ip('10.0.0.2'), port: 1 }), false)
  })

  test('an address that is not here is a sentence', () => {
    using wires = new Wires()
    const expected = { call: 'bind', code: 'EADDRNOTAVAIL', message: /not one of this host/ }
    assert.throws(() => wires.udp(wires.here, '192.0.2.1', 1), expected)
  })

  test('ICMP echoes are sent and answered, over both versions', () => {
    using wires = new Wires()
    for (const to of ['10.0.0.2', '2001:db8::2']) assert.ok(ping(wires.here, to, 56), to)
    assert.equal(ping(wires.here, '192.0.2.1', 56), false)
  })
})

test('a packet that no route leads anywhere is lost, whatever the kernel says of it, and the next one is not', {
  skip: unprivileged,
}, () => {
  using wires = new Wires()
  for (const [kind, prefix] of [
    ['blackhole', '10.7.0.0/16'],
    ['prohibit', '10.8.0.0/16'],
    ['unreachable', '10.9.0.0/16'],
  ] as const)
    runIp('-n', wires.here, 'route', 'add', kind, prefix)
  const receiver = wires.udp(wires.there, '10.0.0.2', 7)
  const sender = wires.udp(wires.here, '10.0.0.1', 0)
  let lost = 0
  const shape = { slots: 8, slotBytes: 64 }
  const packets = withNamespace(wires.here, () => new PacketSender(4, shape, 1 << 16, (count) => (lost += count)))
  const push = (to: string): void => {
    const at = packets.begin()
    // IPv4 and UDP to port 7, without a byte in it. The kernel makes the header's checksum.
    const udp = [0, 9, 0, 7, 0, 8, 0, 0]
    packets.bytes.set([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, ...ip(to), ...udp], at)
    packets.push(at, at + 28, destinationOf(ip(to)))
  }
  const nowhere = ['10.7.0.1', '10.8.0.1', '10.9.0.1', '255.255.255.255']
  for (const to of nowhere) {
    assert.equal(sender.send(Uint8Array.of(1), { address: ip(to), port: 7 }), false, to)
    push(to)
  }
  push('10.0.0.2')
  packets.flush()
  packets.close()
  assert.equal(lost, nowhere.length)
  assert.ok(heard(receiver))
  assert.ok(sender.send(Uint8Array.of(1), { address: ip('10.0.0.2'), port: 7 }))
})

test('a host says which IP versions it has', () => {
  assert.equal(hasFamily(4), true)
  assert.equal(hasFamily(6), existsSync('/proc/net/if_inet6'))
})
