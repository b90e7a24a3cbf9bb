/**
 * The site on the bus: what `up` and `reload` put there of a site file, and the tenants that were made through the
 * orchestrator, which live beside it and outlast every other file. The control module follows both as one.
 *
 *   current            {digest, parts, sequence, change, recent}: written by compare-and-set, so what it says is one order
 *   DIGEST.0, .1 ...   the file's site as canonical JSON, in parts, since a large site exceeds what the bus takes in one
 *   api.tenant.NAME    a tenant's record, with the sequence of the change that made it
 *
 * A change to a tenant is made when it stands in `current`, together with the event that tells it. Whoever comes next sees
 * to it that both are where they belong before `current` says something else (site-change.ts), so a writer may die at any
 * point. Since files go through `current` as well, whoever checks a change against all of the site and then writes it
 * there has checked it against what really was there.
 */

import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { pause } from '../base/signal.ts'
import { type Bus, BusError, PAYLOAD_BYTES_MAX, type Subscription } from '../bus/bus.ts'
import { checkSite } from '../config/check.ts'
import { formatPath } from '../config/position.ts'
import { type Site, site } from '../config/site.ts'
import { BUCKET } from './names.ts'
import {
  baseOf,
  CURRENT,
  type Current,
  finishChange,
  RECORDS,
  readCurrent,
  readRecord,
  recordKey,
} from './site-change.ts'
import { partOf, type TenantRecord } from './tenant-record.ts'

/** What a site consists of at one moment. Is never changed. */
export interface SiteContents {
  /** All of it. */
  readonly site: Site
  /** What the file says alone. */
  readonly file: Site
  /** Of the tenants that were made through the orchestrator, those that it has left as well. */
  readonly records: ReadonlyMap<string, TenantRecord>
  /** Grows with every change: what the next one follows. */
  readonly revision: number
}

/** A file with which the tenants that were made through the orchestrator would not be right any more. */
export class SiteConflict extends Error {
  override readonly name = 'SiteConflict'
}

/** Rejects with what the bus says, or with a `SiteConflict`. */
export async function putSite(bus: Bus, wanted: Site): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(wanted))
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  const parts = Math.ceil(bytes.length / PAYLOAD_BYTES_MAX)
  const bucket = bus.bucket(BUCKET.site)
  for (let part = 0; part < parts; part++) {
    await bucket.put(`${digest}.${part}`, bytes.subarray(part * PAYLOAD_BYTES_MAX, (part + 1) * PAYLOAD_BYTES_MAX))
  }
  for (let isDone = false; !isDone; ) {
    const entry = await bucket.get(CURRENT)
    const before = entry && readCurrent(entry)
    if (before) {
      await checkAgainst(bus, before, wanted)
      await finishChange(bus, before)
    }
    const next: Current = { digest, parts, ...(await baseOf(bus, before)) }
    isDone = await putIfStill(bucket, next, entry?.revision ?? 0)
  }
  for (const { key } of await bucket.entries('*.*')) if (!key.startsWith(`${digest}.`)) await bucket.delete(key)
}

/** Rejects as `putSite` would. */
export async function checkFile(bus: Bus, wanted: Site): Promise<void> {
  const entry = await bus.bucket(BUCKET.site).get(CURRENT)
  if (entry) await checkAgainst(bus, readCurrent(entry), wanted)
}

async function checkAgainst(bus: Bus, current: Current, wanted: Site): Promise<void> {
  const records = await recordsOf(bus, current, undefined)
  checkTogether(wanted, tenantsOf(records.values(), wanted.site))
}

async function putIfStill(bucket: ReturnType<Bus['bucket']>, next: Current, revision: number): Promise<boolean> {
  try {
    await bucket.put(CURRENT, Buffer.from(JSON.stringify(next)), { revision })
    return true
  } catch (error) {
    if (error instanceof BusError && error.code === 'wrong-revision') return false
    throw error
  }
}

/** The file alone has been checked. */
function checkTogether(file: Site, tenants: Site['tenants']): void {
  if (tenants.length === 0) return
  const ours = new Set(tenants.map(({ name }) => name))
  const twice = file.tenants.filter(({ name }) => ours.has(name))
  const findings =
    twice.length > 0
      ? twice.map(
          ({ name }) => `tenant ${name} was made through the orchestrator: delete it there, or leave it out here`,
        )
      : checkSite(joined(file, tenants)).map(({ path, message }) => `${formatPath(path)}: ${message}`)
  if (findings.length === 0) return
  const names = tenants.map(({ name }, i) => `tenants[${file.tenants.length + i}] is ${name}`)
  const which = twice.length > 0 ? [] : [`of the tenants that were made through the orchestrator, ${some(names)}`]
  throw new SiteConflict([...findings, ...which].join('\n'))
}

const NAMED_MAX = 20

function some(names: readonly string[]): string {
  const more = names.length > NAMED_MAX ? `, and ${names.length - NAMED_MAX} more` : ''
  return `${names.slice(0, NAMED_MAX).join(', ')}${more}`
}

/** A bus that does not answer is told every so often. */
const CONNECT_WITHIN_MS = 10_000
const TRY_AGAIN_MS = 1000

/** However long it takes until the bus is there and takes it, unless the signal fires first. */
export async function putSiteWhenThere(
  bus: Bus,
  wanted: () => Site,
  { clock, log, signal }: { clock: Clock; log: Logger; signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    try {
      await bus.whenConnected(CONNECT_WITHIN_MS)
      if (!signal.aborted) await putSite(bus, wanted())
      return
    } catch (error) {
      if (!(error instanceof BusError) || error.code === 'closed') throw error
      log.warn({ error: error.message }, 'the site cannot be put on the bus yet')
      await pause(clock, TRY_AGAIN_MS, signal)
    }
  }
}

interface Read {
  readonly contents: SiteContents
  readonly current: Current
}

/** What was read last over a connection: most of a site is still the same. */
const lastRead = new WeakMap<Bus, Read>()

/**
 * Undefined if there is none yet. Rejects with what the bus says, or if another release left what this one cannot read.
 * What has not changed since the last time is the same object again.
 */
export async function siteContents(bus: Bus): Promise<SiteContents | undefined> {
  for (let seen = 0; ; ) {
    const entry = await bus.bucket(BUCKET.site).get(CURRENT)
    if (!entry) return undefined
    const current = readCurrent(entry)
    const last = lastRead.get(bus)
    const before = last?.current.born === current.born ? last : undefined
    if (entry.revision === before?.contents.revision) return before.contents
    if (entry.revision === seen) throw new Error('the site on the bus is not whole; put it there again')
    seen = entry.revision
    const contents = await contentsAt(bus, current, entry.revision, before)
    if (contents) return contents
  }
}

/** Undefined if there is something else by now. */
async function contentsAt(
  bus: Bus,
  current: Current,
  revision: number,
  before: Read | undefined,
): Promise<SiteContents | undefined> {
  const isSameFile = before?.current.digest === current.digest
  const file = isSameFile ? before.contents.file : await fileOf(bus, current)
  if (!file) return undefined
  const records = await recordsOf(bus, current, before)
  const contents = {
    site: joined(file, tenantsOf(records.values(), file.site)),
    file,
    records,
    revision,
  }
  lastRead.set(bus, { contents, current })
  return contents
}

async function fileOf(bus: Bus, { digest, parts }: Current): Promise<Site | undefined> {
  const bucket = bus.bucket(BUCKET.site)
  const found = await Promise.all(Array.from({ length: parts }, (_, part) => bucket.get(`${digest}.${part}`)))
  const values = found.flatMap((part) => (part ? [part.value] : []))
  // A part that is gone was replaced meanwhile: `current` names others by now.
  return values.length === parts ? site.parse(JSON.parse(Buffer.concat(values).toString())) : undefined
}

/** As `current` has them, or later ones. Only what has changed since `before` is read, where it is known what that is. */
async function recordsOf(bus: Bus, current: Current, before: Read | undefined): Promise<Map<string, TenantRecord>> {
  const bucket = bus.bucket(BUCKET.site)
  const { recent, sequence, change } = current
  const known = before?.current.sequence ?? -1
  const isKnown = before !== undefined && (known === sequence || (recent[0]?.sequence ?? sequence + 1) <= known + 1)
  const records = new Map(isKnown && known <= sequence ? before.contents.records : [])
  if (isKnown && known <= sequence) {
    const names = new Set(recent.filter((one) => one.sequence > known).map(({ tenant }) => tenant))
    for (const name of names) {
      const entry = await bucket.get(recordKey(name))
      if (entry) records.set(name, readRecord(entry))
    }
  } else
    for (const entry of await bucket.entries(`${RECORDS}.*`)) {
      const record = readRecord(entry)
      records.set(record.name, record)
    }
  if (change && (records.get(change.record.name)?.sequence ?? 0) < change.record.sequence)
    records.set(change.record.name, change.record)
  return records
}

function tenantsOf(records: Iterable<TenantRecord>, site: string): Site['tenants'] {
  const tenants = Array.from(records, (record) => partOf(record, site)?.tenant).filter((one) => one !== undefined)
  return tenants.sort((a, b) => (a.name < b.name ? -1 : 1))
}

const joined = (file: Site, tenants: Site['tenants']): Site =>
  tenants.length === 0 ? file : { ...file, tenants: [...file.tenants, ...tenants] }

/** All of it. */
export async function getSite(bus: Bus): Promise<Site | undefined> {
  return (await siteContents(bus))?.site
}

/** Calls `changed` when there is a site to get, and whenever there is another one. */
export function watchSite(bus: Bus, changed: () => void): Subscription {
  return bus.bucket(BUCKET.site).watch(CURRENT, changed)
}
