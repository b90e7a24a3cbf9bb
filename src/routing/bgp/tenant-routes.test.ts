import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FAMILY } from '../../wire/bgp/family.ts'
import { EngineBed } from './engine-bed.ts'
import type { VrfTargets } from './rib/route-targets.ts'

const ACME = 7
const GLOBEX = 8
const PATH = [65_101, 7]

const held = (bed: EngineBed): Record<string, string> => Object.fromEntries([...bed.held].sort())

/** Link bandwidth of AS 65001, in bytes per second. */
function linkBandwidth(value: number): number[] {
  const view = new DataView(new ArrayBuffer(4))
  view.setFloat32(0, value)
  return [0xc0, 16, 8, 0x40, 4, 0xfd, 0xe9, ...new Uint8Array(view.buffer)]
}

suite('what the control module is told', () => {
  test('is each tenant its own routes, and nobody those of sessions without a tenant', () => {
    const bed = new EngineBed()
    bed.up(1, { vrf: ACME })
    bed.up(2, { vrf: GLOBEX })
    bed.up(3)
    bed.announce(1, '10.0.0.0/8', { path: PATH, nextHop: '192.0.2.2' })
    bed.announce(2, '10.0.0.0/8', { path: PATH, nextHop: '192.0.2.3' })
    bed.announce(3, '10.0.0.0/8', { path: PATH, nextHop: '192.0.2.4' })
    deepEqual(held(bed), { 'acme 10.0.0.0/8': '192.0.2.2 x1', 'globex 10.0.0.0/8': '192.0.2.3 x1' })
  })

  test('begins with a batch that replaces, and says no prefix again whose next hops stay', () => {
    const bed = new EngineBed()
    bed.run()
    deepEqual(
      bed.batches.map(({ replaces }) => replaces),
      [true],
    )
    bed.up(1, { vrf: ACME })
    bed.announce(1, '10.0.0.0/8', { path: PATH, nextHop: '192.0.2.2' })
    bed.announce(1, '10.0.0.0/8', { path: [65_101, 8, 9], nextHop: '192.0.2.2' })
    const rows = bed.batches.map(({ routes4 }) => routes4.lengths.length)
    deepEqual(rows, [0, 1, 0])
  })

  test('is the withdrawal with the session, and everything again when it asks', () => {
    const bed = new EngineBed()
    bed.up(1, { vrf: ACME })
    for (let i = 0; i < 100; i++) bed.announce(1, `10.${i}.0.0/16`, { path: PATH, nextHop: '192.0.2.2' })
    bed.held.clear()
    bed.batches.length = 0
    bed.engine.replay()
    bed.run()
    deepEqual([bed.held.size, bed.batches.length, bed.batches[0]!.replaces], [100, 1, true])
    bed.down(1)
    equal(bed.held.size, 0)
    equal(bed.engine.counts().prefixes, 0, 'no prefix is kept for it')
  })

  test('waits while it has no room, and is then the latest state', () => {
    const bed = new EngineBed()
    bed.up(1, { vrf: ACME })
    bed.hasRoom = false
    bed.announce(1, '10.0.0.0/8', { path: PATH, nextHop: '192.0.2.2' })
    bed.announce(1, '10.0.0.0/8', { path: PATH, nextHop: '192.0.2.9' })
    bed.announce(1, '11.0.0.0/8', { path: PATH, nextHop: '192.0.2.9' })
    bed.withdraw(1, '11.0.0.0/8')
    equal(bed.held.size, 0)
    bed.hasRoom = true
    bed.run()
    deepEqual(held(bed), { 'acme 10.0.0.0/8': '192.0.2.9 x1' })
  })

  test('is all next hops that are equally good, by the bandwidth of their links where each says it', () => {
    const bed = new EngineBed()
    for (const session of [1, 2, 3]) bed.up(session, { vrf: ACME })
    const route = (nextHop: string, more: readonly number[] = []) => ({ path: PATH, nextHop, more })
    bed.announce(1, '10.0.0.0/8', route('192.0.2.2'))
    bed.announce(2, '10.0.0.0/8', route('192.0.2.3'))
    bed.announce(3, '10.0.0.0/8', { path: [...PATH, 8], nextHop: '192.0.2.4' })
    const backup = '192.0.2.4 as backup'
    deepEqual(held(bed), { 'acme 10.0.0.0/8': `192.0.2.2 x1, 192.0.2.3 x1, ${backup}` })
    bed.announce(1, '10.0.0.0/8', route('192.0.2.2', linkBandwidth(1e9)))
    deepEqual(held(bed), { 'acme 10.0.0.0/8': `192.0.2.2 x1, 192.0.2.3 x1, ${backup}` })
    bed.announce(2, '10.0.0.0/8', route('192.0.2.3', linkBandwidth(2.5e8)))
    deepEqual(held(bed), { 'acme 10.0.0.0/8': `192.0.2.2 x256, 192.0.2.3 x64, ${backup}` })
    bed.down(1)
    deepEqual(held(bed), { 'acme 10.0.0.0/8': `192.0.2.3 x1, ${backup}` })
    bed.down(3)
    deepEqual(held(bed), { 'acme 10.0.0.0/8': '192.0.2.3 x1' })
  })

  test('is the next best path as the backup, by another next hop, and of those that may be used', () => {
    const bed = new EngineBed()
    for (const session of [1, 2, 3]) bed.up(session, { vrf: ACME })
    const longer = (more: number) => [...PATH, ...new Array<number>(more).fill(8)]
    bed.announce(1, '10.0.0.0/8', { path: PATH, nextHop: '192.0.2.2' })
    bed.announce(2, '10.0.0.0/8', { path: longer(1), nextHop: '192.0.2.2' })
    deepEqual(held(bed), { 'acme 10.0.0.0/8': '192.0.2.2 x1' })
    bed.announce(3, '10.0.0.0/8', { path: longer(2), nextHop: '192.0.2.4' })
    deepEqual(held(bed), { 'acme 10.0.0.0/8': '192.0.2.2 x1, 192.0.2.4 as backup' })
    // Our own AS in the path: nobody may use it (RFC 4271 section 9.1.2).
    bed.announce(3, '10.0.0.0/8', { path: [65_001, 7], nextHop: '192.0.2.4' })
    deepEqual(held(bed), { 'acme 10.0.0.0/8': '192.0.2.2 x1' })
    bed.announce(2, '10.0.0.0/8', { path: longer(1), nextHop: '192.0.2.3' })
    deepEqual(held(bed), { 'acme 10.0.0.0/8': '192.0.2.2 x1, 192.0.2.3 as backup' })
    bed.down(1)
    deepEqual(held(bed), { 'acme 10.0.0.0/8': '192.0.2.3 x1' })
  })
})

suite('routes of our own', () => {
  test('are told to the peers of their tenant, with our address as the next hop', () => {
    const bed = new EngineBed()
    bed.up(1, { vrf: ACME, local: '192.168.1.1' })
    bed.up(2, { vrf: ACME, internal: true, local: '192.168.2.1' })
    bed.up(3, { vrf: GLOBEX })
    bed.originate('acme', ['172.16.0.0/24', '2001:db8::/64'])
    deepEqual([...bed.told.get(1)!.keys()], ['172.16.0.0/24'])
    match(bed.told.get(1)!.get('172.16.0.0/24')!, /AS_PATH 65001; NEXT_HOP 192\.168\.1\.1/)
    match(bed.told.get(2)!.get('172.16.0.0/24')!, /NEXT_HOP 192\.168\.2\.1.*LOCAL_PREF 100/)
    equal(bed.told.get(3)!.size, 0)
    equal(bed.held.size, 0, 'the control module knows them')
    bed.originate('acme', ['172.16.1.0/24'], [], true)
    deepEqual([...bed.told.get(1)!.keys()], ['172.16.1.0/24'])
    bed.originate('acme', [], ['172.16.1.0/24'])
    equal(bed.told.get(1)!.size, 0)
  })

  test('those of another site stand behind what any peer here sends, and are replaced without ours', () => {
    const bed = new EngineBed()
    bed.up(1, { vrf: ACME, local: '192.168.1.1' })
    bed.up(2, { vrf: ACME, local: '192.168.2.1' })
    bed.originate('acme', ['172.16.0.0/24'])
    bed.originate('acme', ['10.0.0.0/8', '11.0.0.0/8'], [], true, 'site-west')
    bed.originate('acme', ['12.0.0.0/8'], [], true, 'site-north')
    const prefixes = (session: number) => [...bed.told.get(session)!.keys()].sort()
    deepEqual(prefixes(1), ['10.0.0.0/8', '11.0.0.0/8', '12.0.0.0/8', '172.16.0.0/24'])
    match(bed.told.get(1)!.get('10.0.0.0/8')!, /AS_PATH 65001; NEXT_HOP 192\.168\.1\.1/)
    equal(bed.held.size, 0, 'the control module knows them')
    bed.announce(2, '10.0.0.0/8', { path: [...PATH, 8, 9], nextHop: '192.0.2.2' })
    deepEqual(held(bed), { 'acme 10.0.0.0/8': '192.0.2.2 x1' })
    match(bed.told.get(1)!.get('10.0.0.0/8')!, /AS_PATH 65001 .* 8 9;/)
    bed.withdraw(2, '10.0.0.0/8')
    deepEqual(held(bed), {})
    match(bed.told.get(1)!.get('10.0.0.0/8')!, /AS_PATH 65001;/)
    bed.originate('acme', ['11.0.0.0/8'], [], true, 'site-west')
    deepEqual(prefixes(1), ['11.0.0.0/8', '12.0.0.0/8', '172.16.0.0/24'])
  })
})

const words = (low: number) => ({ high: 0x0002_fde9, low })
const TARGET = (low: number): number[] => [
  0,
  2,
  0xfd,
  0xe9,
  low >>> 24,
  (low >>> 16) & 255,
  (low >>> 8) & 255,
  low & 255,
]
const vrf = (number: number, imports: readonly number[], exports: readonly number[]): VrfTargets => ({
  vrf: number,
  distinguisher: { high: 0x0000_fde9, low: number },
  imports: imports.map(words),
  exports: exports.map(words),
  label: 1000 + number,
})
const VPN = [0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfe, 0x4e]
const withTargets = (...targets: number[]): number[] => [
  ...VPN,
  0xc0,
  16,
  8 * targets.length,
  ...targets.flatMap(TARGET),
]
const PE = { internal: true, families: [FAMILY.ipv4Unicast, FAMILY.vpnv4] }
const behind = (low: number, label = 16) => ({ distinguisher: { high: 0x0000_fe4e, low }, label })

suite('VPN routes', () => {
  test('enter the VRFs that import one of their targets, once each, and leave them with it', () => {
    const bed = new EngineBed({ targets: [vrf(ACME, [1, 2], []), vrf(GLOBEX, [2], [])] })
    bed.up(1, PE)
    bed.up(2, { vrf: ACME })
    bed.up(3, { vrf: GLOBEX })
    bed.vpn(1, '10.1.0.0/16', behind(1), withTargets(1, 2))
    bed.vpn(1, '10.2.0.0/16', behind(1), withTargets(1))
    bed.vpn(1, '10.3.0.0/16', behind(1), withTargets(9))
    deepEqual([...bed.told.get(2)!.keys()].sort(), ['10.1.0.0/16', '10.2.0.0/16'])
    deepEqual([...bed.told.get(3)!.keys()], ['10.1.0.0/16'])
    match(bed.told.get(2)!.get('10.1.0.0/16')!, /NEXT_HOP 192\.0\.2\.1/)
    bed.vpn(1, '10.1.0.0/16', behind(1), withTargets(2))
    deepEqual([...bed.told.get(2)!.keys()].sort(), ['10.1.0.0/16', '10.2.0.0/16'])
    bed.vpn(1, '10.1.0.0/16', behind(1), withTargets(1))
    equal(bed.told.get(3)!.size, 0)
    bed.vpn(1, '10.2.0.0/16', behind(1))
    deepEqual([...bed.told.get(2)!.keys()], ['10.1.0.0/16'])
    bed.down(1)
    equal(bed.told.get(2)!.size, 0)
    equal(bed.engine.counts().prefixes, 0)
    equal(bed.engine.counts().attributeSets, 0)
  })

  test('of one prefix behind two route distinguishers are two paths, of which the better is told', () => {
    const bed = new EngineBed({ targets: [vrf(ACME, [1], [])] })
    bed.up(1, PE)
    bed.up(2, { vrf: ACME })
    const longer = [0x40, 1, 1, 0, 0x40, 2, 10, 2, 2, 0, 0, 0xfe, 0x4e, 0, 0, 0, 5, 0xc0, 16, 8, ...TARGET(1)]
    bed.vpn(1, '10.1.0.0/16', behind(1), longer)
    match(bed.told.get(2)!.get('10.1.0.0/16')!, /AS_PATH 65001 65102 5/)
    bed.vpn(1, '10.1.0.0/16', behind(2), withTargets(1))
    match(bed.told.get(2)!.get('10.1.0.0/16')!, /AS_PATH 65001 65102;/)
    bed.vpn(1, '10.1.0.0/16', behind(2))
    match(bed.told.get(2)!.get('10.1.0.0/16')!, /AS_PATH 65001 65102 5/)
  })

  test('of ours go out behind the distinguisher, with targets, label and our next hop, and into VRFs that want them', () => {
    const bed = new EngineBed({ targets: [vrf(ACME, [], [1]), vrf(GLOBEX, [1], [5])] })
    bed.up(1, PE)
    bed.up(2, { vrf: ACME })
    bed.up(3, { vrf: GLOBEX })
    bed.announce(2, '10.9.0.0/16', { path: [65_102], nextHop: '192.0.2.3', communities: [0xfde9_0007] })
    const told = bed.told.get(1)!.get('65001:7 10.9.0.0/16')!
    match(told, /vpnv4 via .*192\.0\.2\.1/)
    match(told, /65001:7.*65001:1/)
    match(told, / label 1007$/)
    deepEqual([...bed.told.get(3)!.keys()], ['10.9.0.0/16'])
    ok(!bed.told.get(1)!.has('65001:8 10.9.0.0/16'), 'what came from the VPN does not go back')
    bed.withdraw(2, '10.9.0.0/16')
    equal(bed.told.get(1)!.size + bed.told.get(3)!.size, 0)
    bed.down(2)
    equal(bed.engine.counts().attributeSets, 0)
  })

  test('of a customer go where we say, whatever targets it says itself', () => {
    const bed = new EngineBed({ targets: [vrf(ACME, [], [1]), vrf(GLOBEX, [9], [])] })
    bed.up(1, PE)
    bed.up(2, { vrf: ACME })
    bed.up(3, { vrf: GLOBEX })
    bed.announce(2, '10.9.0.0/16', { path: [65_102], nextHop: '192.0.2.3', more: [0xc0, 16, 8, ...TARGET(9)] })
    equal(bed.told.get(3)!.size, 0)
    match(bed.told.get(1)!.get('65001:7 10.9.0.0/16')!, /rt:65001:1/)
    ok(!bed.told.get(1)!.get('65001:7 10.9.0.0/16')!.includes('rt:65001:9'))
  })

  test('are told again when nothing but the label is another', () => {
    const bed = new EngineBed()
    bed.up(1, { ...PE, reflectorClient: true })
    bed.up(2, { ...PE, reflectorClient: true })
    bed.vpn(1, '10.1.0.0/16', behind(1, 100), withTargets(1))
    match(bed.told.get(2)!.get('65102:1 10.1.0.0/16')!, / label 100$/)
    bed.vpn(1, '10.1.0.0/16', behind(1, 200), withTargets(1))
    match(bed.told.get(2)!.get('65102:1 10.1.0.0/16')!, / label 200$/)
    match(bed.told.get(2)!.get('65102:1 10.1.0.0/16')!, /198\.51\.100\.1/)
  })
})
