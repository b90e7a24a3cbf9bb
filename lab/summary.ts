/**
 * What a demo has to say for itself: at its end in the form that programs read, and each second in lines for people.
 */

import { type Totals, unaccounted } from '../src/dataplane/ledger.ts'
import type { ModuleCounters } from './observe.ts'
import type { TenantTraffic } from './traffic/traffic.ts'

/** Since the traffic started. */
export interface Moment {
  readonly seconds: number
  readonly tenants: readonly TenantTraffic[]
  readonly modules: readonly ModuleCounters[]
}

export interface Summary {
  readonly tenants: readonly TenantSummary[]
  readonly nodes: readonly NodeSummary[]
  /** By reason, over all nodes; `kernel` is what never reached one. */
  readonly drops: Readonly<Record<string, number>>
  readonly conserved: boolean
}

interface TenantSummary {
  readonly name: string
  readonly ping: TenantTraffic['ping']
  readonly tcp: { readonly bytes: number; readonly gbit_per_s: number; readonly failed: number }
  readonly http: { readonly requests: number; readonly failed: number }
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
  /** False too when it no longer answers. */
  readonly conserved: boolean
}

export function summaryOf({ seconds, tenants, modules }: Moment): Summary {
  const nodes = modules.map(nodeSummary)
  return {
    tenants: tenants.map(({ name, ping, tcp, http }) => ({
      name,
      ping,
      tcp: { bytes: tcp.bytes, gbit_per_s: Number(gbitPerSecond(tcp.bytes, seconds).toFixed(3)), failed: tcp.failed },
      http: { requests: http.requests, failed: http.failed },
    })),
    nodes,
    drops: dropsOf(nodes),
    conserved: nodes.every((node) => node.conserved),
  }
}

function nodeSummary({ name, role, totals, kernelDrops }: ModuleCounters): NodeSummary {
  const { received = 0, originated = 0, sent = 0, delivered = 0, drops = {} } = totals ?? {}
  const conserved = totals !== undefined && unaccounted(totals) === 0
  return { name, role, received, originated, sent, delivered, drops, kernel_drops: kernelDrops, conserved }
}

function dropsOf(nodes: readonly NodeSummary[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const { drops, kernel_drops } of nodes)
    for (const [reason, count] of [...Object.entries(drops), ['kernel', kernel_drops] as const])
      if (count > 0) sum[reason] = (sum[reason] ?? 0) + count
  return sum
}

/** Nothing of any tenant was lost or failed, and every frame is accounted for. */
export function isFlawless({ tenants, conserved }: Summary): boolean {
  const isWhole = ({ ping, tcp, http }: TenantSummary): boolean =>
    ping.sent > 0 && ping.lost + tcp.failed + http.failed === 0
  return conserved && tenants.length > 0 && tenants.every(isWhole)
}

function gbitPerSecond(bytes: number, seconds: number): number {
  return seconds > 0 ? (bytes * 8) / seconds / 1e9 : 0
}

/** Tenants beyond these are summed up in a line, for a terminal has an end. */
const TENANTS_SHOWN = 12

/** Rates are of the time between the two moments, counts since the start. */
export function screenOf(before: Moment, now: Moment, events: readonly string[]): string[] {
  const lines = [`${clock(now.seconds)}   Ctrl-C ends it and takes everything down`, '']
  lines.push(row('tenant', 'ping p50', 'p99', 'sent', 'lost', 'TCP Gbit/s', 'failed', 'HTTP req/s', 'failed'))
  for (const [i, tenant] of now.tenants.slice(0, TENANTS_SHOWN).entries())
    lines.push(tenantRow(before.tenants[i], tenant, now.seconds - before.seconds))
  if (now.tenants.length > TENANTS_SHOWN) lines.push(`... and ${now.tenants.length - TENANTS_SHOWN} more tenants`)
  lines.push('', row('node', 'frames/s in', 'out', 'Gbit/s', 'dropped', 'kernel'))
  for (const [i, module] of now.modules.entries())
    lines.push(moduleRow(before.modules[i], module, now.seconds - before.seconds))
  const drops = Object.entries(dropsOf(now.modules.map(nodeSummary)))
  lines.push('', `dropped: ${drops.map(([reason, count]) => `${reason} ${count}`).join(', ') || 'nothing'}`)
  return [...lines, ...events]
}

function tenantRow(before: TenantTraffic | undefined, now: TenantTraffic, seconds: number): string {
  const { name, ping, tcp, http } = now
  const bytes = tcp.bytes - (before?.tcp.bytes ?? 0)
  const requests = http.requests - (before?.http.requests ?? 0)
  const rates = { tcp: gbitPerSecond(bytes, seconds).toFixed(3), http: perSecond(requests, seconds) }
  return row(
    name,
    ...[`${ping.p50_us} us`, `${ping.p99_us} us`, ping.sent, ping.lost],
    ...[rates.tcp, tcp.failed, rates.http, http.failed],
  )
}

function moduleRow(before: ModuleCounters | undefined, now: ModuleCounters, seconds: number): string {
  const { totals } = now
  if (!totals) return row(now.name, 'does not answer')
  const then = before?.totals
  // A module that was started again counts from zero.
  const since = (of: (totals: Totals) => number): number => of(totals) - (then && of(then) <= of(totals) ? of(then) : 0)
  const dropped = Object.values(totals.drops).reduce((sum, count) => sum + count, 0)
  return row(
    now.name,
    perSecond(
      since((each) => each.received),
      seconds,
    ),
    perSecond(
      since((each) => each.sent),
      seconds,
    ),
    gbitPerSecond(
      since((each) => each.sentBytes),
      seconds,
    ).toFixed(3),
    dropped,
    now.kernelDrops,
  )
}

/** One plain line, for logs. */
export function lineOf({ seconds, tenants, modules }: Moment): string {
  const each = tenants
    .slice(0, TENANTS_SHOWN)
    .map(
      ({ name, ping, tcp, http }) =>
        `${name}: ping ${ping.p50_us} us, lost ${ping.lost} of ${ping.sent}; ` +
        `TCP ${gbitPerSecond(tcp.bytes, seconds).toFixed(3)} Gbit/s, failed ${tcp.failed}; ` +
        `HTTP ${http.requests}, failed ${http.failed}`,
    )
  const dropped = Object.values(dropsOf(modules.map(nodeSummary))).reduce((sum, count) => sum + count, 0)
  return `${clock(seconds)} | ${each.join(' | ')} | dropped ${dropped}`
}

const COLUMN = 12

function row(first: string, ...cells: readonly (string | number)[]): string {
  return first.slice(0, COLUMN * 2).padEnd(COLUMN + 4) + cells.map((cell) => String(cell).padStart(COLUMN)).join('')
}

function perSecond(count: number, seconds: number): string {
  return seconds > 0 ? Math.round(count / seconds).toLocaleString('en') : '-'
}

function clock(seconds: number): string {
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}
