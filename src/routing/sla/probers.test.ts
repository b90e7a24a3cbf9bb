/** Every kind of probe over a real wire between two namespaces: what answers, what does not, and what is not believed. */

import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { suite, test } from 'node:test'
import { parseAddress } from '../../base/address.ts'
import { ManualClock, systemClock } from '../../base/clock.ts'
import { Random } from '../../base/random.ts'
import { probe as schema } from '../../config/probe.ts'
import { withNamespace } from '../../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../../linux/scratch.ts'
import { UdpSocket } from '../../linux/socket.ts'
import { TcpListener } from '../../linux/tcp-listener.ts'
import { ProbeRunner } from './probe-runner.ts'
import type { Prober } from './prober.ts'
import { proberOf } from './probers.ts'
import { Sla } from './sla.ts'
import { BandwidthEstimate } from './train.ts'
import { UdpResponder } from './udp-responder.ts'

const address = (text: string) => parseAddress(text)!

class Scene {
  readonly net = new ScratchNetwork()
  readonly here = this.net.namespace()
  readonly there = this.net.namespace()
  readonly #open: { close(): void }[] = []

  constructor() {
    this.net.wire(
      { namespace: this.here, name: 'wire', addresses: ['10.9.0.1/24', 'fd00:9::1/64'] },
      { namespace: this.there, name: 'wire', addresses: ['10.9.0.2/24', 'fd00:9::2/64'] },
    )
  }

  /** Closes it at the end. */
  keep<T extends { close(): void }>(one: T): T {
    this.#open.push(one)
    return one
  }

  responder(): UdpResponder {
    const where = { address: address('10.9.0.2'), port: 8862 }
    const responder = withNamespace(this.there, () => new UdpResponder(where, systemClock))
    this.#open.push(responder)
    return responder
  }

  prober(kind: object, answered: (sequence: number, took_us: number) => void, to = '10.9.0.2'): Prober {
    const probe = schema.parse({ name: 'p', to, ...kind })
    // A socket opens in the thread's namespace.
    const prober = withNamespace(this.here, () => proberOf(probe, systemClock, new Random(3), answered))
    this.#open.push(prober)
    return prober
  }

  /** Sends a probe: resolves with how long it took, or with undefined when nothing came in time. */
  async probe(kind: object, to: string, within_ms = 5000): Promise<number | undefined> {
    const { promise, resolve } = Promise.withResolvers<number | undefined>()
    const timer = systemClock.after(within_ms, () => resolve(undefined))
    const answered = (sequence: number, took_us: number): void => resolve(sequence === 7 ? took_us : undefined)
    const prober = this.prober({ timeout_ms: within_ms, ...kind }, answered, to)
    withNamespace(this.here, () => prober.send(7))
    const took_us = await promise
    timer.cancel()
    return took_us
  }

  [Symbol.dispose](): void {
    for (const one of this.#open) one.close()
    this.net[Symbol.dispose]()
  }
}

const isThere = (took_us: number | undefined): void => ok(took_us !== undefined && took_us > 0, `took ${took_us} us`)

suite('probes', { skip: unprivileged }, () => {
  test('ICMP echo is answered by a host, over IPv4 and IPv6, and not by nobody', async () => {
    using scene = new Scene()
    isThere(await scene.probe({ icmp: {} }, '10.9.0.2'))
    isThere(await scene.probe({ icmp: { bytes: 1000 }, from: 'fd00:9::1' }, 'fd00:9::2'))
    equal(await scene.probe({ icmp: {} }, '10.9.0.3', 200), undefined)
  })

  test('UDP echo is answered by a responder, and by nobody where there is none', async () => {
    using scene = new Scene()
    const responder = scene.responder()
    isThere(await scene.probe({ udp: { bytes: 400 } }, '10.9.0.2'))
    equal(await scene.probe({ udp: { port: 9999 } }, '10.9.0.2', 200), undefined)
    equal(responder.refused, 0)
  })

  test('a responder answers no answers, and nothing that is no probe', async () => {
    using scene = new Scene()
    const where = { address: address('10.9.0.2'), port: 8862 }
    const responder = scene.responder()
    const stranger = withNamespace(scene.here, () => new UdpSocket({ address: address('10.9.0.1'), port: 0 }))
    const answer = Buffer.from('47485052020000000000000100000000000000010000', 'hex')
    for (const bytes of [Buffer.from('hello'), answer]) stranger.send(bytes, where)
    while (responder.refused < 2) await new Promise((resolve) => setImmediate(resolve))
    equal(stranger.receive(), undefined)
    stranger.close()
  })

  test('a train of UDP or ICMP tells a rate, and the wire’s limit when it has one', async () => {
    using scene = new Scene()
    const responder = scene.responder()
    const rateOf = async (kind: object): Promise<number> => {
      const estimate = new BandwidthEstimate()
      const prober = scene.prober(kind, () => {})
      for (let i = 0; i < 5; i++) {
        const rate_kbps = await prober.train(50, 1400, 2000)
        if (rate_kbps !== undefined) estimate.add(rate_kbps)
      }
      return estimate.kbps!
    }
    const wide = [await rateOf({ udp: {} }), await rateOf({ icmp: {} })]
    // 10 Mbit/s with room for the train: it leaves at once, and arrives as fast as the bucket lets it.
    const shape = [
      'tc',
      'qdisc',
      'add',
      'dev',
      'wire',
      'root',
      'tbf',
      'rate',
      '10mbit',
      'burst',
      '1600',
      'latency',
      '1s',
    ]
    ip('netns', 'exec', scene.here, ...shape)
    const rate_kbps = await rateOf({ udp: {} })
    ok(rate_kbps > 7000 && rate_kbps < 13_000, `${rate_kbps} kbit/s over a wire of 10 Mbit/s`)
    ok(Math.min(...wide) > 2 * rate_kbps, `${wide} kbit/s over a wire without a limit`)
    equal(responder.refused, 0)
  })

  test('a burst of TCP tells a rate where it is taken, and less where not all is', async () => {
    using scene = new Scene()
    const where = { address: address('10.9.0.2'), port: 9 }
    const listener = scene.keep(withNamespace(scene.there, () => new TcpListener(where)))
    let isReading = true
    listener.watch((socket) => {
      scene.keep(socket)
      const scratch = new Uint8Array(1 << 16)
      if (isReading)
        socket.watch(() => {
          while (socket.receive(scratch) > 0);
        })
    })
    const rateOf = async (port: number, packets: number, within_ms: number): Promise<number | undefined> => {
      const prober = scene.prober({ tcp: { port } }, () => {})
      return await withNamespace(scene.here, () => prober.train(packets, 1400, within_ms))
    }
    const wide = (await rateOf(9, 200, 5000))!
    ip('netns', 'exec', scene.here, ...'tc qdisc add dev wire root tbf rate 10mbit burst 3200 latency 1s'.split(' '))
    const narrow = (await rateOf(9, 200, 5000))!
    ok(narrow > 5000 && narrow < 13_000, `${narrow} kbit/s over a wire of 10 Mbit/s`)
    ok(wide > 2 * narrow, `${wide} kbit/s over a wire without a limit`)
    equal(await rateOf(10, 10, 5000), undefined, 'refused')
    isReading = false
    const little = (await rateOf(9, 20_000, 300))!
    ok(little > 0 && little < 13_000, `${little} kbit/s where all is not taken`)
  })

  test("HTTP's body tells a rate, a small one where it is too short, and none of another status", async () => {
    using scene = new Scene()
    // A piece each 10 ms is 4 Mbit/s at most.
    const PIECE = new Uint8Array(5000)
    const server = createHttpServer((request, response) => {
      response.writeHead(request.url === '/broken' ? 503 : 200)
      let left = request.url === '/short' ? 3 : 20
      const pieces = setInterval(() => {
        if (left-- > 0) response.write(PIECE)
        else response.end()
      }, 10)
      response.on('close', () => clearInterval(pieces))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const rateOf = async (path: string): Promise<number | undefined> =>
      await scene.prober({ http: { port, path } }, () => {}, '127.0.0.1').train(20, 5000, 5000)
    const rate_kbps = await rateOf('/')
    ok(rate_kbps! > 0 && rate_kbps! < 8000, `${rate_kbps} kbit/s`)
    // 15 KB in five seconds.
    equal(await rateOf('/short'), 24)
    equal(await rateOf('/broken'), undefined)
    server.closeAllConnections()
    server.close()
  })

  test('HTTP gives up a server that says a little now and then, and never all', async () => {
    using scene = new Scene()
    let open = 0
    const server = createServer((socket) => {
      open++
      socket.on('error', () => {}).on('close', () => open--)
      const drips = setInterval(() => socket.write('x'), 20)
      socket.on('close', () => clearInterval(drips))
      socket.write('HTTP/1.1 200 OK\r\nx-')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const prober = scene.prober({ http: { port }, timeout_ms: 100 }, () => {}, '127.0.0.1')
    for (let i = 0; i < 5; i++) prober.send(i)
    while (open < 5) await once(server, 'connection')
    while (open > 0) await new Promise((resolve) => setImmediate(resolve))
    server.close()
  })

  test('a train may end while another one is on its way', async () => {
    using scene = new Scene()
    scene.responder()
    // 40 packets are 45 ms of the wire: the first train has not its time, the second one has.
    ip('netns', 'exec', scene.here, ...'tc qdisc add dev wire root tbf rate 10mbit burst 1600 latency 1s'.split(' '))
    for (const kind of [{ udp: {} }, { icmp: {} }]) {
      const prober = scene.prober(kind, () => {})
      const [first, second] = await Promise.all([prober.train(40, 1400, 15), prober.train(40, 1400, 5000)])
      ok(first !== undefined)
      // Of a train of which nothing is seen after the first one's end it were less than 45.
      ok(second! > 100, `${second} kbit/s of ${Object.keys(kind)}`)
    }
  })

  test('a train takes over the numbers of probes that were never answered', async () => {
    using scene = new Scene()
    const ignore = (isIgnored: number): void => {
      ip('netns', 'exec', scene.there, 'sysctl', '-q', '-w', `net.ipv4.icmp_echo_ignore_all=${isIgnored}`)
    }
    const told: number[] = []
    const prober = scene.prober({ icmp: {} }, (sequence) => told.push(sequence))
    ignore(1)
    for (let i = 0; i < 40; i++) prober.send(i)
    // All other numbers there are.
    equal(await prober.train(0x10000 - 40, 64, 1), 0)
    ignore(0)
    ok((await prober.train(40, 64, 2000))! > 100)
    deepEqual(told, [])
  })

  // What Node's own sockets open, opens in the thread's namespace too, but later: these meet their servers on this host.
  test('TCP is answered by who listens, and a refusal is no answer', async () => {
    using scene = new Scene()
    const server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    isThere(await scene.probe({ tcp: { port }, from: '127.0.0.1' }, '127.0.0.1'))
    server.close()
    await once(server, 'close')
    equal(await scene.probe({ tcp: { port } }, '127.0.0.1', 200), undefined)
  })

  test('HTTP is answered by the status that is wanted, for the host and path that are asked', async () => {
    using scene = new Scene()
    const asked: string[] = []
    const server = createHttpServer((request, response) => {
      asked.push(`${request.headers.host} ${request.url}`)
      response.writeHead(request.url === '/broken' ? 503 : 204).end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const get = (http: object, within_ms?: number): Promise<number | undefined> =>
      scene.probe({ http: { port, ...http } }, '127.0.0.1', within_ms)
    isThere(await get({ path: '/health', host: 'shop.example' }))
    equal(await get({ path: '/broken' }, 500), undefined)
    isThere(await get({ path: '/broken', status: 503 }))
    equal(await get({ path: '/health', status: 200 }, 500), undefined)
    equal(asked[0], 'shop.example /health')
    server.closeAllConnections()
    server.close()
  })
})

test('a probe that is answered late is not taken for one that went after it', async (t) => {
  const held: (() => void)[] = []
  const far = createSocket('udp4').bind(0, '127.0.0.1')
  t.after(() => far.close())
  await once(far, 'listening')
  const first = once(far, 'message')
  far.on('message', (bytes, { port, address }) => held.push(() => far.send(bytes, port, address)))
  const clock = new ManualClock()
  const told = Promise.withResolvers<number[]>()
  const probe = schema.parse({ name: 'p', to: '127.0.0.1', udp: { port: far.address().port }, timeout_ms: 60_000 })
  const prober = proberOf(probe, clock, new Random(3), (...answer) => told.resolve(answer))
  t.after(() => prober.close())
  prober.send(1)
  await first
  for (let sequence = 2; sequence <= 5000; sequence++) {
    clock.advance(10)
    prober.send(sequence)
  }
  held[0]!()
  deepEqual(await told.promise, [1, 49_990_000])
})

test('a TCP probe that ends, ends all of its trains', async (t) => {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const probe = schema.parse({ name: 'p', to: '127.0.0.1', tcp: { port } })
  const prober = proberOf(probe, systemClock, new Random(3), () => {})
  const trains = [prober.train(10_000, 9000, 5000), prober.train(10_000, 9000, 5000)]
  prober.close()
  deepEqual(await Promise.all(trains), [undefined, undefined])
})

test('where nothing of a stream comes in time there is no bandwidth', async (t) => {
  const server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const probe = schema.parse({ name: 'p', to: '127.0.0.1', http: { port } })
  const prober = proberOf(probe, systemClock, new Random(3), () => {})
  t.after(() => prober.close())
  equal(await prober.train(10, 1000, 50), 0)
})

test('a stall of this thread is no loss, whatever came meanwhile', { skip: unprivileged }, async (t) => {
  // Elsewhere, so that they do not stall too.
  const far = `const socket = require('node:dgram').createSocket('udp4')
    const server = require('node:http').createServer((_, answer) => setTimeout(() => answer.end(), 40))
    socket.bind(0, '127.0.0.1', () => server.listen(0, '127.0.0.1', () => console.log(socket.address().port, server.address().port)))
    socket.on('message', (bytes, from) => setTimeout(() => socket.send(bytes, from.port, from.address), 40))`
  const child = spawn(process.execPath, ['-e', far], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill())
  const [ports] = await once(child.stdout, 'data')
  const [udp, http] = String(ports).split(' ').map(Number)
  for (const kind of [{ udp: { port: udp } }, { http: { port: http } }]) {
    deepEqual(await verdictsInStalls(kind), [true])
  }
})

/** What a probe says while its thread stands still now and then. */
async function verdictsInStalls(kind: object): Promise<(boolean | undefined)[]> {
  const more = { interval_ms: 10, timeout_ms: 300, window: 1000 }
  const probe = schema.parse({ name: 'p', to: '127.0.0.1', ...kind, ...more })
  const told: (boolean | undefined)[] = []
  const up = Promise.withResolvers<void>()
  const runner = new ProbeRunner({
    rules: probe,
    clock: systemClock,
    open: (answered) => proberOf(probe, systemClock, new Random(3), answered),
    changed({ isUp }) {
      told.push(isUp)
      up.resolve()
    },
  })
  await up.promise
  for (let stalls = 0; stalls < 3; stalls++) {
    // Behind what was read in this turn of the loop, so that all timers come before what arrives meanwhile.
    await new Promise((resolve) => setImmediate(resolve))
    for (const end_ms = performance.now() + 500; performance.now() < end_ms; );
    await new Promise((resolve) => systemClock.after(400, () => resolve(undefined)))
  }
  runner.close()
  return told
}

test('what cannot be sent from the beginning leaves nothing behind', () => {
  const clock = new ManualClock()
  const probe = schema.parse({ name: 'p', to: '127.0.0.1', udp: {} })
  let sent = 0
  let closed = 0
  const open = (): Prober => ({
    send() {
      if (sent++ === 0) throw new Error('no way')
    },
    train: async () => undefined,
    drain() {},
    close: () => void closed++,
  })
  throws(() => new ProbeRunner({ rules: probe, clock, open, changed() {} }), /no way/)
  clock.advance(10_000)
  deepEqual([sent, closed], [1, 1])
})

test('the thread of probes leaves no descriptors open when it ends', { skip: unprivileged }, async () => {
  const descriptors = (): number => readdirSync('/proc/self/fd').length
  const probes = [{ icmp: {} }, { udp: { port: 18864 } }].map((kind, i) =>
    schema.parse({ name: `p${i}`, to: '127.0.0.1', interval_ms: 10, ...kind }),
  )
  const counts: number[] = []
  for (let i = 0; i < 4; i++) {
    const up = Promise.withResolvers<void>()
    const sla = new Sla({
      ...{ probes, responders: [{ address: '127.0.0.1', port: 18864 }], quality_ms: 5000 },
      news: () => up.resolve(),
      failed: (what, error) => up.reject(new Error(`${what}: ${error}`)),
      onDeath: (error) => up.reject(error),
    })
    await up.promise
    await sla.close()
    counts.push(descriptors())
  }
  equal(counts[3], counts[1], `${counts}`)
})

test('the thread of probes says what is up and what cannot be sent, and goes on', { skip: unprivileged }, async () => {
  const failed = Promise.withResolvers<string>()
  const up = Promise.withResolvers<boolean | undefined>()
  const probe = (name: string, more: object) =>
    schema.parse({ name, to: '127.0.0.1', interval_ms: 20, rise: 2, ...more })
  const sla = new Sla({
    probes: [probe('good', { udp: { port: 18862 } }), probe('bad', { udp: {}, from: '192.0.2.1' })],
    responders: [{ address: '127.0.0.1', port: 18862 }],
    quality_ms: 5000,
    news: ([state]) => up.resolve(state!.isUp),
    failed: (what, error) => failed.resolve(`${what}: ${error}`),
    onDeath: (error) => failed.reject(error),
  })
  ok((await failed.promise).startsWith('probe bad: '))
  equal(await up.promise, true)
  await sla.close()
})
