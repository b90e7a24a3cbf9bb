/**
 * Two sites of one operator beside each other, each a lab of its own with its own bus and gateway, and between them a wire
 * from rack switch to rack switch and an orchestrator:
 *
 *   customers -- edge == rack -- nodes, hosts          rack == edge -- customers
 *                         +--------- wan ---------------+
 *
 * Everybody in the underlay of the one finds the VIPs and the routing nodes of the other behind his rack switch.
 */

import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { loadSite } from '../src/config/load.ts'
import type { Site } from '../src/config/site.ts'
import { setOffloads } from '../src/linux/ethtool.ts'
import { withNamespace } from '../src/linux/namespace.ts'
import { Lab } from './namespaces.ts'
import { Surroundings } from './site.ts'
import { defaultShape, type Topology } from './topology.ts'

const MAIN = resolve(import.meta.dirname, '../src/main.ts')
/** The switch of each site that the wire is at, and its port. */
const RACK = 'rack-1'
const WAN = 'wan'
/** Behind those that wires within a site have. */
const WAN_IPV4 = ['169.254.255.0', '169.254.255.1'] as const

export class TwoSites {
  readonly sites: readonly [Surroundings, Surroundings]
  /** For `gatehouse run orchestrator`. */
  readonly orchestratorFile: string

  /** Of two site files. */
  static async build(paths: readonly [string, string]): Promise<TwoSites> {
    const labs = new Map<string, Lab>()
    try {
      for (const path of paths) labs.set(nameIn(path), await Lab.open())
      const shape = { outside: [WAN] }
      const sites: Surroundings[] = []
      // One after the other: each makes namespaces in batches.
      for (const path of paths) sites.push(await Surroundings.build(path, { shape, labs }))
      const made = new TwoSites([sites[0]!, sites[1]!])
      await made.#join()
      return made
    } catch (error) {
      for (const lab of labs.values()) await lab.close()
      throw error
    }
  }

  private constructor(sites: readonly [Surroundings, Surroundings]) {
    this.sites = sites
    this.orchestratorFile = join(sites[0].lab.folder, 'orchestrator.yaml')
    const entries = sites.map(({ lab, runFolder }) => `  - { name: ${lab.id}, directory: ${runFolder} }`)
    const listen = 'listen: { port: 0 }'
    writeFileSync(this.orchestratorFile, ['orchestrator: main', listen, 'sites:', ...entries, ''].join('\n'))
  }

  /** As a process of the first lab's, which logs into its folder. */
  startOrchestrator(): ChildProcess {
    const [{ lab }] = this.sites
    const log = openSync(join(lab.folder, 'orchestrator.log'), 'a')
    const args = ['--disable-warning=ExperimentalWarning', MAIN, 'run', 'orchestrator', this.orchestratorFile]
    const child = lab.spawn(undefined, process.execPath, args, { stdio: ['ignore', log, log] })
    closeSync(log)
    return child
  }

  async close(): Promise<void> {
    await Promise.all(this.sites.map((site) => site.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #join(): Promise<void> {
    const [a, b] = this.sites
    const end = ({ lab }: Surroundings): string[] => ['name', WAN, 'netns', lab.fullName(RACK)]
    const wide = ['mtu', `${defaultShape.underlayMtu}`, 'numrxqueues', '1', 'numtxqueues', '1']
    const words = ['link', 'add', ...end(a), ...wide, 'type', 'veth', 'peer', ...end(b), ...wide]
    await a.lab.run(RACK, 'ip', ...words)
    for (const [i, here] of this.sites.entries()) {
      const there = this.sites[1 - i]!
      withNamespace(here.lab.fullName(RACK), () =>
        setOffloads(WAN, { 'tx-checksum': false, tso: false, gso: false, gro: false }),
      )
      const commands = routesTo(addressesOf(there.site), here.topology, here.site)
      const wan = [`addr add ${WAN_IPV4[i]!}/31 dev ${WAN}`, `link set ${WAN} up`]
      const routes = addressesOf(there.site).map((one) => `route add ${one}/32 via ${WAN_IPV4[1 - i]!} dev ${WAN}`)
      await here.lab.configure(new Map([...commands, [RACK, [...wan, ...routes]]]))
    }
  }
}

function nameIn(path: string): string {
  const { site } = loadSite(path)
  if (!site) throw new Error(`lab: ${path} is no site file`)
  return site.site
}

/** What the other site has to reach: the gateway, and whom it probes. */
function addressesOf({ vips, routing }: Site): string[] {
  return [...vips, ...(routing?.nodes ?? [])].map(({ address }) => address)
}

/** By namespace, of all that have a wire to the rack switch. */
function routesTo(addresses: readonly string[], { links }: Topology, site: Site): Map<string, string[]> {
  const nodes = site.clusters.flatMap((cluster) => cluster.nodes)
  const members = [...nodes, ...site.switches, ...(site.routing?.nodes ?? [])]
  const owns = new Map(members.map(({ name, address }) => [name, address]))
  const commands = new Map<string, string[]>()
  for (const { a, b } of links) {
    const [rack, other] = a.namespace === RACK ? [a, b] : [b, a]
    const source = owns.get(other.namespace)
    const [via] = rack.addresses?.[0]?.split('/') ?? []
    if (rack.namespace !== RACK || source === undefined || via === undefined || commands.has(other.namespace)) continue
    const route = (to: string): string => `route add ${to}/32 via ${via} dev ${other.interface} src ${source}`
    commands.set(other.namespace, addresses.map(route))
  }
  return commands
}
