import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { connect, createServer } from 'node:net'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseSite } from '../../config/load.ts'
import { MESSAGE, messageOf } from '../../wire/bgp/message.ts'
import { PlainPeer } from './plain-peer.ts'
import type { HostEvent } from './session-host.ts'
import { Speaker } from './speaker.ts'

/** One that nobody has, for a moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

class Bed {
  readonly events: HostEvent[]
  readonly news: EventEmitter<{ event: [] }>
  readonly port: number
  readonly speaker: Speaker
  /** Connections of strangers that were told of, and in how many pieces. */
  readonly strangers: number[]

  private constructor(port: number, speaker: Speaker, events: HostEvent[], news: Bed['news'], strangers: number[]) {
    this.strangers = strangers
    this.news = news
    this.port = port
    this.speaker = speaker
    this.events = events
  }

  /** A route server whose neighbours are 127.0.0.2 on. */
  static async start(neighbours: number, holdTime_s = 90): Promise<Bed> {
    const port = await freePort()
    const events: HostEvent[] = []
    const strangers: number[] = []
    const news = new EventEmitter<{ event: [] }>()
    const routing = {
      as: 65_001,
      router_id: '10.0.0.1',
      listen: [{ address: '127.0.0.1', port }],
      neighbours: Array.from({ length: neighbours }, (_, i) => ({
        ...{ name: `peer-${i + 2}`, address: `127.0.0.${i + 2}`, as: 65_002 + i, passive: true },
        ...{ route_server_client: true, hold_time_s: holdTime_s },
      })),
    }
    const { site, errors } = parseSite(JSON.stringify({ site: 's', routing }))
    equal(errors, undefined)
    const speaker = await Speaker.start({
      routing: site!.routing!,
      event(event) {
        events.push(event)
        news.emit('event')
      },
      strangers({ connections }) {
        strangers.push(connections)
        news.emit('event')
      },
      onDeath(error) {
        throw error
      },
    })
    return new Bed(port, speaker, events, news, strangers)
  }

  async peer(number: number, holdTime_s = 90): Promise<PlainPeer> {
    const peer = new PlainPeer({ local: `127.0.0.${number}`, port: this.port, as: 65_000 + number, holdTime_s })
    await peer.established()
    return peer
  }

  /** Sessions that are no more, and why. */
  lost(): string[] {
    return this.events
      .filter(({ from }) => from === 'established')
      .map(({ peer, reason }) => `${peer}: ${reason?.sentence}`)
  }
}

suite('a peer', () => {
  test('that never reads keeps nobody else from anything, and costs bounded memory', async () => {
    const bed = await Bed.start(3)
    const [sender, deaf, reader] = await Promise.all([bed.peer(2), bed.peer(3), bed.peer(4)])
    deaf.stopReading()
    const before = process.memoryUsage.rss()
    for (let round = 0; round < 20; round++) {
      sender.announce(50_000, round)
      await reader.received(50_000 * (round + 1))
    }
    ok(process.memoryUsage.rss() - before < 300e6, `${(process.memoryUsage.rss() - before) / 1e6} MB more`)
    deepEqual(bed.lost(), [])
    for (const peer of [sender, deaf, reader]) peer.close()
    await bed.speaker.close()
  })

  test('that sends a byte a second is silent to us: its session ends with the hold time, and no other', async () => {
    const bed = await Bed.start(2, 3)
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
    good.close()
    await bed.speaker.close()
  })
})

test('ten thousand connections of strangers in a moment cost no session, and are told of with their number', async () => {
  const bed = await Bed.start(1)
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
  good.close()
  await bed.speaker.close()
})
