/**
 * A site whose control modules and bus are processes that can be killed, with nodes and a switch that follow their feeds in
 * this one, and a source of routes. What all of them must hold in the end is what another control module makes of the same
 * site and the same batches on a bus that has seen nothing else.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ROUTES_LIMITS, ROUTES_STREAM } from '../../src/agent/names.ts'
import { putSite } from '../../src/agent/site-store.ts'
import { parseAddress } from '../../src/base/address.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import { type Bus, BusError } from '../../src/bus/bus.ts'
import { connectBus } from '../../src/bus/embedded/client.ts'
import { busSocket, runBus } from '../../src/bus/embedded/main.ts'
import { connectNats } from '../../src/bus/nats/client.ts'
import type { BusPlace, NatsPlace } from '../../src/bus/place.ts'
import { parseSite } from '../../src/config/load.ts'
import type { Site } from '../../src/config/site.ts'
import { type ControlOptions, serveControl } from '../../src/control/serve.ts'
import { RouteColumnsBuilder } from '../../src/wire/control/columns.ts'
import { type RouteBatch, routeBatch } from '../../src/wire/control/route.ts'
import { encodeRoutes } from '../../src/wire/control/split-routes.ts'
import { Readers, type State } from './state.ts'

/** Two clusters; where acme is, and whether there is a second host. */
export function siteText({ acme = 'v1', second = false } = {}): string {
  const machine = second ? ', { name: db, address: 172.16.0.6, host: h2 }' : ''
  return `
site: s
control: { drain_ms: 20, nodes: [{ name: control }, { name: spare }] }
vips: [{ name: v1, address: 10.255.0.1 }, { name: v2, address: 10.255.0.2 }, { name: both, address: 10.255.0.3 }]
clusters:
  - { name: blue, vips: [v1, both], nodes: [{ name: b1, address: 10.0.1.1, ports: [a] }] }
  - { name: green, vips: [v2, both], nodes: [{ name: g1, address: 10.0.1.3, ports: [c] }] }
switches:
  - { name: edge, address: 10.0.0.1, uplinks: [up], ports: [acme, globex], balances: [{ vip: both }] }
hosts: [{ name: h1, address: 10.0.2.1, tunnel: gre }, { name: h2, address: 10.0.2.2, tunnel: gre }]
tenants:
  - name: acme
    vni: 1001
    vip: ${acme}
    connections: [{ name: dc, switch: edge, port: acme, gateway: [192.168.1.1/24], peers: [192.168.1.2] }]
    vpcs: [{ name: prod, machines: [{ name: web, address: 172.16.0.5, host: h1 }${machine}] }]
    routes: [{ prefix: 10.1.0.0/16, via: [192.168.1.2] }, { prefix: 10.2.0.0/16, via: [192.168.1.2, 192.168.1.3] }]
  - name: globex
    vni: 1002
    vip: both
    connections: [{ name: dc, switch: edge, port: globex, gateway: [192.168.1.1/24] }]
`
}

export function siteOf(text: string): Site {
  const { site, errors } = parseSite(text)
  if (!site) throw new Error(JSON.stringify(errors))
  return site
}

/** Routes of both tenants to so many networks from the `from`th on, by one gateway; without one they are withdrawn. */
export function routesOf(
  origin: string,
  via: string | undefined,
  [from, to]: readonly [number, number],
  more: Partial<RouteBatch> = {},
): RouteBatch {
  const v4 = new RouteColumnsBuilder(1)
  for (let i = from; i < to; i++) v4.add4(i % 2, 0x14000000 + i * 256, 24, via === undefined ? 0 : 1)
  return {
    ...{ origin, preference: 100, replaces: false, tenants: ['acme', 'globex'] },
    gateways: via === undefined ? [] : [[{ address: parseAddress(via)!, weight: 1, backup: false }]],
    routes4: v4.build(),
    routes6: new RouteColumnsBuilder(4).build(),
    ...more,
  }
}

/** As they go to the bus. */
export const whole = (batch: RouteBatch): Uint8Array[] => [routeBatch.encode(batch)]
export const inParts = (batch: RouteBatch): Uint8Array[] => encodeRoutes(batch, 1000)

/** A process that said what it had to on its standard output, or ended. */
export interface Running {
  readonly child: ChildProcess
  readonly lines: readonly string[]
  /** Resolves once so many of its lines, from the first or the given one on, begin like this. */
  said(start: string, options?: { from?: number; count?: number }): Promise<void>
  readonly ended: Promise<NodeJS.Signals | null>
}

function run(script: URL, words: readonly string[]): Running {
  const command = ['--disable-warning=ExperimentalWarning', fileURLToPath(script), ...words]
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  const heard = new Set<() => void>()
  createInterface(child.stdout).on('line', (line) => {
    lines.push(line)
    for (const look of heard) look()
  })
  const said: Running['said'] = (start, { from = 0, count = 1 } = {}) =>
    new Promise((resolve) => {
      const look = (): void => {
        if (lines.slice(from).filter((line) => line.startsWith(start)).length < count) return
        heard.delete(look)
        resolve()
      }
      heard.add(look)
      look()
    })
  return { child, lines, said, ended: once(child, 'exit').then(([, signal]) => signal as NodeJS.Signals | null) }
}

interface SceneOptions {
  readonly busHere?: boolean
  readonly store?: string
  readonly nats?: NatsPlace
}

export class Scene {
  readonly directory = mkdtempSync(join(tmpdir(), 'control-'))
  /** What the bus keeps. */
  readonly store: string
  isOver = false
  readonly #isBusHere: boolean
  readonly #nats: NatsPlace | undefined
  #busHere: { close(): Promise<void> } | undefined
  #bus: Running | undefined
  readonly #running = new Set<Running>()
  readonly #clients: Bus[] = []
  readonly #closing: (() => Promise<void>)[] = []

  /** With a bus in this process, which is started again in no time, or one that is killed, or one over NATS that runs. */
  static async of(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
    const scene = new Scene(options)
    t.after(() => scene.#end())
    mkdirSync(scene.store, { recursive: true })
    if (!options.nats) await scene.startBus()
    return scene
  }

  private constructor({ busHere = false, store = join(this.directory, 'store'), nats }: SceneOptions) {
    this.store = store
    this.#isBusHere = busHere
    this.#nats = nats
  }

  async startBus(): Promise<void> {
    if (this.#isBusHere) {
      this.#busHere = await runBus({ directory: this.directory, stateDirectory: this.store, log: silent })
      return
    }
    this.#bus = this.#run(new URL('./bus-process.ts', import.meta.url), [this.directory, this.store])
    await Promise.race([this.#bus.said('up'), this.#bus.ended])
  }

  async killBus(): Promise<void> {
    await this.#busHere?.close()
    if (this.#isBusHere) return
    this.#bus!.child.kill('SIGKILL')
    await this.#bus!.ended
  }

  get busPid(): number {
    return this.#bus!.child.pid!
  }

  /** A connection, by another socket than the bus's own if it is given. */
  join(name: string, socketPath = busSocket(this.directory)): Bus {
    const client = { name, clock: systemClock, random: new Random(freshSeed()) }
    const bus = this.#nats ? connectNats({ ...this.#nats, ...client }) : connectBus({ socketPath, ...client })
    this.#clients.push(bus)
    return bus
  }

  readers(bus: Bus, site: Site, folder = 'nodes'): Readers {
    const readers = new Readers(bus, join(this.directory, folder), site)
    this.#closing.push(() => readers.close())
    return readers
  }

  /** A control module that sends itself the signal at the point, if it ever reaches it. */
  control(
    name: string,
    text: string,
    { at = '-', signal = 'SIGKILL', socketPath = busSocket(this.directory), checkpointAfter_bytes = 1 } = {},
  ): Running {
    const path = join(this.directory, `${name}.yaml`)
    writeFileSync(path, text)
    const place: BusPlace = this.#nats ? { nats: this.#nats } : { socketPath }
    return this.#run(new URL('./control-process.ts', import.meta.url), [
      JSON.stringify(place),
      name,
      path,
      at,
      signal,
      `${checkpointAfter_bytes}`,
    ])
  }

  /** The nodes that `readers` are otherwise, as a process. */
  nodes(text: string, at: string): Running {
    const path = join(this.directory, 'nodes.yaml')
    writeFileSync(path, text)
    const words = [busSocket(this.directory), join(this.directory, 'nodes'), path, at, 'SIGKILL']
    return this.#run(new URL('./node-process.ts', import.meta.url), words)
  }

  /** A control module in this process. */
  controlHere(name: string, text: string, more: Partial<ControlOptions> = {}): { close(): Promise<void> } {
    const options = { name, bus: this.join(name), clock: systemClock, log: silent, site: siteOf(text), ...more }
    const one = serveControl({ checkpointAfter_bytes: 1, newIncarnation, ...options })
    one.ended.catch(() => {})
    this.#closing.push(() => one.close())
    return one
  }

  async #end(): Promise<void> {
    this.isOver = true
    for (const { child } of this.#running) child.kill('SIGCONT')
    await Promise.all(this.#closing.map((close) => close()))
    await Promise.all(this.#clients.map((bus) => bus.close()))
    await this.#busHere?.close()
    for (const { child, ended } of this.#running) {
      child.kill('SIGKILL')
      await ended
    }
    rmSync(this.directory, { recursive: true })
  }

  #run(script: URL, words: readonly string[]): Running {
    const running = run(script, words)
    this.#running.add(running)
    void running.ended.then(() => this.#running.delete(running))
    return running
  }
}

const newIncarnation = (): string => `i${freshSeed()}`

/** As a source does: until it is stored, in order. */
export async function publish(bus: Bus, batches: readonly Uint8Array[]): Promise<void> {
  for (const batch of batches) await untilTaken(bus, () => bus.stream(ROUTES_STREAM, ROUTES_LIMITS).append(batch))
}

export const give = (bus: Bus, text: string): Promise<void> => untilTaken(bus, () => putSite(bus, siteOf(text)))

async function untilTaken(bus: Bus, attempt: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await attempt()
      return
    } catch (error) {
      if (!(error instanceof BusError) || error.code === 'closed') throw error
      if (error.code === 'storage') await new Promise((resolve) => setTimeout(resolve, 20))
      await bus.whenConnected(10_000).catch(() => {})
    }
  }
}

/** What a site comes to with these batches, told by a control module that knows of nothing else. */
export async function freshState(text: string, batches: readonly Uint8Array[]): Promise<State> {
  const directory = mkdtempSync(join(tmpdir(), 'fresh-'))
  const server = await runBus({ directory, stateDirectory: directory, log: silent })
  const clock = systemClock
  const connect = (name: string): Bus =>
    connectBus({ socketPath: busSocket(directory), name, clock, random: new Random(freshSeed()) })
  const [bus, control] = [connect('readers'), connect('control')]
  const site = siteOf(text)
  const readers = new Readers(bus, directory, site)
  await bus.whenConnected(10_000)
  await publish(bus, batches)
  const leading = serveControl({ name: 'control', bus: control, clock, log: silent, site, newIncarnation })
  const isWhole = (): boolean => isAttached(readers, site) && hasExits(readers, site)
  await readers.until(isWhole, () => [...readers.state.keys()].join('\n'))
  const { state } = readers
  await leading.close()
  await readers.close()
  await Promise.all([bus.close(), control.close()])
  await server.close()
  rmSync(directory, { recursive: true })
  return state
}

/** All tenants are behind their VIPs, and what they have is with all that serve it. */
function isAttached({ state }: Readers, { switches, tenants }: Site): boolean {
  return switches.every(({ name }) => {
    const { attachments } = JSON.parse(state.get(name) ?? '{"attachments":[]}') as { attachments: unknown[] }
    return (
      attachments.length ===
      tenants.flatMap(({ connections }) => connections.filter((one) => one.switch === name)).length
    )
  })
}

/** Hosts are told last, one by one. */
function hasExits({ state }: Readers, { hosts, tenants }: Site): boolean {
  return hosts.every(({ name }) => {
    const exits = tenants.flatMap(({ vpcs }) =>
      vpcs.filter(({ machines }) => machines.some(({ host }) => host === name)),
    )
    return state.has(name) && (JSON.parse(state.get(name)!) as unknown[]).length === exits.length
  })
}
