import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatAddress } from '../../base/address.ts'
import * as build from '../../wire/build.ts'
import { TCP_FLAG } from '../../wire/tcp.ts'
import { FIRST_DYNAMIC, FIRST_NAMED } from './inner-address.ts'
import { NAMED_MAX } from './peer-memory.ts'
import { PeerNumbers } from './peer-numbers.ts'
import { fromPeer, INNER, RelayBed } from './relay-bed.ts'

const ONE = 'name: one, tenant: acme, address: 192.168.1.2'
const TWO = 'name: two, tenant: globex, address: 192.168.1.2'
const THREE = 'name: three, tenant: acme, address: 192.168.1.3'
const RANGE = 'name: others, tenant: acme, prefix: 192.168.1.128/25'
const { ack, syn } = TCP_FLAG
const LINGER_ms = 3000

/** As whom the kernel knows the sender; undefined when the packet is refused. */
function senderOf([packet]: Uint8Array[]): string | undefined {
  return packet && formatAddress(packet.subarray(12, 16))
}

/** How many frames leave for a segment to the peer. */
function framesTo(bed: RelayBed, number: number): number {
  const segment = build.tcp({ sourcePort: 179, destinationPort: 33_000, flags: ack })
  return bed.packet(build.ipv4({ source: INNER, destination: `240.0.0.${number}` }, segment).bytes).length
}

suite('another site file', () => {
  test('leaves the peers that are in both as they were, lets new ones in and forgets those that are gone', () => {
    const bed = new RelayBed([ONE, TWO])
    bed.introduce(7)
    equal(senderOf(bed.frame(8, fromPeer({ flags: ack }))), '240.0.0.3')
    bed.take([THREE, TWO])
    equal(senderOf(bed.frame(8, fromPeer({ flags: ack }))), '240.0.0.3')
    equal(senderOf(bed.frame(7, fromPeer({ flags: ack }, { source: '192.168.1.3' }))), '240.0.0.4')
    // The session that is over still takes leave.
    equal(senderOf(bed.frame(7, fromPeer({ flags: ack }))), '240.0.0.2')
    equal(framesTo(bed, 2), 1)
    bed.clock.advance(LINGER_ms)
    equal(senderOf(bed.frame(7, fromPeer({ flags: ack }))), undefined)
    equal(bed.refused('stranger'), 1)
    equal(framesTo(bed, 2), 0)
    equal(senderOf(bed.frame(8, fromPeer({ flags: ack }))), '240.0.0.3')
  })

  test('makes another peer of one that is told apart by other settings', () => {
    const bed = new RelayBed([ONE, TWO])
    bed.take([`${ONE}, password: secret`, TWO])
    equal(senderOf(bed.frame(7, fromPeer({ flags: ack }))), undefined)
    equal(bed.refused('unsigned'), 1)
  })

  test('takes the last tenant of a segment with it, whoever is asked for there, and brings one back', () => {
    const bed = new RelayBed([ONE, TWO])
    bed.take([TWO])
    bed.clock.advance(LINGER_ms - 500)
    equal(framesTo(bed, 2), 1)
    bed.clock.advance(500)
    bed.clock.advance(LINGER_ms)
    deepEqual(bed.sent(), [])
    bed.frame(7, fromPeer({ flags: ack }))
    equal(bed.refused('unknown-segment'), 1)
    bed.take([ONE, TWO])
    equal(senderOf(bed.frame(7, fromPeer({ flags: ack }))), '240.0.0.4')
  })

  test('a prefix that is gone makes strangers of who came from it', () => {
    const bed = new RelayBed([TWO, RANGE])
    const source = '192.168.1.200'
    const slots: string[] = []
    const connect = (): string | undefined => senderOf(bed.frame(7, fromPeer({ flags: syn }, { source })))
    slots.push(connect()!)
    bed.take([ONE, TWO])
    bed.clock.advance(LINGER_ms)
    equal(connect(), undefined)
    equal(bed.refused('stranger-connects'), 1)
    bed.take([TWO, RANGE])
    deepEqual(connect() !== undefined, true)
    equal(bed.memory.claim(FIRST_DYNAMIC + 1)?.way, 3)
  })
})

suite('numbers of peers', () => {
  const named = (...keys: string[]) => keys.map((key) => ({ key, isPrefix: false }))

  test('stay with whom they were given to, whatever comes before', () => {
    const numbers = new PeerNumbers()
    const [a, b] = numbers.assign(named('a', 'b'))
    const [c, b2, a2] = numbers.assign(named('c', 'b', 'a'))
    deepEqual([a2, b2], [a, b])
    deepEqual(c, { index: 2, number: FIRST_NAMED + 2 })
    deepEqual(numbers.assign([{ key: 'range', isPrefix: true }]), [{ index: 3, number: 0 }])
  })

  test('of peers that are gone come back last of all, and never while somebody has them', () => {
    const numbers = new PeerNumbers()
    const [kept] = numbers.assign(named('kept'))
    for (let i = 1; i < NAMED_MAX; i++) {
      const [, other] = numbers.assign(named('kept', `${i}`))
      equal(other!.number, FIRST_NAMED + i)
    }
    const [still, first] = numbers.assign(named('kept', 'first again'))
    deepEqual(still, kept)
    equal(first!.number, FIRST_NAMED + 1)
  })
})
