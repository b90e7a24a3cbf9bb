/**
 * What a demo has to say for itself at its end, in the form that programs read, and whether all was well. What is shown
 * meanwhile is `screen.ts`'s.
 */

import type { DropName } from '../src/dataplane/drop.ts'
import { type Totals, unaccounted } from '../src/dataplane/ledger.ts'
import { type Drops, type ModuleCounters, type SessionState, sumOfDrops, UP } from './observe.ts'
import { Histogram } from './traffic/histogram.ts'
import type { TenantTraffic } from './traffic/traffic.ts'

/** All that was counted until then: by the traffic since its start, by the modules since theirs. */
export interface Moment {
  /** Since the traffic started. */
  readonly seconds: number
  readonly tenants: readonly TenantTraffic[]
  readonly modules: readonly ModuleCounters[]
  /** BGP with tenants' neighbours. */
  readonly sessions: readonly SessionState[]
  /** What was lost around the gateway, see outside.ts. */
  readonly outside: Drops
}

/** Since the traffic started. */
export interface Summary {
  readonly tenants: readonly TenantSummary[]
  /** Those that are up at the end, and those that were down at any time. */
  readonly sessions: { readonly established: number; readonly flapped: number }
  readonly nodes: readonly NodeSummary[]
  /** By reason, over all nodes; `kernel` is what never reached one or never left it. */
  readonly drops: Drops
  readonly conserved: boolean
}

interface TenantSummary {
  readonly name: string
  readonly ping: PingSummary
  readonly tcp: { readonly bytes: number; readonly gbit_per_s: number; readonly failed: number }
  readonly http: { readonly requests: number; readonly failed: number }
}

interface PingSummary {
  readonly sent: number
  readonly lost: number
  readonly p50_us: number
  readonly p99_us: number
}

interface NodeSummary {
  readonly name: string
  readonly role: ModuleCounters['role']
  readonly received: number
  readonly originated: number
  readonly sent: number
  readonly delivered: number
  readonly drops: Totals['drops']
  readonly kernel_drops: number
  /** False too when it no longer answers, or was started again: what it had counted is gone. */
  readonly conserved: boolean
}

/**
 * Drops of what hosts say to their neighbours beside a tenant's packets. Every other reason means that a packet was
 * lost which its tenant had sent in good faith.
 */
const CHATTER: ReadonlySet<string> = new Set<DropName>([
  'arp-ignored',
  'nd-ignored',
  'multicast',
  'link-local',
  'link-control',
])

/**
 * `start` has the modules' counters from before the first packet of the traffic, so that none is missed, and the tenants'
 * from when latencies begin to count.
 */
export function summaryOf(start: Moment, end: Moment): Summary {
  const nodes = end.modules.map((module, i) => nodeSummary(start.modules[i]!, module))
  return {
    tenants: end.tenants.map(({ name, ping, tcp, http }, i) => ({
      name,
      ping: pingSummary(start.tenants[i], ping),
      tcp: {
        bytes: tcp.bytes,
        gbit_per_s: Number(gbitPerSecond(tcp.bytes, end.seconds).toFixed(3)),
        failed: tcp.failed,
      },
      http: { requests: http.requests, failed: http.failed },
    })),
    sessions: {
      established: end.sessions.filter(({ row }) => row?.state === UP).length,
      flapped: end.sessions.filter((session, i) => hasFlapped(start.sessions[i], session)).length,
    },
    nodes,
    drops: sumOfDrops([
      ...nodes.flatMap(({ drops, kernel_drops }) => [drops, { kernel: kernel_drops }]),
      difference(start.outside, end.outside),
    ]),
    conserved: nodes.every((node) => node.conserved),
  }
}

/** It is not up, or another one than the one that was: of another process too. */
export function hasFlapped(then: SessionState | undefined, { row, pid }: SessionState): boolean {
  return row?.state !== UP || then?.pid !== pid || then?.row?.flaps !== row.flaps
}

/** Losses are since the first packet, latencies since `then`. */
export function pingSummary(
  then: TenantTraffic | undefined,
  { sent, lost, latency }: TenantTraffic['ping'],
): PingSummary {
  const histogram = Histogram.between(then?.ping.latency ?? [], latency)
  return { sent, lost, p50_us: histogram.percentile_us(0.5), p99_us: histogram.percentile_us(0.99) }
}

function nodeSummary(start: ModuleCounters, end: ModuleCounters): NodeSummary {
  const { name, role, totals, kernelDrops } = since(start, end)
  const { received = 0, originated = 0, sent = 0, delivered = 0, drops = {} } = totals ?? {}
  const conserved = end.totals !== undefined && unaccounted(end.totals) === 0 && !isAnother(start, end)
  return { name, role, received, originated, sent, delivered, drops, kernel_drops: kernelDrops, conserved }
}

/** Nothing of any tenant was lost or failed, no session went down, no packet was dropped, and every frame is accounted for. */
export function isFlawless({ tenants, sessions, drops, conserved }: Summary): boolean {
  const isWhole = ({ ping, tcp, http }: TenantSummary): boolean =>
    ping.sent > 0 && ping.lost + tcp.failed + http.failed === 0
  if (sessions.flapped > 0) return false
  return conserved && tenants.length > 0 && tenants.every(isWhole) && Object.keys(lossesOf(drops)).length === 0
}

/** Without what is nobody's loss. */
export function lossesOf(drops: Drops): Drops {
  return Object.fromEntries(Object.entries(drops).filter(([reason, count]) => count > 0 && !CHATTER.has(reason)))
}

/** What a module has counted since `then`; one that was started again has counted from zero. */
export function since(then: ModuleCounters, now: ModuleCounters): ModuleCounters {
  if (!then.totals || !now.totals || isAnother(then, now)) return now
  const totals: Record<string, unknown> = { drops: difference(then.totals.drops, now.totals.drops) }
  for (const [name, count] of Object.entries(now.totals))
    if (typeof count === 'number') totals[name] = count - (then.totals[name as keyof Totals] as number)
  const tenants = Object.entries(now.tenants).map(([name, drops]) => [
    name,
    difference(then.tenants[name] ?? {}, drops),
  ])
  return {
    ...now,
    totals: totals as unknown as Totals,
    kernelDrops: now.kernelDrops - then.kernelDrops,
    tenants: Object.fromEntries(tenants),
  }
}

function isAnother(then: ModuleCounters, now: ModuleCounters): boolean {
  const hasOtherPid = then.pid !== undefined && now.pid !== undefined && then.pid !== now.pid
  return hasOtherPid || (now.totals?.received ?? 0) < (then.totals?.received ?? 0)
}

/** Only reasons that have occurred meanwhile. A tenant's counters begin anew where it has moved away and come back. */
export function difference(then: Drops, now: Drops): Drops {
  const grown = Object.entries(now).map(([reason, count]) => {
    const before = then[reason] ?? 0
    return [reason, count < before ? count : count - before] as const
  })
  return Object.fromEntries(grown.filter(([, count]) => count > 0))
}

export function gbitPerSecond(bytes: number, seconds: number): number {
  return seconds > 0 ? (bytes * 8) / seconds / 1e9 : 0
}
