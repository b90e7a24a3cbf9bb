import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { ARP_OPERATION, arp, checkArp } from './arp.ts'
import { arpReply, arpRequest } from './build.ts'
import { codecSuite, hex } from './codec-suite.ts'

// Who has 10.0.0.2? As scapy draws it.
const request = hex(`
  0001 0800 06 04 0001
  02 00 00 00 00 01  0a 00 00 01
  00 00 00 00 00 00  0a 00 00 02`)

codecSuite({
  table: arp,
  check: checkArp,
  sample: request,
  fields: {
    hardwareType: 1,
    protocolType: 0x0800,
    hardwareLength: 6,
    protocolLength: 4,
    operation: ARP_OPERATION.request,
    senderMac: 0x020000000001,
    senderIp: 0x0a000001,
    targetMac: 0,
    targetIp: 0x0a000002,
  },
  wrong: [
    ['hardware that is not Ethernet', (frame, at) => arp.hardwareType.set(frame, at, 6), 'unknown-protocol'],
    ['a protocol that is not IPv4', (frame, at) => arp.protocolType.set(frame, at, 0x86dd), 'unknown-protocol'],
    ['a hardware length of 8', (frame, at) => arp.hardwareLength.set(frame, at, 8), 'bad-header-length'],
    ['a protocol length of 16', (frame, at) => arp.protocolLength.set(frame, at, 16), 'bad-header-length'],
    ['operation 0', (frame, at) => arp.operation.set(frame, at, 0), 'bad-field'],
    ['operation 3, reverse ARP', (frame, at) => arp.operation.set(frame, at, 3), 'bad-field'],
    ['a group address that sends', (frame, at) => arp.senderMac.set(frame, at, 0xffffffffffff), 'bad-field'],
  ],
})

test('a request and its reply are drawn', () => {
  deepEqual(arpRequest({ senderIp: '10.0.0.1', targetIp: '10.0.0.2' }).bytes, request)
  deepEqual(
    arpReply({
      senderMac: '02:00:00:00:00:02',
      senderIp: '10.0.0.2',
      targetMac: '02:00:00:00:00:01',
      targetIp: '10.0.0.1',
    }).bytes,
    hex('0001 0800 06 04 0002 020000000002 0a000002 020000000001 0a000001'),
  )
})
