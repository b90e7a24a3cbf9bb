/**
 * VIPs and the nodes behind them: for each VIP a group whose members are the ways to its live nodes. A node that dies
 * leaves all groups at once; one that comes back, or is new, comes in when BFD has it up. Where a VIP's tenants are
 * attached to this very switch, a second group of the same choice leads to the same nodes through the tunnel.
 */

import { equalBytes, formatAddress, type IpAddress } from '../base/address.ts'
import type { Action, ActionWriter } from '../dataplane/action.ts'
import { openSelectGroup, type SelectGroup, WEIGHT_MAX } from '../dataplane/group.ts'
import { type Adjacency, routedAction, vxlanAction } from '../dataplane/template.ts'
import type { Way, Ways } from '../dataplane/ways.ts'
import type { Balance, BalancedNode } from '../wire/control/switch.ts'
import type { Liveness } from './liveness.ts'
import type { OwnRoute } from './underlay-table.ts'

export interface BalanceParts {
  readonly actions: ActionWriter
  readonly ways: Ways
  readonly liveness: Liveness
}

const EXHAUSTED = 'slots or members are exhausted'

/** A group over the ways to nodes, each made in the same manner. */
class NodeGroup {
  readonly #parts: BalanceParts
  readonly #group: SelectGroup
  readonly #make: (adjacency: Adjacency) => Action
  readonly #ways = new Map<string, Way>()

  static open(
    parts: BalanceParts,
    selection: Balance['selection'],
    make: (adjacency: Adjacency) => Action,
  ): NodeGroup | undefined {
    const group = openSelectGroup(parts.actions, selection === 'modulo' ? 'two-stage' : 'resilient')
    return group && new NodeGroup(parts, group, make)
  }

  private constructor(parts: BalanceParts, group: SelectGroup, make: (adjacency: Adjacency) => Action) {
    this.#parts = parts
    this.#group = group
    this.#make = make
  }

  get slot(): number {
    return this.#group.slot
  }

  /** Returns why it could not take all of them. */
  update(nodes: readonly BalancedNode[]): string | undefined {
    const { ways, liveness } = this.#parts
    const members = nodes.flatMap(({ name, address, weight }) => {
      const key = formatAddress(address)
      const way = this.#ways.get(key) ?? ways.open(address, this.#make)
      if (way) this.#ways.set(key, way)
      return way ? { name, slot: way.slot, weight, alive: liveness.isAlive(address) } : []
    })
    if (members.length < nodes.length || !this.#group.update(members)) return EXHAUSTED
    for (const [key, way] of this.#ways) {
      if (nodes.some(({ address }) => formatAddress(address) === key)) continue
      way.close()
      this.#ways.delete(key)
    }
    return undefined
  }

  close(): void {
    this.#group.close()
    for (const way of this.#ways.values()) way.close()
  }
}

interface Held {
  balance: Balance
  readonly routed: NodeGroup
  /** For tenants that are attached here: the outer source, and the group into the tunnel. */
  tunnel: { readonly source: IpAddress; readonly group: NodeGroup } | undefined
}

export class Balances {
  readonly #parts: BalanceParts
  readonly #held = new Map<string, Held>()
  #left: NodeGroup[] = []

  constructor(parts: BalanceParts) {
    this.#parts = parts
  }

  /** What is wrong with them, before anything is changed. */
  check(balances: readonly Balance[]): string | undefined {
    for (const { vip, nodes } of balances) {
      const [light] = nodes.filter(({ weight }) => weight < 1 || weight > WEIGHT_MAX)
      if (light) return `VIP ${formatAddress(vip)}: node ${light.name} has a weight of ${light.weight}`
      if (new Set(nodes.map(({ name }) => name)).size < nodes.length)
        return `VIP ${formatAddress(vip)}: a node stands twice`
    }
    return undefined
  }

  /** These are the VIPs now. Returns what could not be taken over. */
  apply(balances: readonly Balance[]): string | undefined {
    const wanted = new Map(balances.map((balance) => [formatAddress(balance.vip), balance]))
    for (const [vip, held] of this.#held)
      if (wanted.get(vip)?.selection !== held.balance.selection) this.#close(vip, held)
    for (const [vip, balance] of wanted) {
      const held = this.#held.get(vip) ?? this.#open(balance)
      if (!held) return `VIP ${vip}: ${EXHAUSTED}`
      for (const { address } of balance.nodes) this.#parts.liveness.watch(address)
      if (this.#held.has(vip)) for (const { address } of held.balance.nodes) this.#parts.liveness.leave(address)
      held.balance = balance
      this.#held.set(vip, held)
    }
    return this.refresh()
  }

  /** Nodes have died, come up or moved. */
  refresh(): string | undefined {
    for (const [vip, { balance, routed, tunnel }] of this.#held) {
      const failed = routed.update(balance.nodes) ?? tunnel?.group.update(balance.nodes)
      if (failed !== undefined) return `VIP ${vip}: ${failed}`
    }
    return undefined
  }

  /** Gives back the groups that nothing leads to any more, now that tables and attachments have followed `apply`. */
  closeLeft(): void {
    for (const group of this.#left.splice(0)) group.close()
  }

  /** For the underlay's table. */
  routes(): OwnRoute[] {
    return [...this.#held.values()].map(({ balance, routed }) => ({ address: balance.vip, local: routed.slot }))
  }

  /**
   * The slot of the group that leads to the VIP's nodes through the tunnel; undefined if the VIP is not spread here.
   */
  tunnelTo(vip: IpAddress, source: IpAddress): number | undefined {
    const held = this.#held.get(formatAddress(vip))
    if (!held) return undefined
    if (held.tunnel && equalBytes(held.tunnel.source, source)) return held.tunnel.group.slot
    const make = (adjacency: Adjacency) => vxlanAction(adjacency, { source, destination: vip }, 0)
    const group = NodeGroup.open(this.#parts, held.balance.selection, make)
    if (!group) return undefined
    if (held.tunnel) this.#left.push(held.tunnel.group)
    held.tunnel = { source, group }
    group.update(held.balance.nodes)
    return group.slot
  }

  /** Where the node of this name is; nowhere if it serves no VIP that is spread here. */
  addressOf(name: string): IpAddress | undefined {
    for (const { balance } of this.#held.values())
      for (const node of balance.nodes) if (node.name === name) return node.address
    return undefined
  }

  /** For people: a row a VIP and node. */
  show(): { vip: string; selection: string; node: string; address: string; bfd: string; alive: boolean }[] {
    const { liveness } = this.#parts
    return [...this.#held].flatMap(([vip, { balance }]) =>
      balance.nodes.map(({ name, address }) => ({
        ...{ vip, selection: balance.selection, node: name, address: formatAddress(address) },
        ...{ bfd: liveness.stateOf(address), alive: liveness.isAlive(address) },
      })),
    )
  }

  #open(balance: Balance): Held | undefined {
    const routed = NodeGroup.open(this.#parts, balance.selection, routedAction)
    return routed && { balance, routed, tunnel: undefined }
  }

  #close(vip: string, { balance, routed, tunnel }: Held): void {
    this.#held.delete(vip)
    for (const { address } of balance.nodes) this.#parts.liveness.leave(address)
    this.#left.push(routed, ...(tunnel ? [tunnel.group] : []))
  }
}
