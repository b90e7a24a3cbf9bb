/**
 * A site's surroundings, made: the namespaces and wires of its topology, its customers' and machines' addresses, a vSwitch
 * on each host, a router at each customer that speaks BGP, and a copy of the site file for `gatehouse up` that names them.
 * The gateway itself is not started here.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createInterface, type Interface } from 'node:readline'
import { systemClock } from '../src/base/clock.ts'
import { freshSeed, Random } from '../src/base/random.ts'
import type { Bus } from '../src/bus/bus.ts'
import { connectBus } from '../src/bus/embedded/client.ts'
import { busSocket } from '../src/bus/embedded/main.ts'
import { connectNats } from '../src/bus/nats/client.ts'
import type { BusPlace } from '../src/bus/place.ts'
import { loadSite } from '../src/config/load.ts'
import type { Site } from '../src/config/site.ts'
import type { KernelDrops } from '../src/dataplane/port.ts'
import type { ConnectionState } from '../src/wire/control/connection.ts'
import { type RunningRouter, routersInstall, startRouter } from './customer-router.ts'
import { Lab } from './namespaces.ts'
import { MANAGEMENT, Management } from './nats/management.ts'
import { overNats, renamed, widened } from './site-file.ts'
import { defaultShape, type Host, type Shape, type Topology, topologyOf } from './topology.ts'
import { attachTrunk } from './trunk.ts'
import { vipsByKey } from './vips.ts'
import { LOSSES, type VSwitchConfig, type VSwitchCounters } from './vswitch/vswitch.ts'

export interface SurroundingsOptions {
  readonly shape?: Partial<Shape>
  /** Hosts, by name, that a test equips itself; all the others get a vSwitch. */
  readonly bareHosts?: readonly string[]
  /** What the modules speak over, whatever the file says: three nats-servers, unless it is the bus of one host. */
  readonly bus?: BusKind
  /** Where several sites are beside each other: the labs of all of them, this one's too, by the names in their files. */
  readonly labs?: ReadonlyMap<string, Lab>
}

export const BUSES = ['embedded', 'nats'] as const
export type BusKind = (typeof BUSES)[number]

/** Of everyone: packets are forwarded by our programs or not at all, and asymmetric ways are right ways. */
const SETTINGS = {
  'net/ipv4/ip_forward': 0,
  'net/ipv4/conf/all/rp_filter': 0,
  'net/ipv4/conf/default/rp_filter': 0,
  'net/ipv4/fib_multipath_hash_policy': 1,
}
const WITHOUT_IPV6 = { 'net/ipv6/conf/all/disable_ipv6': 1, 'net/ipv6/conf/default/disable_ipv6': 1 }
const WITH_IPV6 = {
  'net/ipv6/conf/default/accept_ra': 0,
  'net/ipv6/conf/default/router_solicitations': 0,
  'net/ipv6/conf/default/accept_dad': 0,
  'net/ipv6/fib_multipath_hash_policy': 1,
}

export class Surroundings {
  readonly lab: Lab
  /** As the file describes it, under the file's own names. */
  readonly site: Site
  readonly topology: Topology
  /** For `gatehouse up`. */
  readonly siteFile: string
  /** Where the gateway may keep its sockets, logs and state. */
  readonly runFolder: string
  readonly vswitches: ReadonlyMap<string, VSwitchProcess>
  /** By the customer's namespace. */
  readonly routers: ReadonlyMap<string, RunningRouter>
  /** The nats-servers, where the bus is NATS, and the network that leads to them. */
  readonly management: Management | undefined
  readonly #detach: readonly (() => void)[]

  /** Throws with the file's errors, one a line. Needs root and iproute2. */
  static async build(path: string, options: SurroundingsOptions = {}): Promise<Surroundings> {
    const { site, errors } = loadSite(path)
    if (!site)
      throw new Error(
        errors
          .map(({ line, column, path: where, message }) => `${path}:${line}:${column} ${where}: ${message}`)
          .join('\n'),
      )
    const shape = { ...defaultShape, routersInstall: routersInstall(), ...options.shape }
    const text = widened(readFileSync(path, 'utf8'), shape.tenantMtu)
    const topology = topologyOf(site, shape)
    const lab = options.labs?.get(site.site) ?? (await Lab.open())
    const sites = new Map(Array.from(options.labs ?? [], ([name, { id }]) => [name, id]))
    let management: Management | undefined
    try {
      await makeNetwork(lab, topology)
      if (options.bus === 'nats')
        management = await Management.build(lab, topology.underlay, { ...SETTINGS, ...WITHOUT_IPV6 })
      const bus = busOf(lab, management)
      const detach = topology.boxes.map((box) => attachTrunk(box, lab.fullName(box.namespace)))
      const hosts = topology.hosts.filter((host) => !options.bareHosts?.includes(host.name))
      const vswitches = await Promise.all(hosts.map((host) => VSwitchProcess.start(lab, site, host, bus)))
      const routers = await startRouters(lab, topology, shape)
      return new Surroundings(lab, site, topology, { text, sites, vswitches, routers, detach, management })
    } catch (error) {
      await management?.close()
      await lab.close()
      throw error
    }
  }

  private constructor(lab: Lab, site: Site, topology: Topology, made: Made) {
    const { text, sites, vswitches, routers, detach, management } = made
    const namespaceOf = (name: string): string => lab.fullName(name)
    this.lab = lab
    this.site = site
    this.topology = topology
    this.siteFile = `${lab.folder}/site.yaml`
    this.runFolder = runFolderOf(lab)
    mkdirSync(this.runFolder, { mode: 0o750 }) // whatever the umask: nobody else may write a run directory
    writeFileSync(
      this.siteFile,
      renamed(management ? overNats(text, management.servers) : text, lab.id, namespaceOf, sites),
    )
    this.management = management
    this.vswitches = new Map(vswitches.map((vswitch) => [vswitch.host, vswitch]))
    this.routers = routers
    this.#detach = detach
  }

  /** The namespace of what the file gives none: `gatehouse up` and control modules. */
  get home(): string | undefined {
    return this.management && MANAGEMENT
  }

  /** A client of the site's bus in this process; whoever opens it closes it. */
  connect(name: string): Bus {
    const client = { name, clock: systemClock, random: new Random(freshSeed()) }
    if (!this.management) return connectBus({ socketPath: busSocket(this.runFolder), ...client })
    return connectNats({ site: this.lab.id, servers: this.management.fromHere, replicas: 3, ...client })
  }

  async close(): Promise<void> {
    for (const detach of this.#detach) detach()
    await Promise.all(Array.from(this.vswitches.values(), (vswitch) => vswitch.stop()))
    await this.management?.close()
    await this.lab.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function runFolderOf(lab: Lab): string {
  return `${lab.folder}/run`
}

/** As processes in the namespaces of hosts see it. */
function busOf(lab: Lab, management: Management | undefined): BusPlace {
  if (!management) return { socketPath: busSocket(runFolderOf(lab)) }
  return { nats: { site: lab.id, servers: management.servers, replicas: 3 } }
}

interface Made {
  readonly text: string
  readonly sites: ReadonlyMap<string, string>
  readonly vswitches: readonly VSwitchProcess[]
  readonly routers: ReadonlyMap<string, RunningRouter>
  readonly detach: readonly (() => void)[]
  readonly management: Management | undefined
}

async function startRouters(lab: Lab, { customers }: Topology, { routersInstall: isInstalling }: Shape) {
  const started = customers.flatMap(({ router, ...customer }) => {
    if (!router) return []
    return [startRouter(lab, { ...customer, router }, isInstalling).then((one) => [customer.namespace, one] as const)]
  })
  return new Map<string, RunningRouter>(await Promise.all(started))
}

async function makeNetwork(lab: Lab, topology: Topology): Promise<void> {
  const { underlay, overlay, speakers, boxes, customers, hosts, links, commands } = topology
  const withIpv6 = new Set(topology.hasIpv6Underlay ? underlay : speakers)
  for (const { namespace, addresses } of [...customers, ...hosts.flatMap((host) => host.machines)])
    if (addresses.some((address) => address.includes(':'))) withIpv6.add(namespace)
  const names = [...underlay, ...overlay, ...boxes.map((box) => box.namespace)]
  await lab.addNamespaces(
    names.filter((name) => withIpv6.has(name)),
    { ...SETTINGS, ...WITH_IPV6 },
  )
  await lab.addNamespaces(
    names.filter((name) => !withIpv6.has(name)),
    { ...SETTINGS, ...WITHOUT_IPV6 },
  )
  await lab.addLinks(links)
  await lab.configure(commands)
}

interface VSwitchAnswer {
  readonly counters: VSwitchCounters
  readonly kernelDrops: Readonly<Record<string, KernelDrops>>
  readonly connections: readonly ConnectionState[]
}

export class VSwitchProcess {
  readonly host: string
  readonly #process: ChildProcess
  readonly #answers: AsyncIterator<string>
  readonly #lines: Interface

  static async start(lab: Lab, site: Site, host: Host, bus: BusPlace): Promise<VSwitchProcess> {
    if (host.entry.tunnel !== 'gre' || host.entry.payload === 'ethernet')
      throw new Error(
        `lab: host ${host.name} wants ${host.entry.tunnel} with Ethernet; the lab's vSwitch speaks GRE with IP`,
      )
    const config: VSwitchConfig = {
      address: host.entry.address,
      gatewayMac: site.gateway.mac,
      uplinks: host.uplinks,
      machines: host.machines,
      vips: Array.from(vipsByKey(site), ([key, vip]) => ({ key, vip })),
      bus,
    }
    const file = `${lab.folder}/${host.name}.vswitch.json`
    writeFileSync(file, JSON.stringify(config))
    const main = new URL('./vswitch/main.ts', import.meta.url).pathname
    const args = ['--disable-warning=ExperimentalWarning', main, file]
    const process_ = lab.spawn(host.namespace, process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const vswitch = new VSwitchProcess(host.name, process_)
    if ((await vswitch.#answer()) !== 'ready') throw new Error(`lab: the vSwitch of ${host.name} did not start`)
    return vswitch
  }

  private constructor(host: string, process_: ChildProcess) {
    this.host = host
    this.#process = process_
    this.#lines = createInterface({ input: process_.stdout! })
    this.#answers = this.#lines[Symbol.asyncIterator]()
  }

  async #answer(): Promise<string | undefined> {
    const { value, done } = await this.#answers.next()
    return done ? undefined : value
  }

  async #ask(request: object): Promise<string> {
    this.#process.stdin!.write(`${JSON.stringify(request)}\n`)
    const answer = await this.#answer()
    if (answer === undefined) throw new Error(`lab: the vSwitch of ${this.host} has ended`)
    return answer
  }

  /** From now on the VPC's packets go to this VIP. */
  async setVip(key: number, vip: string): Promise<void> {
    await this.#ask({ setVip: { key, vip } })
  }

  async counters(): Promise<VSwitchCounters> {
    return JSON.parse(await this.#ask({ counters: true })).counters
  }

  /** What it has heard of the connections of its machines' tenants. */
  async connections(): Promise<readonly ConnectionState[]> {
    const { connections }: VSwitchAnswer = JSON.parse(await this.#ask({ counters: true }))
    return connections
  }

  /** What it has lost, by reason; `kernel` is what never reached it. */
  async losses(): Promise<Readonly<Record<string, number>>> {
    const { counters, kernelDrops }: VSwitchAnswer = JSON.parse(await this.#ask({ counters: true }))
    const kernel = Object.values(kernelDrops).reduce((sum, { received, invalid }) => sum + received + invalid, 0)
    const losses = [...LOSSES.map((reason) => [reason, counters[reason]] as const), ['kernel', kernel] as const]
    return Object.fromEntries(losses.filter(([, count]) => count > 0))
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.stdin!.end()
    await exited
  }
}
