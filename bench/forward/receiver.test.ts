import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { interfaceIndex } from '../../src/linux/libc.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { ScratchNetwork, unprivileged } from '../../src/linux/scratch.ts'
import { PacketSocket } from '../../src/linux/socket.ts'
import { ethernet, ipv4, udp } from '../../src/wire/build.ts'
import { Receiver } from './receiver.ts'

const SENT_AT = 14 + 20 + 8

/** An IPv4 packet that says to have been sent so long ago. */
function aged(age_us: number): Uint8Array {
  const frame = ethernet({}, ipv4({ source: '10.0.0.1', destination: '10.0.0.2' }, udp({}, new Uint8Array(22))))
  const sent_ns = process.hrtime.bigint() - BigInt(Math.round(age_us * 1000))
  new DataView(frame.buffer).setUint32(SENT_AT, Number(sent_ns & 0xffff_ffffn), true)
  return frame
}

test('the receiver counts packets and knows how long each took, in every tier', { skip: unprivileged }, () => {
  using network = new ScratchNetwork()
  const [a, b] = [network.namespace(), network.namespace()]
  network.wire({ namespace: a, name: 'from' }, { namespace: b, name: 'to' })
  const socket = withNamespace(a, () => new PacketSocket('from'))
  const receiver = withNamespace(b, () => new Receiver(interfaceIndex('to'), SENT_AT))
  for (const age_us of [100, 5000, 400_000, 2_000_000]) {
    const before = receiver.snapshot()
    receiver.forgetLongest()
    for (let i = 0; i < 100; i++) socket.send(aged(age_us))
    socket.send(ethernet({ etherType: 0x88b5 }, new Uint8Array(60))) // no packet of the generator's
    const { min_us, mean_us, p50_us, p99_us, max_us } = receiver.latencySince(before)!
    equal(receiver.packets32 - before.packets, 100)
    const widest_us = age_us < 262 ? 0.064 : age_us < 16_777 ? 4.096 : 262.144
    if (age_us < 1_000_000) ok(min_us >= age_us - widest_us, `${min_us} us of ${age_us}`)
    ok(mean_us >= age_us && max_us >= mean_us && p99_us >= p50_us && p50_us >= min_us)
    // On their way at most for as long as a busy machine takes to send a hundred packets.
    ok(max_us < age_us + 100_000, `${max_us} us of ${age_us}`)
  }
  receiver.close()
  socket.close()
})
