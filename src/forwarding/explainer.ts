/**
 * What would become of a packet: the program that forwards, run once in the agent's thread over the memory that the workers
 * read, with frames, counters and rate limits of its own. So the answer is not a second opinion but the same code, and nothing
 * leaves. The agent is the one who frees what it has taken out of that memory, and does not while this runs.
 */

import { z } from 'zod'
import { formatAddress, type IpAddress, parseAddress } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import { Actions } from '../dataplane/action.ts'
import { dropReasons } from '../dataplane/drop.ts'
import { FibReader } from '../dataplane/fib/fib.ts'
import { createFrameMemory, FramePool, Frames } from '../dataplane/frames.ts'
import { CounterReader, createCounterMemory, Ledger } from '../dataplane/ledger.ts'
import { MemoryPort } from '../dataplane/memory-port.ts'
import { Policies, type PolicyWriter } from '../dataplane/policy.ts'
import { createQsbrMemory, QsbrReader } from '../dataplane/qsbr.ts'
import { Worker } from '../dataplane/worker.ts'
import { ethernet, gre, icmpEcho, icmpv6Echo, ipv4, ipv6, type Layer, tcp, udp, vxlan } from '../wire/build.ts'
import type { FibHost, FibSegment } from '../wire/control/fib.ts'
import { tunnelId } from '../wire/mutate.ts'
import { UDP_PORT } from '../wire/udp.ts'
import type { Holdings } from './holdings.ts'
import { ForwardingProgram } from './program.ts'
import { Segments } from './segments.ts'
import type { TenantState } from './tenant-state.ts'
import type { ForwardingMemory } from './worker.ts'

const CHUNKS = 64
/** Of a packet that says no other. */
const SOURCE_PORT = 40_000

export const packetQuestion = z.object({
  tenant: z.string(),
  from: z.string(),
  to: z.string(),
  protocol: z.enum(['tcp', 'udp', 'icmp']),
  sourcePort: z.int().min(0).max(65_535).default(SOURCE_PORT),
  port: z.int().min(0).max(65_535).default(0),
  dscp: z.int().min(0).max(63).default(0),
})
export type PacketQuestion = z.output<typeof packetQuestion>

export interface PacketAnswer {
  /** Where it came in. */
  readonly from: string
  /** The policy that decided about it, of which tenant; empty if none did. */
  readonly policy: string
  /** Where it goes, or why it does not. */
  readonly verdict: string
}

export interface ExplainerParts {
  readonly memory: ForwardingMemory
  readonly holdings: Holdings
  readonly policies: PolicyWriter
  readonly clock: Clock
  ports(): readonly string[]
}

export class Explainer {
  readonly #parts: ExplainerParts

  constructor(parts: ExplainerParts) {
    this.#parts = parts
  }

  /** Undefined for a tenant that is not held, or that nothing is known to send for. */
  explain(question: PacketQuestion): PacketAnswer | undefined {
    const tenant = [...this.#parts.holdings.tenants()].find(({ name }) => name === question.tenant)
    const packet = packetOf(question)
    const entry = tenant && packet && entryOf(tenant, packet)
    if (!entry) return undefined
    const { out, drops, policy } = this.#run(entry.frame)
    const reason = dropReasons.find(([name]) => drops.has(name))
    const sent = out[0]
    const verdict = reason ? `dropped: ${reason[0]}, ${reason[1]}` : sent ? this.#wayOf(sent) : 'for the gateway itself'
    return { from: entry.name, policy, verdict }
  }

  #run(frame: Uint8Array): { out: Uint8Array[]; drops: ReadonlySet<string>; policy: string } {
    const { memory, clock, policies, holdings } = this.#parts
    const frames = new Frames(createFrameMemory(CHUNKS))
    const pool = new FramePool(frames, 0, CHUNKS)
    const ports = this.#parts.ports().map((name) => new MemoryPort(name, frames, pool))
    const counterMemory = createCounterMemory(1, memory.tenants)
    const ledger = new Ledger(counterMemory, 0, pool, ports)
    const counters = new SharedArrayBuffer(memory.policies.counters.byteLength)
    const views = {
      ...{ frames, pool, ledger, tenants: memory.tenants },
      fib: new FibReader(memory.fib),
      actions: new Actions(memory.actions),
      segments: new Segments(memory.segments),
      policies: new Policies({ ...memory.policies, counters }, 0),
    }
    // What it would ask for or has heard, nobody is told.
    const program = new ForwardingProgram(views, () => {})
    const worker = new Worker({ ports, program, ledger, qsbr: new QsbrReader(createQsbrMemory(1), 0), clock })
    program.housekeeping(clock.now_us())
    ports[0]!.inject(frame)
    worker.step()
    const drops = new Set(Object.keys(new CounterReader(counterMemory).node().drops))
    const decided = [...holdings.tenants()].flatMap(({ name: tenant, row }) =>
      policies
        .counts(row, new Float64Array(counters))
        .flatMap((one) => (one.packets > 0 ? `${one.name} of ${tenant}` : [])),
    )
    return { out: ports.flatMap((port) => port.sent()), drops, policy: decided.join(', ') }
  }

  // Of a frame that leaves: whose segment is behind the tunnel?
  #wayOf(frame: Uint8Array): string {
    const id = tunnelId(frame)
    const remote = remoteOf(frame)
    for (const tenant of this.#parts.holdings.tenants())
      for (const { spec } of tenant.segments())
        if (leadsTo(spec, id, remote))
          return `to ${formatAddress(remote)} for ${spec.kind} ${spec.name} of ${tenant.name}`
    return `to ${formatAddress(remote)}`
  }
}

function remoteOf(frame: Uint8Array): IpAddress {
  const isOverIpv6 = frame[12] === 0x86
  return isOverIpv6 ? frame.slice(38, 54) : frame.slice(30, 34)
}

function leadsTo(spec: FibSegment, id: number | undefined, remote: IpAddress): boolean {
  const isIt = (address: IpAddress): boolean => formatAddress(address) === formatAddress(remote)
  if (spec.kind === 'vpc') return spec.key === id && spec.hosts.some(({ address }) => isIt(address))
  if (spec.kind === 'site') return spec.vni === id && spec.remotes.some(isIt)
  return spec.vni === id && isIt(spec.remote)
}

function packetOf({ from, to, protocol, sourcePort, port, dscp }: PacketQuestion): Layer | undefined {
  const [source, destination] = [parseAddress(from), parseAddress(to)]
  if (!source || source.length !== destination?.length) return undefined
  const isIpv4 = source.length === 4
  const ports = { sourcePort, destinationPort: port }
  const echo = isIpv4 ? icmpEcho() : icmpv6Echo()
  const payload = protocol === 'icmp' ? echo : protocol === 'tcp' ? tcp(ports) : udp(ports)
  const ends = { source: formatAddress(source), destination: formatAddress(destination) }
  return isIpv4 ? ipv4({ ...ends, tos: dscp << 2 }, payload) : ipv6({ ...ends, trafficClass: dscp << 2 }, payload)
}

/** As a machine would send it, or, of a tenant without machines, what is behind its first connection. */
function entryOf(tenant: TenantState, packet: Layer): { name: string; frame: Uint8Array } | undefined {
  const segments = [...tenant.segments()]
  const vpc = segments.find(({ spec }) => spec.kind === 'vpc' && spec.hosts.length > 0)
  const segment = vpc ?? segments.find(({ spec }) => spec.kind === 'connection')
  if (!segment) return undefined
  const { spec, id, mac } = segment
  const host: FibHost =
    spec.kind === 'vpc'
      ? spec.hosts[0]!
      : { address: spec.kind === 'site' ? spec.remotes[0]! : spec.remote, tunnel: 'vxlan', payload: 'ethernet' }
  const gateway = Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':')
  const framed = ethernet({ destination: gateway }, packet)
  const udpHeader = { sourcePort: SOURCE_PORT, destinationPort: UDP_PORT.vxlan, checksum: false }
  const byGre = () => gre({ key: id }, host.payload === 'ip' ? packet : framed)
  const tunnel = host.tunnel === 'vxlan' ? udp(udpHeader, vxlan({ vni: id }, framed)) : byGre()
  const ends = { source: formatAddress(host.address), destination: formatAddress(tenant.vip) }
  const outer = host.address.length === 4 ? ipv4(ends, tunnel) : ipv6(ends, tunnel)
  return { name: `${spec.kind} ${spec.name}`, frame: ethernet({}, outer) }
}
