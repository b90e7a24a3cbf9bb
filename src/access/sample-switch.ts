/**
 * A small switch in memory that does all that a switch can do: it is an edge for three tenants and a rack switch for
 * three nodes. What the warm-up, the fuzzer and the tests work on.
 *
 *   acme, branch  --+                  +-- path-a, path-b --> fabric (10.255.0.2, fd00:ffff::2)
 *   trunk 200, 300 -+----- switch -----+-- fn-1, fn-2, fn-3 --> nodes behind the VIPs 10.255.0.9, fd00:ffff::9
 *                    10.0.0.1 fd00::1  +-- host-1 --> 10.0.2.1, fd00:2::1
 */

import { parseAddress, parseMac, parsePrefix } from '../base/address.ts'
import { assert } from '../base/assert.ts'
import { Drop } from '../dataplane/drop.ts'
import { type Member, openSelectGroup, type SelectGroup, type Selection } from '../dataplane/group.ts'
import { type Adjacency, routedAction, type TunnelEnds, vxlanAction } from '../dataplane/template.ts'
import { hostPrefix, MemorySwitch, type MemorySwitchOptions } from './memory-switch.ts'

const address = (text: string) => parseAddress(text)!
const macOf = (text: string) => parseMac(text)!

export const OWN = '10.0.0.1'
export const OWN6 = 'fd00::1'
/** Where the tenants' gateway is, somewhere in the fabric. */
export const GATEWAY = '10.255.0.2'
export const GATEWAY6 = 'fd00:ffff::2'
/** VIPs whose nodes are behind this switch. */
export const VIP = '10.255.0.9'
export const VIP6 = 'fd00:ffff::9'
export const HOST = '10.0.2.1'
export const HOST6 = 'fd00:2::1'
/** Routes to addresses that no neighbour has answered for. */
export const UNRESOLVED = '10.0.3.1'
export const UNRESOLVED6 = 'fd00:3::1'

export const PATHS = ['path-a', 'path-b'] as const
export const NODES = ['fn-1', 'fn-2', 'fn-3'] as const

/** Tenants by the wire that they are behind. */
export const ACME = { vni: 1001, port: 'acme', vlan: 0 } as const
export const GLOBEX = { vni: 1002, port: 'trunk', vlan: 200 } as const
/** Its gateway is reached over IPv6. */
export const INITECH = { vni: 1003, port: 'trunk', vlan: 300 } as const
/** One tenant with two more wires, where the switch is a bridge. */
export const HOOLI = { vni: 1004, port: 'trunk', vlan: 400 } as const
export const HOOLI_BRANCH = { vni: 1004, port: 'branch', vlan: 0 } as const

export const MTU = 1600
export const CUSTOMER_MTU = 1500

/** The switch's MAC address on a port, and its neighbour's there. */
export function portMacs(port: string): { source: string; destination: string } {
  const index = [...PATHS, ...NODES, 'host-1'].indexOf(port) + 1
  return { source: `02:00:00:00:01:0${index}`, destination: `02:00:00:00:02:0${index}` }
}

/** A tunnel to a gateway by one path. */
interface PathTunnel {
  readonly path: string
  readonly ends: TunnelEnds
  readonly slot: number
}

export class SampleSwitch extends MemorySwitch {
  /** Slots by port: the store of one takes a link down. */
  readonly #toPort: ReadonlyMap<string, number>
  readonly #nodes: SelectGroup
  readonly #pathGroups: { readonly group: SelectGroup; readonly slotOf: (path: string) => number }[] = []
  readonly #tunnels: PathTunnel[] = []

  constructor(options: Partial<MemorySwitchOptions> = {}) {
    const uplinks = [...PATHS, ...NODES, 'host-1']
    super({ customers: ['acme', 'branch', 'trunk'], uplinks, ...options })
    this.#toPort = new Map(uplinks.map((port) => [port, this.slot(routedAction(this.adjacency(port)))]))
    this.#nodes = this.#group('resilient')
    this.setNodes(NODES)
    this.#layUnderlay()
    this.#layTenants()
    this.setPaths(PATHS)
  }

  adjacency(port: string): Adjacency {
    const { source, destination } = portMacs(port)
    return { port: this.port(port), source: macOf(source), destination: macOf(destination), mtu: MTU }
  }

  setNodes(alive: readonly string[]): void {
    this.#nodes.update(this.#members(NODES, alive, (name) => this.#toPort.get(name)!))
  }

  setPaths(alive: readonly string[]): void {
    for (const { group, slotOf } of this.#pathGroups) group.update(this.#members(PATHS, alive, slotOf))
  }

  /** Gives the port's next hop another adjacency. */
  layPort(port: string, adjacency: Adjacency): void {
    this.writers.actions.set(this.#toPort.get(port)!, routedAction(adjacency))
  }

  /** Lays all tunnels by the path anew; without an adjacency they drop. */
  layTunnels(path: string, adjacency: Adjacency | undefined): void {
    for (const tunnel of this.#tunnels) {
      if (tunnel.path !== path) continue
      const drop = { kind: 'drop', reason: Drop['underlay-unresolved'] } as const
      this.writers.actions.set(tunnel.slot, adjacency ? vxlanAction(adjacency, tunnel.ends, 0) : drop)
    }
  }

  #members(names: readonly string[], alive: readonly string[], slotOf: (name: string) => number): Member[] {
    return names.map((name) => ({ name, slot: slotOf(name), weight: 1, alive: alive.includes(name) }))
  }

  #group(selection: Selection): SelectGroup {
    const group = openSelectGroup(this.writers.actions, selection)
    assert(group !== undefined, 'out of slots')
    return group
  }

  #pathGroup(slotOf: (path: string) => number): number {
    const group = this.#group('modulo')
    this.#pathGroups.push({ group, slotOf })
    return group.slot
  }

  #layUnderlay(): void {
    const paths = this.#pathGroup((path) => this.#toPort.get(path)!)
    for (const prefix of ['10.255.0.0/24', '10.9.0.0/16', 'fd00:ffff::/64']) this.route(parsePrefix(prefix)!, paths)
    for (const host of [HOST, HOST6]) this.route(hostPrefix(address(host)), this.#toPort.get('host-1')!)
    const unresolved = this.slot({ kind: 'drop', reason: Drop['underlay-unresolved'] })
    for (const host of [UNRESOLVED, UNRESOLVED6]) this.route(hostPrefix(address(host)), unresolved)
    for (const own of [OWN, OWN6]) this.tunnelEnd(address(own))
    for (const vip of [VIP, VIP6]) this.spread(address(vip), this.#nodes.slot)
    for (const remote of [GATEWAY, GATEWAY6]) this.believe(address(remote))
  }

  #layTenants(): void {
    const tunnel4 = this.#tunnel({ source: address(OWN), destination: address(GATEWAY) })
    const tunnel6 = this.#tunnel({ source: address(OWN6), destination: address(GATEWAY6) })
    for (const { vni, port, vlan } of [ACME, GLOBEX, INITECH, HOOLI, HOOLI_BRANCH]) {
      const tunnel = vni === INITECH.vni ? tunnel6 : tunnel4
      this.attach({ vni, port: this.port(port), vlan, tunnel, mtu: CUSTOMER_MTU })
    }
  }

  #tunnel(ends: TunnelEnds): number {
    const slots = new Map(PATHS.map((path) => [path, this.slot(vxlanAction(this.adjacency(path), ends, 0))] as const))
    for (const [path, slot] of slots) this.#tunnels.push({ path, ends, slot })
    return this.#pathGroup((path) => slots.get(path as (typeof PATHS)[number])!)
  }
}
