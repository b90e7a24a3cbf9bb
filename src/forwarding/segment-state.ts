/**
 * A tenant's segment as the agent holds it: its number in shared memory, the remotes admitted to it, each with a slot that
 * leads back to it, and the neighbours on it. Connections are reached through an edge switch by VXLAN; a VPC's machines
 * through hosts, by GRE or VXLAN. Routing nodes are remotes of connections, too, by VXLAN with the connection's VNI. What is
 * behind another site's gateway is a segment whose remotes are that gateway's tunnel endpoints.
 */

import { equalBytes, formatAddress, type IpAddress, type MacAddress, masked } from '../base/address.ts'
import type { Action } from '../dataplane/action.ts'
import { entropyPort } from '../dataplane/encapsulate.ts'
import { type Adjacency, greAction, vxlanAction } from '../dataplane/template.ts'
import type { Way } from '../dataplane/ways.ts'
import type { FibHost, FibInterface, FibSegment, FibSession } from '../wire/control/fib.ts'
import { ethernet } from '../wire/ethernet.ts'
import type { Gleaner } from './gleaner.ts'
import type { NodeParts } from './node-parts.ts'
import { CarriedKind, SenderRole, TunnelKind } from './segments.ts'
import { inTunnel, questionFrame } from './solicit.ts'
import type { TenantState } from './tenant-state.ts'

/** Who may send for a segment. */
interface Sender extends FibHost {
  readonly role: SenderRole
}

/** What one neighbour sends to the gateway, of one kind, and the routing node that it goes to. */
interface Carried extends FibSession {
  readonly kind: CarriedKind
}

interface Remote {
  readonly sender: Sender
  readonly kind: number
  readonly way: Way
}

/** Our MAC address on a segment without interfaces: nobody there is ever asked or answered. */
const NO_MAC = new Uint8Array(6)

export class SegmentState {
  readonly number: number
  readonly tenant: TenantState
  readonly #parts: NodeParts
  #spec: FibSegment
  readonly #remotes = new Map<string, Remote>()
  /** What goes to a routing node of that which neighbours send to the gateway. */
  readonly #carried = new Map<string, Carried>()
  /** Of a customer's segment whose subnet the FIB has a next hop for: it keeps the peers. */
  connected: Gleaner | undefined

  private constructor(parts: NodeParts, tenant: TenantState, spec: FibSegment, number: number) {
    this.#parts = parts
    this.tenant = tenant
    this.#spec = spec
    this.number = number
  }

  /** Returns why it could not be opened. */
  static open(parts: NodeParts, tenant: TenantState, spec: FibSegment): SegmentState | string {
    const number = parts.segments.allocate({ tenant: tenant.row, mac: NO_MAC })
    if (number === undefined) return 'segments are exhausted'
    const segment = new SegmentState(parts, tenant, spec, number)
    parts.segmentsByNumber.set(number, segment)
    const failed = segment.update(spec)
    if (failed === undefined) return segment
    segment.close()
    return failed
  }

  get spec(): FibSegment {
    return this.#spec
  }

  /** VNI or GRE key. */
  get id(): number {
    return idOf(this.#spec)
  }

  /** Nobody sends for the segment any more who is not to, or under another number than it is to have. */
  release(spec: FibSegment): void {
    const renumbered = spec.kind !== this.#spec.kind || idOf(spec) !== this.id
    const keep = renumbered ? new Map<string, Sender>() : remotesOf(spec)
    const wanted = carriedOf(spec)
    this.#removeCarried((key, { speaker }) => wanted.has(key) && keep.has(speakerKey(speaker)))
    this.#removeRemotes(keep)
  }

  /** Takes over what the control module says now, after `release`. Returns why it could not. */
  update(spec: FibSegment): string | undefined {
    const mtuBefore = mtuOf(this.#spec)
    this.#spec = spec
    if (mtuOf(spec) !== mtuBefore) this.relay()
    const { mac, address4, address6 } = identity(spec, this.tenant)
    this.#parts.segments.update(this.number, { tenant: this.tenant.row, mac, address4, address6 })
    if (spec.kind === 'connection') this.connected?.keep(spec.peers)
    for (const [key, sender] of remotesOf(spec)) {
      const failed = this.#remotes.has(key) ? undefined : this.#addRemote(key, sender)
      if (failed !== undefined) return failed
    }
    return this.#setCarried(spec)
  }

  /** The tenant's VIP or the segment's MTU has changed: whatever leads back from here is another. */
  relay(): void {
    for (const remote of this.#remotes.values()) remote.way.lay()
  }

  close(): void {
    this.#parts.neighbours.forgetSegment(this.number)
    this.#removeCarried(() => false)
    this.#removeRemotes(new Map())
    this.#parts.segmentsByNumber.delete(this.number)
    this.#parts.segments.release(this.number)
  }

  /** Sends a question for `target` through the tunnel to `remote`. Nobody is asked while there is no way there. */
  ask(target: IpAddress, remote: IpAddress, tunnel: 'vxlan' | 'gre'): void {
    const own = ownAddressFor(interfacesOf(this.#spec), target)
    const adjacency = this.#parts.ways.adjacencies(remote)[0]
    if (!own || !adjacency) return
    const frame = questionFrame({ source: own.address, mac: own.mac, target })
    const ends = { source: this.tenant.vip, destination: remote }
    this.#parts.send({
      kind: 'send',
      port: adjacency.port,
      tenant: this.tenant.row,
      frame: inTunnel(adjacency, ends, tunnel, this.id, entropyPort(this.number), frame),
    })
  }

  /** The gateway's MAC address on this segment. */
  get mac(): MacAddress {
    return identity(this.#spec, this.tenant).mac
  }

  #addRemote(key: string, sender: Sender): string | undefined {
    const { segments, ways } = this.#parts
    const kind = TunnelKind[sender.tunnel]
    const way = ways.open(sender.address, (adjacency) => this.#backAction(adjacency, sender))
    if (!way) return 'slots are exhausted'
    const failed = segments.admit(kind, this.id, sender.address, this.number, way.slot, sender.role)
    if (failed === undefined) this.#remotes.set(key, { sender, kind, way })
    else way.close()
    return failed
  }

  #setCarried(spec: FibSegment): string | undefined {
    for (const [key, carried] of carriedOf(spec)) {
      const slot = this.#remotes.get(speakerKey(carried.speaker))?.way.slot
      if (slot === undefined) return `${formatAddress(carried.speaker)} has sessions and is no speaker of the segment`
      const failed = this.#parts.segments.setCarried(carried.kind, this.number, carried.peer, slot)
      if (failed !== undefined) return failed
      this.#carried.set(key, carried)
    }
    return undefined
  }

  // Whole Ethernet frames, as they are: the replies to ARP and neighbour discovery, and what is a routing node's.
  #backAction(adjacency: Adjacency, host: FibHost): Action {
    const ends = { source: this.tenant.vip, destination: host.address }
    const action = host.tunnel === 'vxlan' ? vxlanAction(adjacency, ends, this.id) : greAction(adjacency, ends, this.id)
    const most = mtuOf(this.#spec)
    if (action.kind === 'send' && most > 0) action.mtu = Math.min(action.mtu, most + ethernet.BYTES)
    return action
  }

  #removeCarried(keep: (key: string, carried: Carried) => boolean): void {
    for (const [key, carried] of this.#carried) {
      if (keep(key, carried)) continue
      this.#parts.segments.removeCarried(carried.kind, this.number, carried.peer)
      this.#carried.delete(key)
    }
  }

  #removeRemotes(keep: ReadonlyMap<string, Sender>): void {
    for (const [key, { sender, kind, way }] of this.#remotes) {
      if (keep.has(key)) continue
      this.#parts.segments.remove(kind, this.id, sender.address)
      way.close()
      this.#remotes.delete(key)
    }
  }
}

function idOf(spec: FibSegment): number {
  return spec.kind === 'vpc' ? spec.key : spec.vni
}

/** The largest IP packet there, 0 for any. */
function mtuOf(spec: FibSegment): number {
  return spec.kind === 'vpc' ? 0 : spec.mtu
}

/** By what they are told apart by. */
function remotesOf(spec: FibSegment): Map<string, Sender> {
  return new Map(sendersOf(spec).map((sender) => [keyOf(sender), sender]))
}

function sendersOf(spec: FibSegment): Sender[] {
  const { remote, speaker, site } = SenderRole
  const byVxlan = (address: IpAddress, role: SenderRole): Sender => {
    return { address, tunnel: 'vxlan', payload: 'ethernet', role }
  }
  if (spec.kind === 'vpc') return spec.hosts.map((host) => ({ ...host, role: remote }))
  if (spec.kind === 'site') return spec.remotes.map((address) => byVxlan(address, site))
  return [byVxlan(spec.remote, remote), ...spec.speakers.map((address) => byVxlan(address, speaker))]
}

/** One that becomes a routing node, or is none any more, is another sender. */
function keyOf({ tunnel, address, role }: Sender): string {
  return role === SenderRole.speaker ? speakerKey(address) : `${tunnel} ${address.join('.')}`
}

function speakerKey(address: IpAddress): string {
  return `speaker ${address.join('.')}`
}

/** By the neighbour; the sessions of all the others have no name. */
function carriedOf(spec: FibSegment): Map<string, Carried> {
  if (spec.kind !== 'connection') return new Map()
  const sessions = spec.sessions.map((one) => ({ ...one, kind: CarriedKind.session }))
  const probes = spec.probes.map((one) => ({ ...one, kind: CarriedKind.probe }))
  return new Map([...sessions, ...probes].map((one) => [`${one.kind} ${one.peer?.join('.') ?? ''}`, one]))
}

/** Our addresses on it: none towards another site. */
export function interfacesOf(spec: FibSegment): readonly FibInterface[] {
  return spec.kind === 'site' ? [] : spec.interfaces
}

// A segment without addresses of its own lends the tenant's: ICMP errors must come from somewhere.
function identity(spec: FibSegment, tenant: TenantState) {
  const own = [...interfacesOf(spec), ...tenant.interfaces()]
  return {
    mac: spec.kind === 'site' ? spec.mac : (own[0]?.mac ?? NO_MAC),
    address4: own.find(({ address }) => address.length === 4)?.address,
    address6: own.find(({ address }) => address.length === 16)?.address,
  }
}

/** The interface whose subnet the target is in. */
function ownAddressFor(interfaces: readonly FibInterface[], target: IpAddress): FibInterface | undefined {
  return interfaces.find(
    ({ address, length }) =>
      address.length === target.length && equalBytes(masked(address, length), masked(target, length)),
  )
}
