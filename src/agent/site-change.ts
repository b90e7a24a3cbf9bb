/**
 * A change to one tenant of a site, in one step: `current` names it, with the record and the event, and has the sequence that
 * follows. Both are put where they belong by whoever made the change, or else by whoever makes the next one; an event may
 * be told twice where two do so at the same time, and is never lost.
 */

import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { type BucketEntry, type Bus, BusError, PAYLOAD_BYTES_MAX, type Stream } from '../bus/bus.ts'
import { event } from '../wire/control/event.ts'
import { EVENTS_LIMITS } from './events.ts'
import { BUCKET, EVENTS_STREAM } from './names.ts'
import { type TenantRecord, tenantRecord } from './tenant-record.ts'

export const CURRENT = 'current'
export const RECORDS = 'api.tenant'
export const recordKey = (tenant: string): string => `${RECORDS}.${tenant}`

/** What others told since a change that nobody finished. */
const TOLD_SINCE_MAX = 1000
/** A reader that missed more changes reads all records again. */
const RECENT_MAX = 64
/** For the other fields of `current`: those of the recent changes, with the longest of names, are the most of them. */
const RECORD_BYTES_MAX = PAYLOAD_BYTES_MAX - 16_384

const told = z.object({
  at_ms: z.number(),
  module: z.string(),
  what: z.string(),
  about: z.string(),
  detail: z.string(),
  author: z.string(),
})
export type ToldChange = z.output<typeof told>

const current = z.object({
  digest: z.string().regex(/^[0-9a-f]+$/),
  parts: z.int().min(1),
  /** When the bus had no site yet, by another name each time: what is compared with what was read before is of one. */
  born: z.string().default(''),
  /** Of the last change to a tenant. */
  sequence: z.int().min(0).default(0),
  /** That change, which may not be where it belongs yet. */
  change: z.object({ record: tenantRecord, told }).optional(),
  /** The oldest first. */
  recent: z.array(z.object({ sequence: z.int(), tenant: z.string() })).default([]),
})
export type Current = z.output<typeof current>

export function readCurrent({ value }: BucketEntry): Current {
  return current.parse(JSON.parse(Buffer.from(value).toString()))
}

/** What all that follows `before` goes on with. Releases that know of no changes leave nothing to go on with but records. */
export async function baseOf(
  bus: Bus,
  before: Current | undefined,
): Promise<Omit<Current, 'digest' | 'parts' | 'change'>> {
  if (before && before.born !== '') return { born: before.born, sequence: before.sequence, recent: before.recent }
  const records = await bus.bucket(BUCKET.site).entries(`${RECORDS}.*`)
  const sequence = records.reduce((last, entry) => Math.max(last, readRecord(entry).sequence), 0)
  return { born: randomUUID(), sequence, recent: [] }
}

export function readRecord({ value }: BucketEntry): TenantRecord {
  return tenantRecord.parse(JSON.parse(Buffer.from(value).toString()))
}

/** The tenant's document is more than the bus takes. */
export class RecordTooLarge extends Error {
  override readonly name = 'RecordTooLarge'
}

/**
 * Makes the change if the site is still at the revision; false if it has moved on. Rejects with what the bus says: after a
 * 'timeout' or 'disconnected' the change may have been made, which the record's id tells. Once it resolves the change is
 * made and stands in `current`; it is finished by then too, or else by the next one.
 */
export async function changeTenant(
  bus: Bus,
  revision: number,
  record: Omit<TenantRecord, 'sequence'>,
  told: ToldChange,
): Promise<boolean> {
  const bucket = bus.bucket(BUCKET.site)
  const entry = await bucket.get(CURRENT)
  if (entry?.revision !== revision) return false
  const before = readCurrent(entry)
  await finishChange(bus, before)
  const base = await baseOf(bus, before)
  const sequence = base.sequence + 1
  const recent = [...base.recent, { sequence, tenant: record.name }].slice(-RECENT_MAX)
  const change = { record: { ...record, sequence }, told }
  const next: Current = { digest: before.digest, parts: before.parts, born: base.born, sequence, recent, change }
  const bytes = Buffer.from(JSON.stringify(next))
  if (Buffer.byteLength(JSON.stringify(change)) > RECORD_BYTES_MAX)
    throw new RecordTooLarge(`with all defaults it has ${bytes.length} bytes; the limit is ${RECORD_BYTES_MAX}`)
  try {
    await bucket.put(CURRENT, bytes, { revision })
  } catch (error) {
    if (error instanceof BusError && error.code === 'wrong-revision') return false
    throw error
  }
  await finishChange(bus, next, true).catch((error: unknown) => {
    if (!(error instanceof BusError)) throw error
  })
  return true
}

/**
 * Puts the last change where it belongs, unless it is there; one that we have just made is not. Rejects with what the bus
 * says.
 */
export async function finishChange(bus: Bus, { change }: Current, isOurs = false): Promise<void> {
  if (!change) return
  const bucket = bus.bucket(BUCKET.site)
  const key = recordKey(change.record.name)
  const entry = await bucket.get(key)
  const there = entry ? readRecord(entry).sequence : 0
  if (there >= change.record.sequence) return
  const stream = bus.stream(EVENTS_STREAM, EVENTS_LIMITS)
  const bytes = event.encode({ ...change.told, epoch: 0 })
  if (isOurs || !(await isTold(stream, bytes))) await stream.append(bytes)
  try {
    await bucket.put(key, Buffer.from(JSON.stringify(change.record)), { revision: entry?.revision ?? 0 })
  } catch (error) {
    // Somebody else has finished it.
    if (!(error instanceof BusError && error.code === 'wrong-revision')) throw error
  }
}

/** Whoever made the change may have died after it told the event. */
async function isTold(stream: Stream, bytes: Uint8Array): Promise<boolean> {
  const { first, last } = await stream.bounds()
  for (let next = Math.max(first, last - TOLD_SINCE_MAX); next <= last; ) {
    for (const { sequence, payload } of await stream.read(next)) {
      if (Buffer.compare(payload, bytes) === 0) return true
      next = sequence + 1
    }
  }
  return false
}

/** For whoever comes to a site whose last writer may have died. */
export async function finishLastChange(bus: Bus): Promise<void> {
  const entry = await bus.bucket(BUCKET.site).get(CURRENT)
  if (entry) await finishChange(bus, readCurrent(entry))
}
