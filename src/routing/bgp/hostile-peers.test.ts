import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MESSAGE, messageOf } from '../../wire/bgp/message.ts'
import { encodeRefresh, REFRESH } from '../../wire/bgp/refresh.ts'
import { plainNeighbours, SpeakerBed } from './speaker-bed.ts'

suite('a peer', () => {
  test('that never reads keeps nobody else from anything, and costs bounded memory', async () => {
    await using bed = await SpeakerBed.start(plainNeighbours(3))
    const [sender, deaf, reader] = await Promise.all([bed.peer(2), bed.peer(3), bed.peer(4)])
    deaf.stopReading()
    const before = process.memoryUsage.rss()
    for (let round = 0; round < 20; round++) {
      sender.announce(50_000, round)
      await reader.received(50_000 * (round + 1))
    }
    ok(process.memoryUsage.rss() - before < 300e6, `${(process.memoryUsage.rss() - before) / 1e6} MB more`)
    deepEqual(bed.lost(), [])
  })

  test('that asks for all routes again and again gets them once in a second, and the others do not wait', async () => {
    await using bed = await SpeakerBed.start(plainNeighbours(3))
    const [sender, asking, reader] = await Promise.all([bed.peer(2), bed.peer(3), bed.peer(4)])
    sender.announce(50_000, 0)
    await Promise.all([asking.received(50_000), reader.received(50_000)])
    const start_ms = performance.now()
    const refresh = encodeRefresh({ afi: 1, safi: 1, subtype: REFRESH.request })
    asking.write(Buffer.concat(Array.from({ length: 100_000 }, () => refresh)))
    sender.announce(50_000, 1)
    await reader.received(100_000)
    await asking.received(150_000)
    const seconds = (performance.now() - start_ms) / 1000
    ok(asking.routes <= 50_000 * (4 + seconds), `${asking.routes} routes in ${seconds} s`)
    deepEqual(bed.lost(), [])
  })

  test('that sends a byte a second is silent to us: its session ends with the hold time, and no other', async () => {
    await using bed = await SpeakerBed.start(plainNeighbours(2, 3))
    const [good, slow] = await Promise.all([bed.peer(2, 3), bed.peer(3, 3)])
    const bytes = messageOf(MESSAGE.keepalive, new Uint8Array(0))
    for (let i = 0; i < bytes.length && !slow.isClosed; i++) {
      slow.write(bytes.subarray(i, i + 1))
      good.keepalive()
      await Promise.race([slow.closed(), sleep(1000)])
    }
    while (bed.lost().length === 0) await once(bed.news, 'event')
    equal(bed.lost().length, 1)
    match(bed.lost()[0]!, /peer-3: nothing came from the peer for 3 s/)
  })
})

test('ten thousand connections of strangers in a moment cost no session, and are told of with their number', async () => {
  await using bed = await SpeakerBed.start(plainNeighbours(1))
  const good = await bed.peer(2)
  const before = process.memoryUsage.rss()
  const ATTEMPTS = 10_000
  const AT_ONCE = 500
  for (let done = 0; done < ATTEMPTS; done += AT_ONCE)
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, i) => {
        const socket = connect({ host: '127.0.0.1', port: bed.port, localAddress: `127.0.1.${1 + (i % 200)}` })
        socket.on('error', () => {})
        await new Promise((resolve) => socket.on('close', resolve))
      }),
    )
  ok(process.memoryUsage.rss() - before < 200e6, `${(process.memoryUsage.rss() - before) / 1e6} MB more`)
  const told = (): number => bed.strangers.reduce((sum, count) => sum + count, 0)
  while (told() < ATTEMPTS) await once(bed.news, 'event')
  equal(told(), ATTEMPTS)
  ok(bed.strangers.length < 100, `told of in ${bed.strangers.length} pieces`)
  deepEqual(bed.lost(), [])
  equal((await bed.speaker.sessions()).filter(({ state }) => state === 'established').length, 1)
  good.announce(10, 0)
  while ((await bed.speaker.counts()).paths < 10) await sleep(10)
})
