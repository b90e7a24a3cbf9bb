import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from './build.ts'
import { codecSuite, framed, hex } from './codec-suite.ts'
import { checkEthernet, ETHERTYPE, ethernet, etherTypeAt, isGroupAddressed, vlanId, vlanTag } from './ethernet.ts'
import { Fault } from './fault.ts'

codecSuite({
  table: ethernet,
  check: checkEthernet,
  sample: hex('ff ff ff ff ff ff  02 00 00 00 00 01  08 06'),
  fields: { destination: 0xffffffffffff, source: 0x020000000001, etherType: ETHERTYPE.arp },
  wrong: [['a tag with nothing behind it', (frame, at) => frame.setUint16(at + 12, ETHERTYPE.vlan), 'truncated']],
})

// Two tags: 100 in 88a8, then 7 in 8100, then IPv4.
const doubleTagged = hex('02 00 00 00 00 02  02 00 00 00 00 01  88 a8 00 64  81 00 00 07  08 00')

codecSuite({
  table: vlanTag,
  check: (frame, at, end) => checkEthernet(frame, at - 12, end),
  sample: doubleTagged,
  at: 12,
  fields: { tagProtocol: ETHERTYPE.serviceVlan, control: 100 },
  wrong: [],
})

test('the EtherType is found behind no, one and two tags, a third stays what it is', () => {
  const cases: [tags: string, etherType: number, vlan: number][] = [
    ['', ETHERTYPE.ipv6, 0],
    ['8100 0007', ETHERTYPE.ipv6, 7],
    ['8100 e007', ETHERTYPE.ipv6, 7],
    ['8100 e000', ETHERTYPE.ipv6, 0],
    ['88a8 0fff 8100 0007', ETHERTYPE.ipv6, 4095],
    ['88a8 0001 8100 0002 8100 0003', ETHERTYPE.vlan, 1],
  ]
  for (const [tags, etherType, vlan] of cases) {
    const frame = framed(hex(`020000000002 020000000001 ${tags} 86dd`))
    equal(checkEthernet(frame, 3, frame.byteLength), Fault.none)
    equal(frame.getUint16(etherTypeAt(frame, 3)), etherType, tags)
    equal(vlanId(frame, 3), vlan, tags)
  }
})

test('broadcast and multicast have the group bit, unicast has not', () => {
  const group = (mac: string): boolean => isGroupAddressed(framed(hex(mac)), 3)
  deepEqual(['ffffffffffff', '01005e000001', '3333ff000002', '020000000001', 'fe0000000001'].map(group), [
    true,
    true,
    true,
    false,
    false,
  ])
})

test('a frame is drawn with both tags', () => {
  deepEqual(build.ethernet({ serviceVlan: 100, vlan: 7, etherType: ETHERTYPE.ipv4 }, hex('')), doubleTagged)
})
