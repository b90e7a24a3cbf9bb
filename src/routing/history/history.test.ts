import { deepEqual, equal, ok } from 'node:assert/strict'
import fs, { readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { FAMILY, familyBit } from '../../wire/bgp/family.ts'
import { CEASE, ceaseWithText, HOLD_TIMER_EXPIRED, notification } from '../../wire/bgp/notification.ts'
import { downByHoldTime, downByPeer } from '../bgp/session/down.ts'
import { Diary, START_us, updateOf } from './diary.ts'
import { SEGMENT_BYTES_MAX, SegmentWriter, segmentsIn } from './segments.ts'

const TRANSIT = ['transit', '10.0.0.2'] as const
const ACME = ['acme-dc', '10.0.0.2'] as const
const NOTE_BEGINS = '{'.charCodeAt(0)
const silence = downByHoldTime(90_000, notification(HOLD_TIMER_EXPIRED, 0))

suite('the history of a prefix', () => {
  test('tells every update that changed it, and no other', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    diary.updates(
      ...TRANSIT,
      { announce: ['203.0.113.0/24', '198.51.100.0/24'], path: [65_002, 7] },
      { announce: ['203.0.113.0/25', '203.0.112.0/23'] },
    )
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'], path: [65_002, 8, 9], nextHop: '10.0.0.9' })
    diary.updates(...TRANSIT, { withdraw: ['198.51.100.0/24'] })
    diary.updates(...TRANSIT, { withdraw: ['203.0.113.0/24'] })
    deepEqual(diary.lines('203.0.113.0/24'), [
      '2 transit announced 65002 7 via 10.0.0.2',
      '3 transit announced 65002 8 9 via 10.0.0.9',
      '5 transit withdrawn',
    ])
    deepEqual(diary.lines('203.0.113.0/26'), [])
  })

  test('ends with the session, for the reason that it had, and only for who held a route', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    diary.up(...ACME)
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    diary.down(...ACME, silence)
    diary.down(...TRANSIT, silence)
    deepEqual(diary.lines('203.0.113.0/24'), [
      '3 transit announced 65002 via 10.0.0.2',
      '5 transit session down nothing came from the peer for 90 s',
    ])
  })

  test('knows tenants with the same addresses apart', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    diary.up(...ACME, { remoteAs: 65_100 })
    diary.updates(...ACME, { announce: ['10.1.0.0/16'], path: [65_100] })
    deepEqual(
      diary.of('10.1.0.0/16').events.map(({ peer }) => peer),
      [{ name: 'acme-dc', remote: '10.0.0.2', tenant: 'acme' }],
    )
  })

  test('of IPv6, of several paths and of AS numbers of two octets is told alike', () => {
    using diary = new Diary()
    diary.up('transit', '2001:db8::2')
    diary.updates('transit', '2001:db8::2', { announce: ['2001:db8:1::/48'] }, { withdraw: ['2001:db8:1::/48'] })
    deepEqual(diary.lines('2001:db8:1::/48'), ['2 transit announced 65002 via 2001:db8::2', '2 transit withdrawn'])
    diary.up(...TRANSIT, { addPathReceive: 1 })
    diary.updates(...TRANSIT, { announce: ['192.0.2.0/24'], pathId: 7 }, { announce: ['192.0.2.0/24'], pathId: 8 })
    // Of a family for which no identifiers were agreed on, over the same session.
    diary.updates(...TRANSIT, { announce: ['2001:db8:2::/48'] })
    diary.updates(...TRANSIT, { withdraw: ['192.0.2.0/24'], pathId: 7 })
    deepEqual(diary.lines('192.0.2.0/24'), [
      '4 transit path 7 announced 65002 via 10.0.0.2',
      '4 transit path 8 announced 65002 via 10.0.0.2',
      '6 transit path 7 withdrawn',
    ])
    deepEqual(diary.lines('2001:db8:2::/48'), ['5 transit announced 65002 via 2001:db8::2'])
    diary.up('old', '10.0.0.3', { as4: false, remoteAs: 65_003 })
    diary.updates('old', '10.0.0.3', { announce: ['192.0.3.0/24'], path: [65_003, 7], as2: true })
    deepEqual(diary.lines('192.0.3.0/24'), ['8 old announced 65003 7 via 10.0.0.2'])
  })

  test('ends at the time that is asked for', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    const then_us = diary.now_us
    diary.updates(...TRANSIT, { withdraw: ['203.0.113.0/24'] })
    deepEqual(diary.lines('203.0.113.0/24', then_us), ['2 transit announced 65002 via 10.0.0.2'])
    deepEqual(diary.lines('203.0.113.0/24', then_us - 1), [])
  })

  test('goes on behind what a clock that was ahead has written', () => {
    using diary = new Diary()
    diary.now_us += 3600e6
    diary.up(...TRANSIT)
    diary.updates(...TRANSIT, { withdraw: ['203.0.113.0/24'] })
    diary.now_us = START_us
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    deepEqual(diary.lines('203.0.113.0/24', diary.now_us), ['1 transit announced 65002 via 10.0.0.2'])
  })

  test('says where something was lost', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    diary.gap(4)
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    const { gaps } = diary.of('203.0.113.0/24')
    deepEqual(
      gaps.map(({ chunks, bytes, at_us }) => [chunks, bytes, at_us - START_us]),
      [[4, 4000, 1_000_001]],
    )
  })

  test('takes a route whose attributes are malformed for withdrawn, as the tables do', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    const broken = updateOf({ announce: ['203.0.113.0/24'] })
    // An ORIGIN that there is none.
    broken[19 + 4 + 3] = 9
    diary.updates(...TRANSIT, broken)
    deepEqual(diary.lines('203.0.113.0/24'), ['2 transit withdrawn its attributes are malformed (RFC 7606)'])
  })

  test('judges routes by what the session had agreed on, as the tables do, in later segments too', () => {
    using diary = new Diary()
    diary.up(...TRANSIT, { families: familyBit(FAMILY.ipv4Unicast) }, { enforceFirstAs: true })
    for (let part = 0; part < 2; part++) {
      diary.updates(
        ...TRANSIT,
        { announce: ['2001:db8:1::/48'] },
        { announce: ['203.0.113.0/24'], path: [65_002, 65_001, 7] },
        { announce: ['203.0.113.0/24'], path: [65_009, 7] },
      )
      diary.recorder.abandon()
    }
    diary.up(...ACME, { remoteAs: 65_100 }, { allowAsIn: 1 })
    diary.updates(
      ...ACME,
      { announce: ['203.0.113.0/24'], path: [65_100, 65_001] },
      { announce: ['203.0.113.0/24'], path: [65_009] },
    )
    const loop = 'rejected 65002 65001 7 via 10.0.0.2 our own AS is in its path (RFC 4271 section 9.1.2)'
    const foreign = 'withdrawn its path does not begin with the peer (RFC 4271 section 6.3)'
    deepEqual(diary.lines('203.0.113.0/24'), [
      ...[2, 3].flatMap((second) => [`${second} transit ${loop}`, `${second} transit ${foreign}`]),
      '5 acme-dc announced 65100 65001 via 10.0.0.2',
      '5 acme-dc announced 65009 via 10.0.0.2',
    ])
    deepEqual(diary.lines('2001:db8:1::/48'), [])
    ok(segmentsIn(diary.directory).length > 1)
  })

  test('says of which sessions it does not know all, because they are older than what is kept', () => {
    using diary = new Diary({ size_bytes: 8 << 20 })
    const begin_us = diary.now_us
    diary.up(...TRANSIT)
    diary.up(...ACME, { families: familyBit(FAMILY.ipv6Unicast) })
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24', '198.51.100.0/24'] })
    deepEqual(diary.of('203.0.113.0/24').older, [])
    const many = Array.from({ length: 2000 }, () => updateOf({ announce: ['10.1.0.0/16'] }))
    for (let round = 0; round < 100; round++) diary.updates(...TRANSIT, ...many)
    const settled_us = diary.now_us
    diary.updates(...TRANSIT, { withdraw: ['203.0.113.0/24'] })
    const [one, ...more] = diary.of('203.0.113.0/24', settled_us).older
    deepEqual([one?.peer.name, one?.isSettled, more], ['transit', false, []])
    ok(one!.before_us > begin_us && one!.before_us < settled_us)
    const isSettled = (prefix: string): boolean[] => diary.of(prefix).older.map((session) => session.isSettled)
    deepEqual([isSettled('203.0.113.0/24'), isSettled('198.51.100.0/24')], [[true], [false]])
    diary.down(...TRANSIT, silence)
    deepEqual(isSettled('198.51.100.0/24'), [true])
  })

  test('ends when the speaker begins anew after it was killed', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    diary.restart()
    diary.up(...TRANSIT)
    deepEqual(diary.lines('203.0.113.0/24'), ['2 transit announced 65002 via 10.0.0.2', '3 transit speaker started'])
  })
})

suite('what is recorded', () => {
  test('is every change of a session, with what one end told the other before it', () => {
    using diary = new Diary()
    diary.event(...TRANSIT, 'idle', 'connect')
    diary.event(...TRANSIT, 'connect', 'openSent')
    diary.up(...TRANSIT)
    diary.down(...TRANSIT, downByPeer(ceaseWithText(CEASE.shutdown, 'fibre works')))
    const told = diary.records().map((record) => {
      const whose = `${record.peerAs} ${record.localAs}`
      if (record.kind === 'state') return `${whose} ${record.from} ${record.to}`
      return `${whose} ${record.isOurs ? 'sent' : 'received'} ${record.messageEnd - record.messageAt} bytes`
    })
    deepEqual(told, [
      '65002 65001 idle connect',
      '65002 65001 connect openSent',
      '65002 65001 openConfirm established',
      `65002 65001 received ${19 + 2 + 1 + 'fibre works'.length} bytes`,
      '65002 65001 established idle',
    ])
    const reasons = diary.notes().filter(({ kind }) => kind === 'reason')
    deepEqual(
      reasons.map((note) => note.kind === 'reason' && [note.from, note.to, note.reason]),
      [['established', 'idle', 'the peer closed it: cease, administrative shutdown: "fibre works"']],
    )
  })

  test('knows neighbours that came with another site file, and tenants that have changed', () => {
    using diary = new Diary()
    diary.up(...ACME, { remoteAs: 65_100 })
    diary.recorder.setNeighbours([
      { name: 'acme-dc', as: 65_100, tenant: 'acme-two' },
      { name: 'new', as: 65_200, tenant: 'two' },
    ])
    diary.event('new', '10.0.0.7', 'idle', 'connect')
    equal(diary.records().at(-1)!.peerAs, 65_200)
    diary.up('new', '10.0.0.7', { remoteAs: 65_200 })
    diary.updates('new', '10.0.0.7', { announce: ['10.1.0.0/16'], path: [65_200] })
    diary.updates(...ACME, { announce: ['10.1.0.0/16'], path: [65_100] })
    deepEqual(
      diary.of('10.1.0.0/16').events.map(({ peer }) => [peer.name, peer.tenant]),
      [
        ['new', 'two'],
        ['acme-dc', 'acme-two'],
      ],
    )
  })

  test('stays within its size, and each segment can be understood without those before it', () => {
    const size_bytes = 8 << 20
    using diary = new Diary({ size_bytes })
    diary.up(...ACME)
    const one = updateOf({ announce: ['10.1.0.0/16'], path: [65_100] })
    const many = Array.from({ length: 2000 }, () => one)
    for (let round = 0; round < 100; round++) diary.updates(...ACME, { announce: ['10.9.0.0/16'] }, ...many)
    const segments = segmentsIn(diary.directory)
    const total = readdirSync(diary.directory).reduce(
      (sum, name) => sum + statSync(join(diary.directory, name)).size,
      0,
    )
    ok(total <= size_bytes && total > size_bytes / 2, `${total} bytes in ${segments.length} segments`)
    ok(segments[0]!.number > 1)
    for (const { records } of segments) ok(statSync(records).size <= size_bytes / 8)
    const { events } = diary.of('10.9.0.0/16')
    equal(new Set(events.map(({ peer }) => `${peer.name} ${peer.tenant}`)).size, 1)
    equal(events[0]!.peer.tenant, 'acme')
  })

  test('goes on in another segment after the disk took nothing, and what was lost is counted', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    diary.recorder.flush()
    // What is no directory any more takes no file: the segment is full only once it is left.
    const aside = `${diary.directory}.aside`
    renameSync(diary.directory, aside)
    writeFileSync(diary.directory, '')
    diary.recorder.abandon()
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    equal(diary.failures.length, 1, diary.failures.join())
    rmSync(diary.directory)
    renameSync(aside, diary.directory)
    diary.now_us += 10e6
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'], path: [65_002, 5] })
    deepEqual(diary.lines('203.0.113.0/24'), ['14 transit announced 65002 5 via 10.0.0.2'])
    deepEqual(
      diary.of('203.0.113.0/24').gaps.map(({ chunks }) => chunks),
      [2],
    )
  })

  test('of a full disk leaves no files, however often it is tried, and nothing is lost of what was known', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    diary.recorder.flush()
    const tryAgain = (): void => {
      for (let round = 0; round < 20; round++) {
        diary.now_us += 10e6
        diary.updates(...TRANSIT, { announce: ['10.0.0.0/8'] })
        diary.recorder.flush()
      }
    }
    onFullDisk('nothing', tryAgain)
    equal(readdirSync(diary.directory).length, 2)
    // One that takes notes, and no records any more.
    onFullDisk('notes', tryAgain)
    equal(readdirSync(diary.directory).length, 2)
    onFullDisk('nothing', () => {
      diary.restart()
      diary.event(...TRANSIT, 'idle', 'connect')
      diary.recorder.flush()
    })
    diary.now_us += 10e6
    diary.event(...TRANSIT, 'connect', 'openSent')
    const lines = diary.lines('203.0.113.0/24').map((line) => line.replace(/^\d+ /, ''))
    deepEqual(lines, ['transit announced 65002 via 10.0.0.2', 'transit speaker started'])
    equal(diary.notes().filter(({ kind }) => kind === 'start').length, 2)
    deepEqual(
      segmentsIn(diary.directory).map(({ number }) => number),
      [1, 2],
    )
  })

  test('tells all that a full disk did not take, in one gap, although it took the notes of some', () => {
    using diary = new Diary()
    diary.up(...TRANSIT)
    diary.recorder.flush()
    onFullDisk('notes', () => {
      for (let round = 0; round < 5; round++) {
        diary.now_us += 10e6
        diary.updates(...TRANSIT, { announce: ['10.0.0.0/8'] })
        diary.recorder.flush()
      }
    })
    diary.now_us += 10e6
    diary.updates(...TRANSIT, { announce: ['203.0.113.0/24'] })
    const { gaps } = diary.of('203.0.113.0/24')
    deepEqual(
      gaps.map(({ chunks }) => chunks),
      [5],
    )
  })

  test('is in segments that can be read, however large it may be', () => {
    using diary = new Diary()
    const writer = new SegmentWriter({ directory: diary.directory, size_bytes: 2 ** 40, head: () => '' })
    equal(writer.segmentBytesMax, SEGMENT_BYTES_MAX)
  })
})

/** While `run` does, the disk takes nothing, or notes alone. */
function onFullDisk(takes: 'nothing' | 'notes', run: () => void): void {
  const { writeSync } = fs
  const refuse = (descriptor: number, bytes: Uint8Array, at = 0): number => {
    if (takes === 'notes' && bytes[at] === NOTE_BEGINS) return writeSync(descriptor, bytes, at)
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  }
  Object.assign(fs, { writeSync: refuse })
  syncBuiltinESMExports()
  try {
    run()
  } finally {
    Object.assign(fs, { writeSync })
    syncBuiltinESMExports()
  }
}
