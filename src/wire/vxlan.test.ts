import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import * as build from './build.ts'
import { codecSuite, faultName, framed, hex } from './codec-suite.ts'
import { checkVxlan, VNI_MAX, VXLAN_FLAG_VNI, vxlan } from './vxlan.ts'

// As scapy draws it.
const sample = hex('08 000000 123456 00')

codecSuite({
  table: vxlan,
  check: checkVxlan,
  sample,
  fields: { flags: VXLAN_FLAG_VNI, reserved1: 0, vni: 0x123456, reserved2: 0 },
  wrong: [['no valid VNI', (frame, at) => vxlan.flags.set(frame, at, 0xf7), 'bad-field']],
})

test('reserved bits are ignored on receipt', () => {
  const frame = framed(hex('ff ffffff 000007 ff'))
  equal(faultName(checkVxlan(frame, 3, frame.byteLength)), 'none')
  equal(vxlan.vni.get(frame, 3), 7)
})

test('a tunnel is drawn around a frame, up to the largest VNI', () => {
  deepEqual(build.vxlan({ vni: 0x123456 }, hex('aabb')), hex('08 000000 123456 00 aabb'))
  equal(vxlan.vni.get(framed(build.vxlan({ vni: VNI_MAX }, hex(''))), 3), 16777215)
})
