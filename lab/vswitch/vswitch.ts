/**
 * The virtual switch of a host in the lab: machines on one side, GRE with a key a VPC on the other (RFC 2784, RFC
 * 2890).
 *
 *   machine --(Ethernet; every neighbour is the gateway)-- vSwitch --(IP in GRE)-- uplinks -- the tenant's VIP
 *
 * It routes nothing: what a machine sends goes to its tenant's VIP, also what is for a machine beside it, and what
 * comes from the tunnel goes to the machine that has the key and the address. Addresses of VPCs may overlap. It stands
 * in for whatever a cloud runs on its hosts and shares no tunnel code with the gateway, so that the two check each
 * other. IP in GRE only; Open vSwitch plays the hosts that want Ethernet.
 */

import { type IpAddress, parseAddress, parseMac } from '../../src/base/address.ts'
import { bucketOf, mix32 } from '../../src/base/hash.ts'
import type { BusPlace } from '../../src/bus/place.ts'
import { Batch } from '../../src/dataplane/batch.ts'
import { flowHash4, flowHash6 } from '../../src/dataplane/flow.ts'
import type { FramePool, Frames } from '../../src/dataplane/frames.ts'
import type { Port } from '../../src/dataplane/port.ts'
import { decapsulatedTos } from '../../src/wire/ecn.ts'
import { ETHERTYPE, ethernet } from '../../src/wire/ethernet.ts'
import { Fault } from '../../src/wire/fault.ts'
import { checkIpv4Header, ipv4, setTos } from '../../src/wire/ipv4.ts'
import { checkIpv6Header, ipv6, setTrafficClass, trafficClass } from '../../src/wire/ipv6.ts'
import { answerArp, answerNeighbourSolicitation } from './answer.ts'
import { finishOuter, opened, openTunnel, outerHeader } from './tunnel.ts'

export interface VSwitchConfig {
  /** The host's own address, the near end of its tunnels. */
  readonly address: string
  readonly gatewayMac: string
  /** The ports' order is: uplinks, then machines. */
  readonly uplinks: readonly { readonly interface: string; readonly mac: string; readonly nextHopMac: string }[]
  readonly machines: readonly {
    readonly interface: string
    readonly key: number
    readonly mac: string
    readonly addresses: readonly string[]
  }[]
  /** Which VIP a VPC's packets go to. */
  readonly vips: readonly { readonly key: number; readonly vip: string }[]
  /** Of the site, if it listens there. */
  readonly bus?: BusPlace
}

interface Machine {
  readonly port: number
  readonly key: number
  readonly mac: number
  readonly addresses: readonly IpAddress[]
}

/** What becomes of a frame: it leaves as one of the first three, or is dropped. */
type Sent = 'to-tunnel' | 'to-machine' | 'answered'
type Dropped = 'ignored' | 'malformed' | 'no-tunnel' | 'no-machine' | 'congested' | 'uplink-full' | 'machine-full'
type Outcome = Sent | Dropped
export type VSwitchCounters = Record<Outcome, number>

/** Drops of what somebody has sent in good faith; what is ignored are a kernel's multicasts. */
export const LOSSES: readonly Dropped[] = [
  'malformed',
  'no-tunnel',
  'no-machine',
  'congested',
  'uplink-full',
  'machine-full',
]

/** Must differ from what switches and workers mix in, see dataplane/flow.ts. */
const SALT = 0x3ad8025f

export class VSwitch {
  readonly counters: VSwitchCounters = {
    'to-tunnel': 0,
    'to-machine': 0,
    answered: 0,
    ignored: 0,
    malformed: 0,
    'no-tunnel': 0,
    'no-machine': 0,
    congested: 0,
    'uplink-full': 0,
    'machine-full': 0,
  }
  readonly #frames: Frames
  readonly #pool: FramePool
  readonly #ports: readonly Port[]
  readonly #config: VSwitchConfig
  readonly #gatewayMac: number
  readonly #machines: readonly Machine[]
  readonly #machinesOfKey = new Map<number, Machine[]>()
  /** Outer headers by key, one an uplink. */
  readonly #tunnels = new Map<number, readonly Uint8Array[]>()
  /** Indices of the uplinks that have a carrier. */
  #up: readonly number[]
  readonly #batch = new Batch()

  constructor(config: VSwitchConfig, frames: Frames, pool: FramePool, ports: readonly Port[]) {
    this.#config = config
    this.#frames = frames
    this.#pool = pool
    this.#ports = ports
    this.#gatewayMac = macNumber(config.gatewayMac)
    this.#up = config.uplinks.map((_, i) => i)
    this.#machines = config.machines.map(({ key, mac, addresses }, i) => ({
      port: config.uplinks.length + i,
      key,
      mac: macNumber(mac),
      addresses: addresses.map((text) => parseAddress(text)!),
    }))
    for (const machine of this.#machines)
      this.#machinesOfKey.set(machine.key, [...(this.#machinesOfKey.get(machine.key) ?? []), machine])
    for (const { key, vip } of config.vips) this.setVip(key, vip)
  }

  /** From now on the VPC's packets go there. */
  setVip(key: number, vip: string): void {
    const { address, uplinks } = this.#config
    this.#tunnels.set(
      key,
      uplinks.map(({ mac, nextHopMac }) => outerHeader({ mac, nextHopMac, source: address, destination: vip, key })),
    )
  }

  setCarrier(interfaceName: string, up: boolean): void {
    this.#up = this.#config.uplinks.flatMap((uplink, i) =>
      (uplink.interface === interfaceName ? up : this.#up.includes(i)) ? [i] : [],
    )
  }

  /** One turn over all ports; returns the number of frames taken in. */
  step(): number {
    const batch = this.#batch
    let taken = 0
    for (let i = 0; i < this.#ports.length; i++) {
      batch.count = 0
      this.#ports[i]!.receive(batch, i, batch.room)
      taken += batch.count
      const machine = this.#machines[i - this.#config.uplinks.length]
      for (let row = 0; row < batch.count; row++) {
        const outcome = machine ? this.#fromMachine(batch, row, machine) : this.#fromTunnel(batch, row)
        this.counters[outcome]++
        if (outcome !== 'to-tunnel' && outcome !== 'to-machine' && outcome !== 'answered')
          this.#pool.giveChain(batch.address[row]!, batch.length[row]!, batch.total[row]!)
      }
    }
    for (let i = 0; i < this.#ports.length; i++) this.#ports[i]!.flush()
    return taken
  }

  #fromMachine(batch: Batch, row: number, machine: Machine): Outcome {
    const view = this.#frames.view
    const at = batch.address[row]!
    const end = at + batch.length[row]!
    const l3 = at + ethernet.BYTES
    const etherType = l3 <= end ? ethernet.etherType.get(view, at) : 0
    if (etherType === ETHERTYPE.ipv4) return this.#ipv4FromMachine(batch, row, machine, l3, end)
    if (etherType === ETHERTYPE.ipv6) return this.#ipv6FromMachine(batch, row, machine, l3, end)
    const isAnswered = etherType === ETHERTYPE.arp && answerArp(view, at, end, machine.addresses, this.#gatewayMac)
    return isAnswered ? this.#answer(batch, row, end - at) : 'ignored'
  }

  #ipv4FromMachine(batch: Batch, row: number, machine: Machine, l3: number, end: number): Outcome {
    const view = this.#frames.view
    if (checkIpv4Header(view, l3, end) !== Fault.none) return 'malformed'
    if (ipv4.destination.get(view, l3) >= 0xe0000000) return 'ignored' // multicast, broadcast
    const hash = flowHash4(view, l3, end)
    return this.#toTunnel(
      batch,
      row,
      machine.key,
      ipv4.totalLength.get(view, l3),
      ipv4.tos.get(view, l3),
      ETHERTYPE.ipv4,
      hash,
    )
  }

  #ipv6FromMachine(batch: Batch, row: number, machine: Machine, l3: number, end: number): Outcome {
    const view = this.#frames.view
    if (checkIpv6Header(view, l3, end) !== Fault.none) return 'malformed'
    const bytes = answerNeighbourSolicitation(view, l3, end, machine.addresses, this.#gatewayMac)
    if (bytes > 0) return this.#answer(batch, row, bytes)
    if (view.getUint8(l3 + ipv6.destination.offset) === 0xff) return 'ignored' // multicast
    const length = ipv6.BYTES + ipv6.payloadLength.get(view, l3)
    return this.#toTunnel(
      batch,
      row,
      machine.key,
      length,
      trafficClass(view, l3),
      ETHERTYPE.ipv6,
      flowHash6(view, l3, end),
    )
  }

  #toTunnel(
    batch: Batch,
    row: number,
    key: number,
    ipBytes: number,
    tos: number,
    etherType: number,
    hash: number,
  ): Outcome {
    const headers = this.#tunnels.get(key)
    if (!headers || this.#up.length === 0) return 'no-tunnel'
    const uplink = this.#up[bucketOf(mix32(hash ^ SALT), this.#up.length)]!
    const header = headers[uplink]!
    this.#trim(batch, row, ethernet.BYTES + ipBytes)
    const moved = ethernet.BYTES - header.length
    this.#shift(batch, row, moved)
    const at = batch.address[row]!
    this.#frames.bytes.set(header, at)
    finishOuter(this.#frames.view, at, header.length, batch.total[row]!, tos, etherType)
    return this.#send(batch, row, uplink, 'to-tunnel', 'uplink-full')
  }

  #fromTunnel(batch: Batch, row: number): Outcome {
    const view = this.#frames.view
    const at = batch.address[row]!
    const end = at + batch.length[row]!
    if (!openTunnel(view, at, end)) return 'malformed'
    const l3 = opened.at
    const fault = opened.isIpv6 ? checkIpv6Header(view, l3, end) : checkIpv4Header(view, l3, end)
    if (fault !== Fault.none) return 'malformed'
    const destination = l3 + (opened.isIpv6 ? ipv6.destination.offset : ipv4.destination.offset)
    const machine = this.#find(opened.key, destination, opened.isIpv6 ? 16 : 4)
    if (!machine) return 'no-machine'
    if (!this.#combineCongestion(l3)) return 'congested'
    this.#shift(batch, row, l3 - ethernet.BYTES - at)
    const ipBytes = opened.isIpv6 ? ipv6.BYTES + ipv6.payloadLength.get(view, l3) : ipv4.totalLength.get(view, l3)
    this.#trim(batch, row, ethernet.BYTES + ipBytes)
    const start = batch.address[row]!
    ethernet.destination.set(view, start, machine.mac)
    ethernet.source.set(view, start, this.#gatewayMac)
    ethernet.etherType.set(view, start, opened.isIpv6 ? ETHERTYPE.ipv6 : ETHERTYPE.ipv4)
    return this.#send(batch, row, machine.port, 'to-machine', 'machine-full')
  }

  /** RFC 6040 section 4.2; false when the packet must go. */
  #combineCongestion(l3: number): boolean {
    const view = this.#frames.view
    const inner = opened.isIpv6 ? trafficClass(view, l3) : ipv4.tos.get(view, l3)
    const tos = decapsulatedTos(inner, opened.tos)
    if (tos < 0) return false
    if (tos !== inner && opened.isIpv6) setTrafficClass(view, l3, tos)
    else if (tos !== inner) setTos(view, l3, tos)
    return true
  }

  #find(key: number, addressAt: number, length: number): Machine | undefined {
    const machines = this.#machinesOfKey.get(key)
    if (!machines) return undefined
    for (let i = 0; i < machines.length; i++) {
      const addresses = machines[i]!.addresses
      for (let j = 0; j < addresses.length; j++)
        if (addresses[j]!.length === length && this.#isAt(addresses[j]!, addressAt)) return machines[i]
    }
    return undefined
  }

  #isAt(address: IpAddress, at: number): boolean {
    for (let i = 0; i < address.length; i++) if (this.#frames.bytes[at + i] !== address[i]) return false
    return true
  }

  /** Moves the frame's beginning; a negative number prepends. */
  #shift(batch: Batch, row: number, bytes: number): void {
    batch.address[row]! += bytes
    batch.length[row]! -= bytes
    batch.total[row]! -= bytes
  }

  /** Cuts Ethernet's padding off a frame that lies in one piece. */
  #trim(batch: Batch, row: number, bytes: number): void {
    if (batch.length[row] !== batch.total[row] || bytes >= batch.total[row]!) return
    batch.length[row] = bytes
    batch.total[row] = bytes
  }

  #answer(batch: Batch, row: number, bytes: number): Outcome {
    batch.length[row] = bytes
    batch.total[row] = bytes
    return this.#send(batch, row, batch.port[row]!, 'answered', 'machine-full')
  }

  #send(batch: Batch, row: number, port: number, sent: Sent, refused: Dropped): Outcome {
    return this.#ports[port]!.send(batch.address[row]!, batch.length[row]!, batch.total[row]!) ? sent : refused
  }
}

function macNumber(text: string): number {
  return parseMac(text)!.reduce((sum, byte) => sum * 256 + byte, 0)
}
