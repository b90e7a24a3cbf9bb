import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress, parseAddress } from '../base/address.ts'
import { LivenessReceiver } from './liveness-receiver.ts'
import { watch } from './poll.ts'
import { hasFamily, UdpSocket } from './socket.ts'

const address = (text: string) => parseAddress(text)!

/** What comes to a receiver for all addresses, told in words, until there is as much. */
async function received(version: 4 | 6, count: number, send: (port: number) => void): Promise<string[]> {
  const port = 40_000 + (process.pid % 20_000)
  const receiver = new LivenessReceiver({ address: new Uint8Array(version === 4 ? 4 : 16), port }, 1 << 20)
  const heard: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const watching = watch(receiver.fd, () => {
    receiver.receive((bytes, from, to, ttl) => {
      heard.push(`${Buffer.from(bytes)} ${formatAddress(from)} ${to && formatAddress(to)} ${ttl}`)
    })
    if (heard.length >= count) resolve()
  })
  send(port)
  await promise
  watching.stop()
  receiver.close()
  return heard
}

test('packets come in order with their sender, the address that they were sent to, and their TTL', async () => {
  const heard = await received(4, 100, (port) => {
    const near = new UdpSocket({ address: address('127.0.0.2'), port: 0 }, { ttl: 255 })
    const far = new UdpSocket({ address: address('127.0.0.3'), port: 0 }, { ttl: 9 })
    for (let i = 0; i < 50; i++) {
      near.send(Buffer.from(`a${i}`), { address: address('127.0.0.1'), port })
      far.send(Buffer.from(`b${i}`), { address: address('127.0.0.4'), port })
    }
    near.close()
    far.close()
  })
  equal(heard.length, 100)
  deepEqual(heard.slice(0, 3), ['a0 127.0.0.2 127.0.0.1 255', 'b0 127.0.0.3 127.0.0.4 9', 'a1 127.0.0.2 127.0.0.1 255'])
  equal(heard[99], 'b49 127.0.0.3 127.0.0.4 9')
})

test('the same over IPv6, and what is longer than a slot is cut', {
  skip: hasFamily(6) ? false : 'needs IPv6',
}, async () => {
  const [heard] = await received(6, 1, (port) => {
    const sender = new UdpSocket({ address: address('::1'), port: 0 }, { ttl: 254 })
    sender.send(new Uint8Array(300).fill(0x78), { address: address('::1'), port })
    sender.close()
  })
  equal(heard, `${'x'.repeat(256)} ::1 ::1 254`)
})
