import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAddress } from '../../base/address.ts'
import { TcpFailure } from '../../linux/tcp-failure.ts'
import type { Md5Key } from '../../linux/tcp-md5.ts'
import { TcpSocket } from '../../linux/tcp-socket.ts'
import { CEASE } from '../../wire/bgp/notification.ts'
import { MrtReader } from '../../wire/mrt.ts'
import { PlainPeer } from './plain-peer.ts'
import { plainNeighbour, SpeakerBed } from './speaker-bed.ts'

const NOTHING = { imports: 0, exports: 0, tables: 0, sessionsReset: 0 }
const [TWO, THREE, FOUR] = [plainNeighbour(2), plainNeighbour(3), plainNeighbour(4)] as const

async function stateOf(bed: SpeakerBed, name: string): Promise<string | undefined> {
  return (await bed.speaker.sessions()).find((session) => session.name === name)?.state
}

suite('a speaker that takes another site file', () => {
  test('says what came of its policies, and resets nobody for them', async () => {
    await using bed = await SpeakerBed.start([TWO])
    await bed.peer(2)
    const parts = { policies: [{ name: 'all', terms: [{ match: { med: 1 } }] }] }
    const changed = { ...TWO, import: ['all'] }
    deepEqual(await bed.reload([changed], parts), { ...NOTHING, imports: 1, tables: 1 })
    deepEqual(await bed.reload([changed], parts), NOTHING)
    deepEqual(bed.lost(), [])
  })

  test('lets new neighbours in, takes leave of those that are gone, resets those that changed, and no other', async () => {
    await using bed = await SpeakerBed.start([TWO, THREE, FOUR])
    const [kept, gone, changed] = await Promise.all([bed.peer(2), bed.peer(3), bed.peer(4)])
    kept.announce(10, 0)
    const { sessionsReset } = await bed.reload([TWO, { ...FOUR, hold_time_s: 30 }, plainNeighbour(5)])
    equal(sessionsReset, 2)
    await Promise.all([gone.closed(), changed.closed()])
    equal(gone.notifications.at(-1), `${CEASE.code}.${CEASE.deconfigured}`)
    equal(changed.notifications.at(-1), `${CEASE.code}.${CEASE.configurationChange}`)
    const [fresh, again] = await Promise.all([bed.peer(5), bed.peer(4)])
    await Promise.all([fresh.received(10), again.received(10)])
    equal(await stateOf(bed, 'peer-3'), undefined)
    const stranger = new PlainPeer({ local: '127.0.0.3', port: bed.port, as: 65_003 })
    await stranger.closed()
    ok(!kept.isClosed)
    equal(bed.lost().length, 2)
  })

  test('tells its history of the neighbours that have come', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-history-'))
    try {
      {
        await using bed = await SpeakerBed.start([TWO], { directory, size_bytes: 8 << 20, node: 'routing' })
        await bed.reload([TWO, THREE])
        await bed.peer(3)
      }
      const reader = new MrtReader(readFileSync(join(directory, '00000001.mrt')))
      const numbers = new Set<number>()
      for (let record = reader.next(); record; record = reader.next()) numbers.add(record.peerAs)
      deepEqual([...numbers].sort(), [65_002, 65_003])
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  test('has no session with a neighbour that is shut down, which is told in words, until it is not any more', async () => {
    await using bed = await SpeakerBed.start([TWO, THREE])
    const [, shut] = await Promise.all([bed.peer(2), bed.peer(3)])
    const words = 'fibre works until 18:00'
    equal((await bed.reload([TWO, { ...THREE, shutdown: words }])).sessionsReset, 1)
    await shut.closed()
    match(bed.lost()[0]!, /peer-3: .*administrative shutdown: "fibre works until 18:00"/)
    equal(shut.notifications.at(-1), `${CEASE.code}.${CEASE.shutdown}`)
    const early = new PlainPeer({ local: '127.0.0.3', port: bed.port, as: 65_003 })
    await early.closed()
    deepEqual(early.notifications, [`${CEASE.code}.${CEASE.rejected}`])
    const [shown] = (await bed.speaker.sessions()).filter(({ name }) => name === 'peer-3')
    deepEqual([shown?.state, shown?.last], ['idle', 'shut down here'])
    await bed.reload([TWO, { ...THREE, address: '127.0.0.7', shutdown: words }])
    deepEqual(
      (await bed.speaker.sessions()).filter(({ name }) => name === 'peer-3').map(({ address }) => address),
      ['127.0.0.7'],
    )
    equal((await bed.reload([TWO, THREE])).sessionsReset, 0)
    await bed.peer(3)
  })

  test('begins with neighbours that are shut down from the start without a word', async () => {
    await using bed = await SpeakerBed.start([TWO, { ...THREE, passive: false, port: 1, shutdown: true }])
    await bed.peer(2)
    equal(await stateOf(bed, 'peer-3'), 'idle')
  })

  test('asks for the password that a neighbour has now, of those that come from then on', async () => {
    await using bed = await SpeakerBed.start([TWO, THREE])
    await bed.peer(3)
    await bed.reload([{ ...TWO, password: 'secret' }, THREE])
    const port = { address: parseAddress('127.0.0.1')!, port: bed.port }
    const key = { peers: { address: port.address, length: 32 }, key: Buffer.from('secret') }
    const connect = (md5Keys: Md5Key[]): TcpSocket => {
      const socket = TcpSocket.connect(port, { local: { address: parseAddress('127.0.0.2')!, port: 0 }, md5Keys })
      if (socket instanceof TcpFailure) throw new Error(socket.sentence)
      return socket
    }
    const [signed, plain] = [connect([key]), connect([])]
    const until = performance.now() + 10_000
    while (!signed.connected() && performance.now() < until) await sleep(10)
    ok(signed.connected())
    equal(plain.connected(), false)
    await bed.reload([TWO, THREE])
    await bed.peer(2)
    for (const socket of [signed, plain]) socket.reset()
    deepEqual(
      bed.lost().filter((line) => line.startsWith('peer-3')),
      [],
    )
  })

  test('knows a range that is new, and forgets one that is gone with those that came from it', async () => {
    const range = { name: 'range', prefix: '127.0.0.0/28', as_range: { from: 65_000, to: 65_100 } }
    await using bed = await SpeakerBed.start([TWO])
    const early = new PlainPeer({ local: '127.0.0.9', port: bed.port, as: 65_009 })
    await early.closed()
    await bed.reload([TWO, range])
    const dynamic = await bed.peer(9)
    await bed.peer(2)
    equal((await bed.reload([TWO])).sessionsReset, 1)
    await dynamic.closed()
    deepEqual(dynamic.notifications, [`${CEASE.code}.${CEASE.deconfigured}`])
    deepEqual(
      (await bed.speaker.sessions()).map(({ name }) => name),
      ['peer-2'],
    )
  })
})
