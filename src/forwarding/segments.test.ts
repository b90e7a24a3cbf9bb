import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { ipv4Bytes, parseAddress, parseMac } from '../base/address.ts'
import { Random } from '../base/random.ts'
import { createQsbrMemory, QsbrWriter } from '../dataplane/qsbr.ts'
import { CarriedKind, createSegmentMemory, Segments, SegmentWriter, SenderRole, TunnelKind } from './segments.ts'

const row = { tenant: 2, mac: parseMac('02:67:68:00:00:01')! }

function table(entries = 64) {
  const memory = createSegmentMemory({ entries, segments: 8 })
  const qsbr = new QsbrWriter(createQsbrMemory(1))
  const reader = new Segments(memory)
  const find = (kind: number, id: number, remote: Uint8Array) =>
    reader.find(kind, id, new DataView(remote.buffer, remote.byteOffset), 0, remote.length)
  return { writer: new SegmentWriter(memory, qsbr), reader, find, qsbr }
}

test('a sender is found by tunnel, number and address, and by nothing less', () => {
  const { writer, reader, find } = table()
  const segment = writer.allocate(row)!
  const host = parseAddress('10.0.2.1')!
  equal(writer.admit(TunnelKind.gre, 7, host, segment, 42), undefined)
  const entry = find(TunnelKind.gre, 7, host)
  equal(reader.segmentOf(entry), segment)
  equal(reader.replySlotOf(entry), 42)
  equal(find(TunnelKind.vxlan, 7, host), -1)
  equal(find(TunnelKind.gre, 8, host), -1)
  equal(find(TunnelKind.gre, 7, parseAddress('10.0.2.2')!), -1)
  equal(find(TunnelKind.gre, 7, parseAddress('a00:201::')!), -1, 'an IPv6 address of the same bytes and zeros')
  ok(reader.isKnown(TunnelKind.gre, 7))
  ok(!reader.isKnown(TunnelKind.vxlan, 7))
})

test('a key is known for as long as somebody may send under it', () => {
  const { writer, reader } = table()
  const [first, second] = [parseAddress('10.0.2.1')!, parseAddress('fd00::2')!]
  equal(writer.admit(TunnelKind.gre, 0xffffffff, first, 1, 0), undefined)
  equal(writer.admit(TunnelKind.gre, 0xffffffff, second, 1, 0), undefined)
  writer.remove(TunnelKind.gre, 0xffffffff, first)
  ok(reader.isKnown(TunnelKind.gre, 0xffffffff))
  writer.remove(TunnelKind.gre, 0xffffffff, second)
  ok(!reader.isKnown(TunnelKind.gre, 0xffffffff))
})

test('nobody sends for two segments under one number', () => {
  const { writer } = table()
  const host = parseAddress('10.0.2.1')!
  equal(writer.admit(TunnelKind.vxlan, 7, host, 1, 0), undefined)
  notEqual(writer.admit(TunnelKind.vxlan, 7, host, 2, 0), undefined)
})

test('the table says that it is full, and after removals takes as many again', () => {
  const { writer, qsbr } = table(64)
  for (let round = 0; round < 20; round++) {
    let admitted = 0
    while (writer.admit(TunnelKind.gre, 7, ipv4Bytes(round * 1000 + admitted), 1, 0) === undefined) admitted++
    equal(admitted, 46, `round ${round}`)
    for (let i = 0; i < admitted; i++) writer.remove(TunnelKind.gre, 7, ipv4Bytes(round * 1000 + i))
    qsbr.reclaim()
    qsbr.reclaim()
  }
})

test('any amount of coming and going leaves room and short probes', () => {
  const { writer, find, qsbr } = table(1024)
  const held: number[] = []
  for (let address = 0; address < 50_000; address++) {
    equal(writer.admit(TunnelKind.gre, 7, ipv4Bytes(address), 1, address), undefined, `the ${address}th`)
    held.push(address)
    if (held.length > 300) writer.remove(TunnelKind.gre, 7, ipv4Bytes(held.shift()!))
    if (address % 16 === 0) qsbr.reclaim()
  }
  for (const address of held) ok(find(TunnelKind.gre, 7, ipv4Bytes(address)) >= 0)
  equal(find(TunnelKind.gre, 7, ipv4Bytes(60_000)), -1)
})

test('it agrees with a map through thousands of random changes', () => {
  const { writer, reader, find, qsbr } = table(256)
  const random = new Random(5)
  const model = new Map<number, number>()
  for (let i = 0; i < 20_000; i++) {
    const address = random.below(300)
    const held = model.get(address)
    if (held !== undefined) {
      writer.remove(TunnelKind.gre, 9, ipv4Bytes(address))
      model.delete(address)
    } else if (model.size < 150) {
      const slot = random.below(1000)
      equal(writer.admit(TunnelKind.gre, 9, ipv4Bytes(address), 1, slot), undefined)
      model.set(address, slot)
    }
    if (random.chance(0.1)) qsbr.reclaim()
    const probe = random.below(300)
    const entry = find(TunnelKind.gre, 9, ipv4Bytes(probe))
    equal(entry < 0 ? undefined : reader.replySlotOf(entry), model.get(probe))
  }
})

test('a session is found by segment and neighbour, else by the segment alone, and moves with one store', () => {
  const { writer, reader, qsbr } = table()
  const [first, second] = [writer.allocate(row)!, writer.allocate(row)!]
  const peer = parseAddress('192.168.1.2')!
  const slotOf = (segment: number, address: string) => {
    const bytes = parseAddress(address)!
    return reader.speakerSlot(segment, new DataView(bytes.buffer, bytes.byteOffset), 0, bytes.length)
  }
  equal(writer.setCarried(CarriedKind.session, first, peer, 7), undefined)
  equal(slotOf(first, '192.168.1.2'), 7)
  equal(slotOf(first, '192.168.1.3'), 0)
  equal(slotOf(second, '192.168.1.2'), 0)
  equal(writer.setCarried(CarriedKind.session, first, peer, 8), undefined)
  equal(slotOf(first, '192.168.1.2'), 8)
  equal(writer.setCarried(CarriedKind.session, first, undefined, 9), undefined)
  equal(slotOf(first, 'fd00::3'), 9)
  writer.removeCarried(CarriedKind.session, first, peer)
  equal(slotOf(first, '192.168.1.2'), 9)
  // What is probed is another matter.
  equal(writer.setCarried(CarriedKind.probe, first, peer, 10), undefined)
  const probeOf = (segment: number): number => reader.probeSlot(segment, new DataView(peer.buffer), peer.byteOffset, 4)
  deepEqual([probeOf(first), probeOf(second), slotOf(first, '192.168.1.2')], [10, 0, 9])
  writer.removeCarried(CarriedKind.probe, first, peer)
  equal(probeOf(first), 0)
  writer.release(first)
  qsbr.reclaim()
  equal(slotOf(first, 'fd00::3'), 0)
})

test('a routing node is a sender that is told apart', () => {
  const { writer, reader, find } = table()
  const [edge, speaker] = [parseAddress('10.0.0.1')!, parseAddress('10.0.3.1')!]
  equal(writer.admit(TunnelKind.vxlan, 7, edge, 1, 2), undefined)
  equal(writer.admit(TunnelKind.vxlan, 7, speaker, 1, 3, SenderRole.speaker), undefined)
  equal(reader.roleOf(find(TunnelKind.vxlan, 7, edge)), SenderRole.remote)
  equal(reader.roleOf(find(TunnelKind.vxlan, 7, speaker)), SenderRole.speaker)
})
