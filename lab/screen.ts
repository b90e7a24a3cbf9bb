/**
 * What a demo shows while it runs: a screen for a terminal, a line for everything else. Rates are of the time between
 * the last two moments, latencies of some seconds; counts are since the traffic started.
 */

import type { Totals } from '../src/dataplane/ledger.ts'
import { type Drops, sumOfDrops, UP } from './observe.ts'
import { difference, gbitPerSecond, hasFlapped, lossesOf, type Moment, pingSummary, since } from './summary.ts'
import type { TenantTraffic } from './traffic/traffic.ts'

export interface Moments {
  /** See summaryOf. */
  readonly start: Moment
  /** Some seconds ago: latencies are since then. */
  readonly recent: Moment
  readonly before: Moment
  readonly now: Moment
}

/** Tenants beyond these are summed up in a line, for a terminal has an end. */
const TENANTS_SHOWN = 12

/** All lines but what is dropped, the last column, fit into the 80 columns of a plain terminal. */
const NAME_WIDTH = 12
const TENANT_COLUMNS = { 'ping p50': 10, p99: 9, lost: 6, 'Gbit/s': 9, broken: 8, 'HTTP/s': 8, failed: 8 }
const NODE_COLUMNS = { 'frames/s in': 13, out: 10, 'Gbit/s': 9 }
const SESSION_COLUMNS = { tenant: 14, flaps: 8 }
const NOTHING = 'nothing'

export function screenOf(moments: Moments, events: readonly string[]): string[] {
  const { now } = moments
  const rows = tenantRows(moments)
  const lines = [`${clock(now.seconds)}  real traffic of ${rows.length} tenants, losses and drops since it began`, '']
  lines.push(row('tenant', TENANT_COLUMNS, Object.keys(TENANT_COLUMNS), 'dropped'))
  for (const { tenant, ping, gbit, requests, drops } of rows.slice(0, TENANTS_SHOWN)) {
    const { name, tcp, http } = tenant
    const cells = [time(ping.p50_us), time(ping.p99_us), ping.lost, gbit, tcp.failed, requests, http.failed]
    lines.push(row(name, TENANT_COLUMNS, cells, reasons(drops)))
  }
  const others = rows.slice(TENANTS_SHOWN)
  if (others.length > 0)
    lines.push(`... and ${others.length} more; dropped ${reasons(sumOfDrops(others.map(({ drops }) => drops)))}`)
  lines.push('', row('node', NODE_COLUMNS, Object.keys(NODE_COLUMNS), 'dropped'))
  for (const { name, rates, drops } of nodeRows(moments))
    lines.push(rates ? row(name, NODE_COLUMNS, [rates.in, rates.out, rates.gbit], reasons(drops)) : silent(name))
  lines.push(...sessionLines(now))
  const outside = difference(moments.start.outside, now.outside)
  if (Object.keys(outside).length > 0) lines.push('', `lost around it: ${reasons(outside)}`)
  return events.length > 0 ? [...lines, '', ...events] : lines
}

function sessionLines({ sessions }: Moment): string[] {
  if (sessions.length === 0) return []
  const lines = ['', row('session', SESSION_COLUMNS, Object.keys(SESSION_COLUMNS), 'BGP')]
  for (const { name, tenant, row: told } of sessions.slice(0, TENANTS_SHOWN))
    lines.push(told ? row(name, SESSION_COLUMNS, [tenant, told.flaps], told.state) : silent(name))
  const others = sessions.slice(TENANTS_SHOWN)
  const up = others.filter(({ row: told }) => told?.state === UP).length
  return others.length > 0 ? [...lines, `... and ${others.length} more, of which ${up} are up`] : lines
}

/** One plain line, for logs. */
export function lineOf(moments: Moments): string {
  const rows = tenantRows(moments)
  const tenants = rows.slice(0, TENANTS_SHOWN).map(({ tenant: { name, tcp, http }, ping, gbit, requests, drops }) => {
    const pings = `ping p50 ${time(ping.p50_us)}, p99 ${time(ping.p99_us)}, lost ${ping.lost} of ${ping.sent}`
    const rest = `TCP ${gbit} Gbit/s, broken ${tcp.failed}; HTTP ${requests}/s, failed ${http.failed}`
    return `${name}: ${pings}; ${rest}; dropped ${reasons(drops)}`
  })
  const nodes = nodeRows(moments).map(({ name, rates, drops }) =>
    rates ? `${name}: ${rates.in}/s in, ${rates.out}/s out; dropped ${reasons(drops)}` : silent(name),
  )
  const { start, now } = moments
  const up = now.sessions.filter(({ row: told }) => told?.state === UP).length
  const flapped = now.sessions.filter((session, i) => hasFlapped(start.sessions[i], session)).length
  const bgp = now.sessions.length > 0 ? [`BGP: ${up} of ${now.sessions.length} up, flapped ${flapped}`] : []
  const outside = difference(start.outside, now.outside)
  const around = Object.keys(outside).length > 0 ? [`lost around it: ${reasons(outside)}`] : []
  return [clock(now.seconds), ...tenants, ...nodes, ...bgp, ...around].join(' | ')
}

interface TenantRow {
  readonly tenant: TenantTraffic
  readonly ping: ReturnType<typeof pingSummary>
  readonly gbit: string
  readonly requests: string
  readonly drops: Drops
}

function tenantRows({ start, recent, before, now }: Moments): TenantRow[] {
  const seconds = now.seconds - before.seconds
  const modules = now.modules.map((module, i) => since(start.modules[i]!, module))
  return now.tenants.map((tenant, i) => {
    const then = before.tenants[i]
    return {
      tenant,
      ping: pingSummary(recent.tenants[i], tenant.ping),
      gbit: gbitPerSecond(tenant.tcp.bytes - (then?.tcp.bytes ?? 0), seconds).toFixed(3),
      requests: perSecond(tenant.http.requests - (then?.http.requests ?? 0), seconds),
      drops: sumOfDrops(modules.map(({ tenants }) => tenants[tenant.name] ?? {})),
    }
  })
}

interface NodeRow {
  readonly name: string
  /** Undefined when it does not answer. */
  readonly rates: { readonly in: string; readonly out: string; readonly gbit: string } | undefined
  readonly drops: Drops
}

function nodeRows({ start, before, now }: Moments): NodeRow[] {
  const seconds = now.seconds - before.seconds
  return now.modules.map((module, i) => {
    const { name, totals, kernelDrops } = since(start.modules[i]!, module)
    const recent = since(before.modules[i]!, module).totals
    const drops = sumOfDrops([totals?.drops ?? {}, { kernel: kernelDrops }])
    return { name, rates: recent && ratesOf(recent, seconds), drops }
  })
}

function ratesOf({ received, sent, sentBytes }: Totals, seconds: number): NodeRow['rates'] {
  return {
    in: perSecond(received, seconds),
    out: perSecond(sent, seconds),
    gbit: gbitPerSecond(sentBytes, seconds).toFixed(3),
  }
}

const BOLD = '\x1b[1m'
const DIM = '\x1b[2m'
const RED = '\x1b[31m'
const GREEN = '\x1b[32m'
const PLAIN = '\x1b[0m'

/** For a terminal of that many columns: cut off there, and with colours. */
export function painted(line: string, columns: number): string {
  const cut = line.slice(0, columns)
  if (/^(tenant|node|session) /.test(cut)) return `${DIM}${cut}${PLAIN}`
  if (/^\d+:\d\d /.test(cut)) return `${BOLD}${cut}${PLAIN}`
  if (/does not answer/.test(cut)) return `${RED}${cut}${PLAIN}`
  const [, name, middle, last] = /^(\S+)( .*\d)( {2}\S.*)$/.exec(cut) ?? []
  if (name === undefined || last === undefined) return cut
  const dropped = reasonsIn(last)
  const isHarmless = Object.keys(dropped).length > 0 && Object.keys(lossesOf(dropped)).length === 0
  const isWell = [NOTHING, UP].includes(last.trim()) || isHarmless
  return `${BOLD}${name}${PLAIN}${middle}${isWell ? GREEN : RED}${last}${PLAIN}`
}

/** What `reasons` has put into words. */
function reasonsIn(text: string): Drops {
  return Object.fromEntries(Array.from(text.matchAll(/(\S+) (\d+)/g), ([, reason, count]) => [reason, Number(count)]))
}

function reasons(drops: Drops): string {
  const each = Object.entries(drops).map(([reason, count]) => `${reason} ${count}`)
  return each.length > 0 ? each.join(', ') : NOTHING
}

function silent(name: string): string {
  return `${name.padEnd(NAME_WIDTH)} does not answer`
}

function row(
  name: string,
  columns: Readonly<Record<string, number>>,
  cells: readonly (string | number)[],
  last: string,
): string {
  const widths = Object.values(columns)
  const middle = cells.map((cell, i) => String(cell).padStart(widths[i]!)).join('')
  return `${name.slice(0, NAME_WIDTH).padEnd(NAME_WIDTH)}${middle}  ${last}`
}

function time(of_us: number): string {
  return of_us < 1000 ? `${Math.round(of_us)} us` : `${(of_us / 1000).toFixed(1)} ms`
}

function perSecond(count: number, seconds: number): string {
  return seconds > 0 ? Math.round(count / seconds).toLocaleString('en') : '-'
}

function clock(seconds: number): string {
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}
