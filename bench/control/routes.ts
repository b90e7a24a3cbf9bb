/**
 * DSR figures 14a and 14b: how long routes take from the first BGP message to the FIB of every node, and out of it again. A
 * neighbour a VRF announces its share of them, all at the same time; the speaker, the bus and the control module are the
 * gateway's own processes, and the nodes are nodes without wires (node.ts).
 */

import type { ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from '../../lab/namespaces.ts'
import { raiseDescriptorLimit } from '../../src/linux/descriptor-limit.ts'
import { ADDRESS, AS, folderOf, NAMESPACE, NEXT_HOP, running, SUBNET } from '../bgp/daemons.ts'
import { startVrfPeers } from '../bgp/many-vrfs.ts'
import { nextOf } from '../bgp/messages-of.ts'
import { startVrfSpeaker, type VrfRunning } from '../bgp/vrf-daemons.ts'
import { type FromVrfPeers, NEIGHBOUR_SUBNET, type ToVrfPeers } from '../bgp/vrf-peers.ts'
import { tenantName } from '../bgp/vrf-speaker.ts'
import { median } from '../measure.ts'
import { linePlot } from '../plot.ts'
import { type BenchOptions, type BenchRow, benchRow } from '../report.ts'
import type { FromNode, NodeSetup } from './node.ts'
import { type BusKind, startSiteBus } from './site-bus.ts'

const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
const SITE = 'bench'
const CLUSTER = 'blue'
const NODES = ['fn-1', 'fn-2']
const NEIGHBOUR = [65_101]
const PATIENCE_ms = 120_000
const REST_ms = 300
/** Of a process beside its sessions. */
const DESCRIPTORS = 1000

type Kind = 'announce' | 'withdraw'
type Times = Readonly<Record<Kind, number>>

interface Load {
  readonly bus: BusKind
  readonly vrfs: readonly number[]
  readonly amounts: readonly number[]
  readonly rounds: number
}

const AMOUNTS = [1000, 10_000, 100_000, 320_000]
const FULL: readonly Load[] = [
  { bus: 'embedded', vrfs: [1, 100, 1000], amounts: AMOUNTS, rounds: 5 },
  { bus: 'NATS', vrfs: [1, 100, 1000], amounts: AMOUNTS, rounds: 3 },
]
const QUICK: readonly Load[] = [
  { bus: 'embedded', vrfs: [1, 10], amounts: [100, 1000], rounds: 1 },
  { bus: 'NATS', vrfs: [10], amounts: [1000], rounds: 1 },
]

/** Of all routes of one VRF. */
const BARS: ReadonlyMap<number, { readonly bar: number; readonly aim: number }> = new Map([
  [1000, { bar: 0.05, aim: 0.02 }],
  [10_000, { bar: 0.2, aim: 0.05 }],
  [320_000, { bar: 1, aim: 0.4 }],
])

/** In the namespace of the BGP benchmarks. */
export async function routeRows(lab: Lab, { quick, say, plot }: BenchOptions): Promise<BenchRow[]> {
  const loads = quick ? QUICK : FULL
  if (!raiseDescriptorLimit(Math.max(...loads.flatMap(({ vrfs }) => vrfs)) + DESCRIPTORS))
    throw new Error('too few files may be open')
  const addresses = Object.values(ADDRESS).map((address) => `address add ${address}/32 dev lo`)
  const routes = [`route add ${SUBNET} dev lo`, `route add local ${NEIGHBOUR_SUBNET} dev lo`]
  await lab.configure(new Map([[NAMESPACE, [...addresses, ...routes]]]))
  const outcomes: Outcome[] = []
  for (const load of loads)
    for (const vrfs of load.vrfs) {
      say(`routes of ${count(vrfs)} VRFs into the FIBs of ${NODES.length} nodes, ${busText(load.bus)}`)
      outcomes.push({ bus: load.bus, vrfs, times: await measure(lab, vrfs, load) })
    }
  plotOutcomes(outcomes, plot)
  return outcomes.flatMap(({ bus, vrfs, times }) =>
    Array.from(times).flatMap(([amount, one]) => rowsOf({ bus, vrfs, amount }, one)),
  )
}

interface Outcome {
  readonly bus: BusKind
  readonly vrfs: number
  /** By how many routes they were. */
  readonly times: ReadonlyMap<number, Times>
}

function busText(bus: BusKind): string {
  return bus === 'embedded' ? 'embedded bus' : 'three nats-servers'
}

function rowsOf({ bus, vrfs, amount }: Omit<Outcome, 'times'> & { amount: number }, times: Times): BenchRow[] {
  const bars = BARS.get(amount)
  return (['announce', 'withdraw'] as const).map((kind) =>
    benchRow({
      what: `${count(amount)} routes of ${count(vrfs)} VRF${vrfs === 1 ? '' : 's'}, BGP message to every FIB, ${busText(bus)}, ${kind}`,
      ...{ value: times[kind], unit: 's', better: 'lower', ...bars },
    }),
  )
}

async function measure(lab: Lab, vrfs: number, { bus, amounts, rounds }: Load): Promise<Map<number, Times>> {
  await using stack = new AsyncDisposableStack()
  const site = await Site.start(lab, bus, vrfs, stack)
  const times = new Map<number, Times>()
  for (const amount of amounts) {
    const measured: Record<Kind, number[]> = { announce: [], withdraw: [] }
    for (let round = 0; round < rounds; round++)
      for (const kind of ['announce', 'withdraw'] as const) {
        await sleep(REST_ms)
        measured[kind].push(await site.change(kind, Math.ceil(amount / vrfs)))
      }
    times.set(amount, { announce: median(measured.announce), withdraw: median(measured.withdraw) })
  }
  return times
}

/** What each node has in its FIB. */
interface NodeProgress {
  readonly child: ChildProcess
  changes: number
  at_ms: number
  /** What was there before the first route came. */
  base: number
}

class Site {
  readonly #vrfs: number
  readonly #peers: ChildProcess
  readonly #nodes: readonly NodeProgress[]
  #expected = 0

  /** Resolves when all sessions are up and every node has what the site file says. */
  static async start(lab: Lab, kind: BusKind, vrfs: number, stack: AsyncDisposableStack): Promise<Site> {
    const folder = join(folderOf(lab, 'control'), `${kind}-${vrfs}`)
    mkdirSync(folder, { mode: 0o750 })
    const file = join(folder, 'site.json')
    const bus = await startSiteBus(lab, kind, { site: SITE, directory: folder }, stack)
    writeFileSync(file, JSON.stringify({ ...siteOf(vrfs), ...bus.settings }))
    for (const role of kind === 'embedded' ? ['bus', 'control'] : ['control'])
      stack.use(stopping(startRole(lab, role, file, folder)))
    const nodes = NODES.map((name) => startNode(lab, { cluster: CLUSTER, name, bus: bus.place, directory: folder }))
    for (const { child } of nodes) stack.use(stopping(child))
    await Promise.all(nodes.map(({ child }) => nextOf<FromNode, 'applied'>(child, 'applied', PATIENCE_ms)))
    for (const node of nodes) node.base = node.changes
    const layout = { vrfs, neighbours: NEIGHBOUR }
    const speaker: VrfRunning = await startVrfSpeaker(lab, layout, bus.place)
    stack.defer(() => speaker.stop())
    const peers = startVrfPeers(lab, { ...layout, address: ADDRESS.daemon, as: AS.daemon, nextHop: NEXT_HOP })
    stack.use(stopping(peers))
    await nextOf<FromVrfPeers, 'up'>(peers, 'up', PATIENCE_ms)
    return new Site(vrfs, peers, nodes)
  }

  private constructor(vrfs: number, peers: ChildProcess, nodes: readonly NodeProgress[]) {
    this.#vrfs = vrfs
    this.#peers = peers
    this.#nodes = nodes
  }

  /** So many routes of each neighbour. Resolves with the seconds until the last node has them. */
  async change(kind: Kind, routes: number): Promise<number> {
    this.#expected += routes * this.#vrfs
    const begun = nextOf<FromVrfPeers, 'passed-on'>(this.#peers, 'passed-on', PATIENCE_ms)
    this.#peers.send({ kind, routes } satisfies ToVrfPeers)
    const [{ from_ms }, ...ends] = await Promise.all([begun, ...this.#nodes.map((node) => this.#reach(node))])
    return (Math.max(...ends) - from_ms) / 1000
  }

  async #reach(node: NodeProgress): Promise<number> {
    while (node.changes - node.base < this.#expected)
      await nextOf<FromNode, 'applied'>(node.child, 'applied', PATIENCE_ms)
    return node.at_ms
  }
}

function startNode(lab: Lab, setup: NodeSetup): NodeProgress {
  const args = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'node.ts'), JSON.stringify(setup)]
  const child = lab.spawn(NAMESPACE, process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const node = { child, changes: 0, at_ms: 0, base: 0 }
  child.on('message', ({ changes, at_ms }: FromNode) => Object.assign(node, { changes, at_ms }))
  return node
}

function startRole(lab: Lab, role: string, file: string, directory: string): ChildProcess {
  const words = ['run', role, file, '--run', directory, '--state', directory]
  const args = ['--disable-warning=ExperimentalWarning', MAIN, ...words]
  return lab.spawn(NAMESPACE, process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

function stopping(child: ChildProcess): AsyncDisposable {
  return { [Symbol.asyncDispose]: () => running(child).stop() }
}

/** Tenants with one connection each, on which the next hop of all routes is. */
function siteOf(vrfs: number): object {
  const vip = 'vip-1'
  return {
    site: SITE,
    gateway: { mac: '02:67:68:00:00:01' },
    vips: [{ name: vip, address: '10.255.0.1' }],
    clusters: [
      {
        ...{ name: CLUSTER, vips: [vip] },
        nodes: NODES.map((name, i) => ({ name, address: `10.0.1.${i + 1}`, ports: ['rack'] })),
      },
    ],
    switches: [{ name: 'edge-1', address: '10.0.0.1', uplinks: ['path'], ports: ['customers'] }],
    tenants: Array.from({ length: vrfs }, (_, i) => ({
      ...{ name: tenantName(i + 1), vni: i + 1, vip },
      connections: [
        {
          ...{ name: 'dc', switch: 'edge-1', port: 'customers', vlan: i + 1 },
          // A subnet that is none of the prefixes which are announced: the file's routes come before those.
          ...{ gateway: ['10.99.0.129/25'], peers: [NEXT_HOP] },
        },
      ],
    })),
  }
}

/** Figure 14a and 14b in one: the paper has the smaller amounts in one and the largest in the other. */
function plotOutcomes(outcomes: readonly Outcome[], plot: BenchOptions['plot']): void {
  for (const kind of ['announce', 'withdraw'] as const)
    plot(
      `control-${kind}.svg`,
      linePlot({
        title: `BGP message to the FIB of every node, ${kind} (DSR figure 14)`,
        ...{ x: { label: 'routes', log: true }, y: { label: 'time [s]', log: true } },
        lines: outcomes.map(({ bus, vrfs, times }) => ({
          name: `${count(vrfs)} VRF${vrfs === 1 ? '' : 's'}, ${busText(bus)}`,
          points: Array.from(times, ([amount, one]) => [amount, one[kind]] as const),
        })),
      }),
    )
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
