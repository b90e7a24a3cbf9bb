/**
 * `gatehouse show history`: what was the route to a prefix at a time, and which update made it so. Reads the files that
 * the routing module has written; whether it runs does not matter.
 */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { formatPrefix, type Prefix, parsePrefix } from '../base/address.ts'
import { systemClock } from '../base/clock.ts'
import { directoriesOf, STATE_ROOT } from '../config/site.ts'
import { historyDirectory } from '../routing/history/place.ts'
import { type PrefixHistory, type RouteEvent, readPrefixHistory } from '../routing/history/prefix-history.ts'
import { segmentsIn } from '../routing/history/segments.ts'
import { EXIT, Failure, loadOrFail } from './failure.ts'
import { table } from './table.ts'

export interface HistoryOptions {
  readonly site?: string
  readonly run?: string
  readonly state?: string
  readonly at?: string
  readonly peer?: string
  readonly json?: boolean
}

export async function showHistory(prefixText: string | undefined, options: HistoryOptions): Promise<void> {
  if (prefixText === undefined) throw new Failure('say which prefix, such as 203.0.113.0/24', EXIT.usage)
  const prefix = parsePrefix(prefixText)
  if (!prefix) throw new Failure(`${prefixText} is no prefix, such as 203.0.113.0/24`, EXIT.usage)
  const at_us = options.at === undefined ? undefined : timeOf(options.at)
  const directory = directoryOf(options)
  const nodes = nodesIn(directory)
  if (nodes.length === 0) throw new Failure(`there is no history in ${directory}`)
  const answers = nodes.map((node) => answerOf(node, join(directory, node), prefix, at_us, options.peer))
  if (options.json)
    console.log(
      JSON.stringify({
        prefix: formatPrefix(prefix),
        at: at_us === undefined ? null : timeText(at_us),
        nodes: answers,
      }),
    )
  else for (const answer of answers) tell(answer, nodes.length > 1)
}

/** Of ten thousand tenants' sessions all may be older. JSON has all of them. */
const UNKNOWN_SHOWN = 20

type Row = Readonly<Record<string, unknown>>

interface NodeAnswer {
  readonly node: string
  /** From when on there is a history. */
  readonly begin: string | null
  /** With a time: what held then, a row a peer and path. Without: every change, in order. */
  readonly rows: readonly Row[]
  /** Of whose routes nothing is known before when: the history does not reach back to it. Without a peer, of all. */
  readonly unknown: readonly Row[]
  /** When and how much was lost. */
  readonly gaps: readonly Row[]
}

function answerOf(
  node: string,
  directory: string,
  prefix: Prefix,
  at_us: number | undefined,
  peer: string | undefined,
): NodeAnswer {
  const history = readPrefixHistory(directory, prefix, at_us, systemClock.wall_ms() * 1000)
  const events = history.events.filter((event) => peer === undefined || event.peer.name === peer)
  return {
    node,
    begin: history.begin_us === undefined ? null : timeText(history.begin_us),
    rows: at_us === undefined ? events.map(changeRow) : standing(events, history),
    unknown: unknownOf(history, at_us, peer),
    gaps: history.gaps.map(({ at_us: from, until_us, chunks, bytes, events: lost }) => {
      return { from: timeText(from), until: timeText(until_us), chunks, bytes, events: lost }
    }),
  }
}

function unknownOf({ begin_us, older }: PrefixHistory, at_us: number | undefined, name: string | undefined): Row[] {
  if (begin_us !== undefined && at_us !== undefined && at_us < begin_us) return [{ before: timeText(begin_us) }]
  return older
    .filter(({ peer, isSettled }) => (name === undefined || peer.name === name) && (at_us === undefined || !isSettled))
    .map(({ peer, before_us }) => ({ ...whose(peer), before: timeText(before_us) }))
}

function changeRow({ at_us, what, peer, pathId, distinguisher, route, reason, record }: RouteEvent): Row {
  return {
    time: timeText(at_us),
    event: what,
    ...whose(peer, pathId, distinguisher),
    ...route,
    ...because(reason),
    record,
  }
}

/** The last word on every peer's route, and whether something that was lost may have been a later one. */
function standing(events: readonly RouteEvent[], { gaps }: PrefixHistory): Row[] {
  const last = new Map<string, RouteEvent>()
  for (const event of events) {
    const { peer, pathId, distinguisher } = event
    last.set(JSON.stringify([peer.name, peer.remote, distinguisher, pathId]), event)
  }
  return Array.from(last.values(), (event) => {
    const { at_us, what, peer, pathId, distinguisher, route, reason, record } = event
    const held = what === 'announced'
    const isCertain = gaps.every(({ until_us }) => until_us < at_us)
    return {
      ...whose(peer, pathId, distinguisher),
      state: held ? 'held' : what,
      since: timeText(at_us),
      ...route,
      ...because(reason),
      ...(isCertain ? {} : { certain: 'no, something was lost since' }),
      record,
    }
  })
}

function whose({ name, remote, tenant }: RouteEvent['peer'], pathId?: number, distinguisher?: string): Row {
  return {
    peer: name,
    address: remote,
    ...(tenant === undefined ? {} : { tenant }),
    ...(distinguisher === undefined ? {} : { distinguisher }),
    ...(pathId === undefined ? {} : { path: pathId }),
  }
}

function because(reason: string | undefined): Row {
  return reason === undefined ? {} : { reason }
}

function tell({ node, begin, rows, unknown, gaps }: NodeAnswer, isOneOfMany: boolean): void {
  if (isOneOfMany) console.log(`${node}:`)
  console.log(table(rows) || (unknown.length > 0 ? 'no route is known' : 'no route'))
  for (const { peer, address, before } of unknown.slice(0, UNKNOWN_SHOWN))
    console.log(
      peer === undefined
        ? `unknown before ${before}`
        : `unknown before ${before} from ${peer} (${address}): its session is older than the history`,
    )
  if (unknown.length > UNKNOWN_SHOWN) console.log(`and from ${unknown.length - UNKNOWN_SHOWN} more`)
  for (const { from, until, chunks, bytes, events } of gaps)
    console.log(`lost from ${from} to ${until}: ${chunks} chunks, ${bytes} bytes of updates, ${events} events`)
  console.log(begin === null ? 'nothing was recorded' : `the history begins at ${begin}`)
}

// ---- where, and when

function directoryOf({ site: file, run, state }: HistoryOptions): string {
  if (file !== undefined) {
    const site = loadOrFail(file)
    return historyDirectory(site, directoriesOf(site, { run, state }).state)
  }
  const directory = state ?? run
  if (directory !== undefined) return historyDirectory(undefined, directory)
  const sites = existsSync(STATE_ROOT)
    ? readdirSync(STATE_ROOT).filter((name) => existsSync(historyDirectory(undefined, join(STATE_ROOT, name))))
    : []
  const [only] = sites
  if (only !== undefined && sites.length === 1) return historyDirectory(undefined, join(STATE_ROOT, only))
  if (sites.length === 0)
    throw new Failure(`there is no history in ${STATE_ROOT}; say of which site with --site FILE or --state DIR`)
  throw new Failure(
    `several sites have a history here: ${sites.join(', ')}; say which one with --state ${STATE_ROOT}/NAME`,
  )
}

/** The processes that have one. */
function nodesIn(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && segmentsIn(join(directory, entry.name)).length > 0)
    .map(({ name }) => name)
    .sort()
}

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)$/
const SECONDS = /^\d{1,10}(\.\d{1,6})?$/

/** Microseconds since 1970. A date has to say in which time zone. */
export function timeOf(text: string): number {
  if (SECONDS.test(text)) return Math.round(Number(text) * 1e6)
  const match = ISO.exec(text)
  const ms = match ? Date.parse(text.replace(/\.\d+/, '')) : Number.NaN
  if (Number.isNaN(ms))
    throw new Failure(`${text} is no time: 2026-03-01T12:00:00.5Z, or seconds since 1970`, EXIT.usage)
  const fraction = match![2]?.slice(1).padEnd(6, '0') ?? '0'
  return ms * 1000 + Number(fraction)
}

/** To the microsecond, which a Date does not know. */
export function timeText(at_us: number): string {
  const ms = Math.floor(at_us / 1000)
  return new Date(ms).toISOString().replace('Z', `${String(at_us - ms * 1000).padStart(3, '0')}Z`)
}
