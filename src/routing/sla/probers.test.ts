/** Every kind of probe over a real wire between two namespaces: what answers, what does not, and what is not believed. */

import { equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { suite, test } from 'node:test'
import { parseAddress } from '../../base/address.ts'
import { systemClock } from '../../base/clock.ts'
import { Random } from '../../base/random.ts'
import { probe as schema } from '../../config/probe.ts'
import { withNamespace } from '../../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../../linux/scratch.ts'
import { UdpSocket } from '../../linux/socket.ts'
import type { Prober } from './prober.ts'
import { proberOf } from './probers.ts'
import { Sla } from './sla.ts'
import { UdpResponder } from './udp-responder.ts'

const address = (text: string) => parseAddress(text)!

class Scene {
  readonly net = new ScratchNetwork()
  readonly here = this.net.namespace()
  readonly there = this.net.namespace()
  readonly #probers: Prober[] = []

  constructor() {
    this.net.wire(
      { namespace: this.here, name: 'wire', addresses: ['10.9.0.1/24', 'fd00:9::1/64'] },
      { namespace: this.there, name: 'wire', addresses: ['10.9.0.2/24', 'fd00:9::2/64'] },
    )
  }

  /** Sends a probe: resolves with how long it took, or with undefined when nothing came in time. */
  async probe(kind: object, to: string, within_ms = 1000): Promise<number | undefined> {
    const { promise, resolve } = Promise.withResolvers<number | undefined>()
    const timer = systemClock.after(within_ms, () => resolve(undefined))
    const probe = schema.parse({ name: 'p', to, timeout_ms: within_ms, ...kind })
    // A socket opens in the thread's namespace.
    const prober = withNamespace(this.here, () =>
      proberOf(probe, systemClock, new Random(3), (sequence, took_us) => resolve(sequence === 7 ? took_us : undefined)),
    )
    this.#probers.push(prober)
    withNamespace(this.here, () => prober.send(7))
    const took_us = await promise
    timer.cancel()
    return took_us
  }

  [Symbol.dispose](): void {
    for (const prober of this.#probers) prober.close()
    this.net[Symbol.dispose]()
  }
}

const isQuick = (took_us: number | undefined): void => ok(took_us !== undefined && took_us < 1e6, `took ${took_us} us`)

suite('probes', { skip: unprivileged }, () => {
  test('ICMP echo is answered by a host, over IPv4 and IPv6, and not by nobody', async () => {
    using scene = new Scene()
    isQuick(await scene.probe({ icmp: {} }, '10.9.0.2'))
    // The first packet waits for the addresses to be looked for, which takes a second.
    ok((await scene.probe({ icmp: { bytes: 1000 }, from: 'fd00:9::1' }, 'fd00:9::2', 5000)) !== undefined)
    equal(await scene.probe({ icmp: {} }, '10.9.0.3', 200), undefined)
  })

  test('UDP echo is answered by a responder, and by nobody where there is none', async () => {
    using scene = new Scene()
    const responder = withNamespace(
      scene.there,
      () => new UdpResponder({ address: address('10.9.0.2'), port: 8862 }, systemClock),
    )
    isQuick(await scene.probe({ udp: { bytes: 400 } }, '10.9.0.2'))
    equal(await scene.probe({ udp: { port: 9999 } }, '10.9.0.2', 200), undefined)
    equal(responder.refused, 0)
    responder.close()
  })

  test('a responder answers no answers, and nothing that is no probe', async () => {
    using scene = new Scene()
    const where = { address: address('10.9.0.2'), port: 8862 }
    const responder = withNamespace(scene.there, () => new UdpResponder(where, systemClock))
    const stranger = withNamespace(scene.here, () => new UdpSocket({ address: address('10.9.0.1'), port: 0 }))
    const answer = Buffer.from('47485052020000000000000100000000000000010000', 'hex')
    for (const bytes of [Buffer.from('hello'), answer]) stranger.send(bytes, where)
    while (responder.refused < 2) await new Promise((resolve) => setImmediate(resolve))
    equal(stranger.receive(), undefined)
    stranger.close()
    responder.close()
  })

  test('a train of UDP or ICMP tells a rate, and the wire’s limit when it has one', async () => {
    using scene = new Scene()
    const responder = withNamespace(
      scene.there,
      () => new UdpResponder({ address: address('10.9.0.2'), port: 8862 }, systemClock),
    )
    const trainOf = async (kind: object): Promise<number> => {
      const probe = schema.parse({ name: 'p', to: '10.9.0.2', ...kind })
      const prober = withNamespace(scene.here, () => proberOf(probe, systemClock, new Random(3), () => {}))
      const rate_kbps = await prober.train!(50, 1400, 2000)
      prober.close()
      return rate_kbps!
    }
    for (const kind of [{ udp: {} }, { icmp: {} }]) ok((await trainOf(kind)) > 50_000, `${JSON.stringify(kind)}`)
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
    const rate_kbps = await trainOf({ udp: {} })
    ok(rate_kbps > 8000 && rate_kbps < 12_500, `${rate_kbps} kbit/s over a wire of 10 Mbit/s`)
    responder.close()
  })

  // What Node's own sockets open, opens in the thread's namespace too, but later: these meet their servers on this host.
  test('TCP is answered by who listens, and a refusal is no answer', async () => {
    using scene = new Scene()
    const server = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    isQuick(await scene.probe({ tcp: { port }, from: '127.0.0.1' }, '127.0.0.1'))
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
    const get = (http: object): Promise<number | undefined> =>
      scene.probe({ http: { port, ...http } }, '127.0.0.1', 500)
    isQuick(await get({ path: '/health', host: 'shop.example' }))
    equal(await get({ path: '/broken' }), undefined)
    isQuick(await get({ path: '/broken', status: 503 }))
    equal(await get({ path: '/health', status: 200 }), undefined)
    equal(asked[0], 'shop.example /health')
    server.closeAllConnections()
    server.close()
  })
})

test('the thread of probes says what is up and what cannot be sent, and goes on', { skip: unprivileged }, async () => {
  const failed = Promise.withResolvers<string>()
  const up = Promise.withResolvers<boolean | undefined>()
  const probe = (name: string, more: object) =>
    schema.parse({ name, to: '127.0.0.1', interval_ms: 20, rise: 2, ...more })
  const sla = new Sla({
    probes: [probe('good', { udp: { port: 18862 } }), probe('bad', { udp: {}, from: '192.0.2.1' })],
    responders: [{ address: '127.0.0.1', port: 18862 }],
    news: ([state], hasChanged) => hasChanged && up.resolve(state!.isUp),
    failed: (what, error) => failed.resolve(`${what}: ${error}`),
    onDeath: (error) => failed.reject(error),
  })
  ok((await failed.promise).startsWith('probe bad: '))
  equal(await up.promise, true)
  await sla.close()
})
