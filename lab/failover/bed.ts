/**
 * The site of failovers, up, with a packet a millisecond on its way from a machine to the last of the tenant's networks: which
 * of the two connections each takes, and how long it is after the first one breaks until the first packet comes by the other.
 */

import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { BROKEN_SUBJECT } from '../../src/agent/names.ts'
import { modulesOf } from '../../src/agent/presence.ts'
import { parseAddress } from '../../src/base/address.ts'
import { systemClock } from '../../src/base/clock.ts'
import type { Bus } from '../../src/bus/bus.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { watch } from '../../src/linux/poll.ts'
import { UdpSocket } from '../../src/linux/socket.ts'
import { brokenPaths } from '../../src/wire/control/liveness.ts'
import { Gateway } from '../gateway.ts'
import type { Bird } from '../peers/bird.ts'
import { Surroundings } from '../site.ts'
import { BACKUP, type FailoverSiteOptions, failoverSite, MACHINE, MAIN, targetPrefix } from './site.ts'
import type { WireSetup } from './wire.ts'

const PORT = 7777
const PACKET_EVERY_ms = 1
const PACKET_bytes = 32
const PATIENCE_ms = 60_000
const LOOK_ms = 50
/** So many in a row by one way, and none is still on its way by the other. */
const SETTLED_packets = 100

/** What broke, and how long each part took. */
export interface Failover {
  /** Of a carrier: how long the kernel took to close the other end, until the port had none. Nothing is broken before that. */
  readonly closing_ms: number
  /** From the break until a switch or a routing node has said so; of BFD mostly its detection time. */
  readonly detection_ms: number
  /** From then until the first packet by the backup. */
  readonly reaction_ms: number
  /** Packets that came by neither way, until all was as before. */
  readonly lost: number
}

type Way = typeof MAIN | typeof BACKUP

interface Packet {
  readonly number: number
  readonly way: Way
  readonly at_ms: number
}

export class FailoverBed {
  readonly made: Surroundings
  readonly gateway: Gateway
  readonly #stack: AsyncDisposableStack
  readonly #bus: Bus
  readonly #wire: Worker
  readonly #carrier: Worker
  readonly #sender: UdpSocket
  readonly #target: { readonly address: Uint8Array; readonly port: number }
  #sent = 0
  /** Numbers of packets. */
  readonly #received = new Set<number>()
  /** So many in a row have come by this way. */
  #latest: { readonly way: Way; count: number } | undefined
  #arrived = (_packet: Packet): void => {}
  #told = (_isBroken: boolean, _at_ms: number): void => {}

  /** Resolves when packets come by the main connection and BFD is up on both. */
  static async build(options: FailoverSiteOptions): Promise<FailoverBed> {
    await using stack = new AsyncDisposableStack()
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-failover-'))
    stack.defer(() => rmSync(folder, { recursive: true }))
    writeFileSync(join(folder, 'site.yaml'), failoverSite(options))
    const made = stack.use(await Surroundings.build(join(folder, 'site.yaml')))
    const gateway = Gateway.up(made)
    stack.defer(() => gateway.stop())
    try {
      await gateway.whenReady()
      const bed = new FailoverBed(made, gateway, options, stack)
      await bed.#settled()
      bed.#moved(stack.move())
      return bed
    } catch (error) {
      throw new Error(gateway.lastLines(), { cause: error })
    }
  }

  private constructor(made: Surroundings, gateway: Gateway, options: FailoverSiteOptions, stack: AsyncDisposableStack) {
    this.made = made
    this.gateway = gateway
    this.#stack = new AsyncDisposableStack()
    const full = (namespace: string): string => made.lab.fullName(namespace)
    const address = parseAddress(targetPrefix(options).replace(/\.0\/24$/, '.1'))!
    this.#target = { address, port: PORT }
    for (const way of [MAIN, BACKUP] as const) this.#receive(way, full(way), stack)
    this.#sender = withNamespace(full(MACHINE.namespace), () => {
      return new UdpSocket({ address: parseAddress(MACHINE.address)!, port: 0 })
    })
    const setup: WireSetup = { namespace: full(MAIN), interface: 'wan' }
    this.#wire = new Worker(new URL('./wire.ts', import.meta.url), { workerData: setup })
    const port: WireSetup = { namespace: full('edge-1'), interface: 'main' }
    this.#carrier = new Worker(new URL('./carrier.ts', import.meta.url), { workerData: port })
    const sending = systemClock.every(PACKET_EVERY_ms, () => this.#send())
    this.#bus = made.connect('failovers')
    this.#bus.subscribe(BROKEN_SUBJECT, ({ payload }) => {
      const news = brokenPaths.decode(payload)
      if (news.ok) this.#told(news.value.broken.length > 0, performance.now())
    })
    stack.defer(async () => {
      sending.cancel()
      this.#sender.close()
      await Promise.all([this.#wire.terminate(), this.#carrier.terminate()])
      await this.#bus.close()
    })
  }

  /** The wire of the main connection loses its carrier, at the customer's end, and has it again. */
  async carrierLoss(): Promise<Failover> {
    const cut = async (): Promise<number> => {
      const gone = once(this.#carrier, 'message')
      this.#carrier.postMessage({})
      this.#wire.postMessage(false)
      const [at_ms] = (await gone) as [number]
      return at_ms - performance.timeOrigin
    }
    return await this.#failover(cut, () => this.#wire.postMessage(true))
  }

  /** The wire of the main connection has no carrier while this goes on; all is as before once it resolves. */
  async withoutCarrier(run: () => Promise<void>): Promise<void> {
    this.#wire.postMessage(false)
    try {
      await run()
    } finally {
      this.#wire.postMessage(true)
    }
    await this.#settled()
  }

  /** The router behind the main connection falls silent, and BFD with it; its wire is up all the time. */
  async silence(): Promise<Failover> {
    const router = this.made.routers.get(MAIN) as Bird
    const cut = (): number => {
      router.freeze(true)
      return performance.now()
    }
    return await this.#failover(cut, () => router.freeze(false))
  }

  /** Of a module. */
  async pidOf(name: string): Promise<number | undefined> {
    return (await modulesOf(this.#bus)).get(name)?.pid
  }

  async close(): Promise<void> {
    await this.#stack.disposeAsync()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #moved(stack: AsyncDisposableStack): void {
    this.#stack.use(stack)
  }

  /** `cut` says when it was broken. */
  async #failover(cut: () => number | Promise<number>, mend: () => void): Promise<Failover> {
    const [first, began_ms] = [this.#sent + 1, performance.now()]
    const told = this.#isTold()
    const arrived = this.#comesBy(BACKUP, first)
    try {
      const [broken_ms, told_ms, arrived_ms] = await Promise.all([cut(), told, arrived])
      mend()
      await this.#settled()
      const last = this.#sent - SETTLED_packets
      const numbers = Array.from({ length: last - first + 1 }, (_, i) => first + i)
      const lost = numbers.filter((number) => !this.#received.has(number)).length
      this.#received.clear()
      // Nobody says so before it is.
      const since_ms = Math.min(broken_ms, told_ms)
      const times = { closing_ms: since_ms - began_ms, detection_ms: told_ms - since_ms }
      return { ...times, reaction_ms: arrived_ms - told_ms, lost }
    } finally {
      mend()
    }
  }

  /** All is well: packets come by the main connection and by no other, and BFD is up with both routers. */
  async #settled(): Promise<void> {
    const until_ms = performance.now() + PATIENCE_ms
    for (;;) {
      const sessions = await this.gateway.observer.sessions()
      const isUp = sessions.every(({ row }) => row?.bfd === 'up')
      if (isUp && this.#latest?.way === MAIN && this.#latest.count > SETTLED_packets) return
      if (performance.now() > until_ms) throw new Error(`not settled: ${JSON.stringify([sessions, this.#latest])}`)
      await new Promise<void>((resolve) => systemClock.after(LOOK_ms, resolve))
    }
  }

  #send(): void {
    this.#sent++
    const packet = Buffer.alloc(PACKET_bytes)
    packet.writeUInt32BE(this.#sent)
    this.#sender.send(packet, this.#target)
  }

  #receive(way: Way, namespace: string, stack: AsyncDisposableStack): void {
    const socket = withNamespace(namespace, () => new UdpSocket(this.#target))
    const reading = watch(socket.fd, () => {
      for (let datagram = socket.receive(); datagram; datagram = socket.receive()) {
        const number = Buffer.from(datagram.bytes).readUInt32BE()
        this.#received.add(number)
        if (this.#latest?.way === way) this.#latest.count++
        else this.#latest = { way, count: 1 }
        this.#arrived({ number, way, at_ms: performance.now() })
      }
    })
    stack.defer(() => {
      reading.stop()
      socket.close()
    })
  }

  /** Resolves with the moment of the first packet from this number on that comes this way. */
  async #comesBy(way: Way, first: number): Promise<number> {
    return await this.#within(`packets come by ${way}`, (resolve) => {
      this.#arrived = (packet) => {
        if (packet.way === way && packet.number >= first) resolve(packet.at_ms)
      }
    })
  }

  async #isTold(): Promise<number> {
    return await this.#within('somebody says what is broken', (resolve) => {
      this.#told = (isBroken, at_ms) => {
        if (isBroken) resolve(at_ms)
      }
    })
  }

  async #within(what: string, start: (resolve: (at_ms: number) => void) => void): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const late = systemClock.after(PATIENCE_ms, () => reject(new Error(`not within ${PATIENCE_ms / 1000} s: ${what}`)))
    start(resolve)
    try {
      return await promise
    } finally {
      late.cancel()
    }
  }
}
