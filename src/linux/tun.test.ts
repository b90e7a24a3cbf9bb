import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { withNamespace } from './namespace.ts'
import { PollSet } from './poll.ts'
import { ip, ScratchNetwork, unprivileged } from './scratch.ts'
import { UdpSocket } from './socket.ts'
import { TUN_PACKET_BYTES, Tun, type TunOptions, virtioHeader } from './tun.ts'

const near = parseAddress('10.7.0.1')!
const far = parseAddress('10.7.0.2')!

/** Sends a datagram into the device, turns it round there, and returns what came out of it and what came back. */
function turnRound(options: TunOptions): { packet: Uint8Array; answer: Uint8Array; device: string } {
  using net = new ScratchNetwork()
  const namespace = net.namespace()
  const tun = withNamespace(namespace, () => new Tun('turn%d', options))
  ip('-n', namespace, 'address', 'add', '10.7.0.1/24', 'dev', tun.name)
  ip('-n', namespace, 'link', 'set', tun.name, 'up')
  const socket = withNamespace(namespace, () => new UdpSocket({ address: near, port: 7000 }))
  try {
    socket.send(Uint8Array.of(1, 2, 3, 4), { address: far, port: 7000 })
    const into = new Uint8Array(TUN_PACKET_BYTES)
    const head = options.offloads ? virtioHeader.BYTES : 0
    let length = 0
    do {
      assert.ok(new PollSet([tun.fd]).wait(2000) > 0)
      length = tun.read(into)
    } while (into[head] !== 0x45) // until past the kernel's own IPv6 messages
    const packet = into.slice(0, length)
    const turned = packet.slice()
    turned.set(packet.subarray(head + 16, head + 20), head + 12)
    turned.set(packet.subarray(head + 12, head + 16), head + 16)
    assert.equal(tun.write(turned), true)
    assert.ok(new PollSet([socket.fd]).wait(2000) > 0)
    return { packet, answer: socket.receive()!.bytes.slice(), device: tun.name }
  } finally {
    socket.close()
    tun.close()
  }
}

describe('TUN', { skip: unprivileged }, () => {
  test('a packet comes out of the device, and goes back in', () => {
    const { packet, answer, device } = turnRound({})
    assert.equal(device, 'turn0')
    assert.equal(packet.length, 20 + 8 + 4)
    assert.deepEqual(answer, Uint8Array.of(1, 2, 3, 4))
  })

  test('with offloads a header says that the checksum is unfinished, and the kernel finishes it on the way back', () => {
    const { packet, answer } = turnRound({ offloads: true, multiQueue: true })
    const { flags, segmentation, checksumStart, checksumOffset } = virtioHeader.read(packet)
    assert.deepEqual([flags & 1, segmentation, checksumStart, checksumOffset], [1, 0, 20, 6])
    assert.deepEqual(answer, Uint8Array.of(1, 2, 3, 4))
  })

  test('a device that is down takes nothing, and one that is open is refused', () => {
    using net = new ScratchNetwork()
    const namespace = net.namespace()
    const tap = withNamespace(namespace, () => new Tun('tap0', { kind: 'tap' }))
    assert.equal(tap.write(new Uint8Array(60)), false)
    assert.equal(tap.read(new Uint8Array(60)), 0)
    assert.throws(() => withNamespace(namespace, () => new Tun('tap0', { kind: 'tap' })), {
      code: 'EBUSY',
      message: /open already/,
    })
    tap.close()
    assert.doesNotMatch(ip('-n', namespace, 'link'), /tap0/)
  })
})
