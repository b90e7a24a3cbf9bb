import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { codecSuite, hex } from './codec-suite.ts'
import { checkProbe, probePacket, probeReceived_us, setProbeReceived_us } from './probe.ts'

codecSuite({
  table: probePacket,
  check: checkProbe,
  sample: hex('47485052 03 00 0007 00000102 0000001a 0000000b'),
  fields: {
    ...{ magic: 0x47485052, flags: 3, reserved: 0, train: 7, sequence: 258 },
    ...{ receivedHigh: 26, receivedLow: 11 },
  },
  wrong: [['another magic number', (frame, at) => probePacket.magic.set(frame, at, 1), 'bad-field']],
})

test('the time of receipt has more than 32 bits', () => {
  const frame = new DataView(new ArrayBuffer(probePacket.BYTES))
  setProbeReceived_us(frame, 0, 2 ** 40 + 5)
  equal(probeReceived_us(frame, 0), 2 ** 40 + 5)
})
