/**
 * A tenant's policies through the whole gateway: packets of a machine by their DSCP and port over two connections, one of
 * which breaks.
 */

import { deepEqual, equal } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FailoverBed } from '../../lab/failover/bed.ts'
import { BACKUP, MACHINE, MAIN, targetPrefix } from '../../lab/failover/site.ts'
import { needs } from '../../lab/needs.ts'
import { askToShow } from '../../src/agent/show.ts'
import { parseAddress } from '../../src/base/address.ts'
import { systemClock } from '../../src/base/clock.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { watch } from '../../src/linux/poll.ts'
import { UdpSocket } from '../../src/linux/socket.ts'
import { until } from './live-site.ts'

const VOICE = 46 << 2
const PORTS = { any: 7778, pinned: 7779, telnet: 7780 } as const
const POLICIES = [
  `{ name: voice, match: { dscp: ef }, by: ${BACKUP} }`,
  `{ name: pinned, match: { protocol: udp, destination_port: ${PORTS.pinned} }, by: ${MAIN}, only: true }`,
  `{ name: no-telnet, match: { destination_port: ${PORTS.telnet} }, discard: true }`,
].join(', ')
const OPTIONS = { routes: 1, policies: POLICIES, bfd: { interval_ms: 100, multiplier: 5 } }
const SEND_EVERY_ms = 20
const PATIENCE_ms = 20_000

/** Answers by which connection packets of the machine to a port, with a DSCP or without, come out. */
class Probe {
  readonly #stack = new DisposableStack()
  readonly #senders = new Map<number, UdpSocket>()
  readonly #target = parseAddress(targetPrefix(OPTIONS).replace(/\.0\/24$/, '.1'))!
  #heard = (_way: string, _port: number, _tag: number): void => {}
  #tag = 0

  constructor(bed: FailoverBed) {
    const full = (namespace: string): string => bed.made.lab.fullName(namespace)
    for (const trafficClass of [0, VOICE]) {
      const local = { address: parseAddress(MACHINE.address)!, port: 0 }
      const sender = withNamespace(full(MACHINE.namespace), () => new UdpSocket(local, { trafficClass }))
      this.#stack.defer(() => sender.close())
      this.#senders.set(trafficClass, sender)
    }
    for (const way of [MAIN, BACKUP]) for (const port of Object.values(PORTS)) this.#listen(full(way), way, port)
  }

  /** Of packets that are sent from now on the first one that comes out; rejects where none does. */
  async wayOf(port: number, trafficClass = 0): Promise<string> {
    const tag = ++this.#tag
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const send = (): void => {
      this.#senders.get(trafficClass)!.send(Uint8Array.of(tag), { address: this.#target, port })
    }
    this.#heard = (way, at, of) => {
      if (at === port && of === tag) resolve(way)
    }
    const sending = systemClock.every(SEND_EVERY_ms, send)
    const late = systemClock.after(PATIENCE_ms, () => reject(new Error(`nothing comes out to port ${port}`)))
    try {
      return await promise
    } finally {
      sending.cancel()
      late.cancel()
    }
  }

  /** Sends some packets, and counts on none of them. */
  send(port: number): void {
    for (let i = 0; i < 5; i++) this.#senders.get(0)!.send(Uint8Array.of(0), { address: this.#target, port })
  }

  [Symbol.dispose](): void {
    this.#stack.dispose()
  }

  #listen(namespace: string, way: string, port: number): void {
    const socket = withNamespace(namespace, () => new UdpSocket({ address: this.#target, port }))
    const reading = watch(socket.fd, () => {
      for (let datagram = socket.receive(); datagram; datagram = socket.receive())
        this.#heard(way, port, datagram.bytes[0]!)
    })
    this.#stack.defer(() => {
      reading.stop()
      socket.close()
    })
  }
}

suite('policies of a tenant with two connections', { skip: needs('ip', 'bird') }, () => {
  test('packets go by DSCP and port, by another way or none while that one has no carrier, and back', async () => {
    await using bed = await FailoverBed.build(OPTIONS)
    using probe = new Probe(bed)
    const drops = async (reason: string): Promise<number> => {
      const nodes = (await bed.gateway.observer.modules()).filter(({ role }) => role === 'forwarding')
      return nodes.reduce((sum, { tenants }) => sum + (tenants['acme']?.[reason] ?? 0), 0)
    }
    equal(await probe.wayOf(PORTS.any), MAIN)
    equal(await probe.wayOf(PORTS.any, VOICE), BACKUP)
    equal(await probe.wayOf(PORTS.pinned), MAIN)
    equal(await probe.wayOf(PORTS.pinned, VOICE), BACKUP, 'the first that matches')

    await bed.withoutCarrier(async () => {
      await until('all else takes the backup', async () => (await probe.wayOf(PORTS.any)) === BACKUP)
      equal(await drops('policy-discard'), 0)
      await until('what is pinned is dropped', async () => {
        probe.send(PORTS.pinned)
        return (await drops('policy-no-way')) > 0
      })
      equal(await probe.wayOf(PORTS.any, VOICE), BACKUP)
    })
    equal(await probe.wayOf(PORTS.pinned), MAIN)
    await until('what is forbidden is dropped', async () => {
      probe.send(PORTS.telnet)
      return (await drops('policy-discard')) > 0
    })

    const { counts, routes, packet } = await told(bed)
    deepEqual(packet, [
      { from: 'vpc prod', policy: 'voice of acme', verdict: `to 10.0.0.1 for connection ${BACKUP} of acme` },
    ])
    deepEqual(
      counts.map(({ name, packets }) => `${name} ${packets > 0}`),
      ['voice true', 'pinned true', 'no-telnet true'],
    )
    deepEqual(routes.find(({ prefix }) => prefix === targetPrefix(OPTIONS))?.policies, [
      `voice: 192.168.2.2 on ${BACKUP}`,
      `pinned: 192.168.1.2 on ${MAIN}`,
      'no-telnet: discard',
    ])
    equal(bed.gateway.hasEnded, false)
  })
})

/** What `gatehouse show` says of policies and of routes, and `gatehouse explain packet` of one with the DSCP. */
async function told(bed: FailoverBed) {
  const bus = bed.made.connect('policies')
  try {
    await bus.whenConnected(PATIENCE_ms)
    const counts = (await askToShow(bus, 'fn-1', 'policies', '')) as { name: string; packets: number }[]
    const routes = (await askToShow(bus, 'control', 'routes', 'acme')) as { prefix: string; policies?: string[] }[]
    const to = targetPrefix(OPTIONS).replace(/\.0\/24$/, '.1')
    const question = { tenant: 'acme', from: MACHINE.address, to, protocol: 'udp', port: PORTS.any, dscp: VOICE >> 2 }
    const packet = await askToShow(bus, 'fn-1', 'packet', JSON.stringify(question))
    return { counts, routes, packet }
  } finally {
    await bus.close()
  }
}
