/**
 * The site on the bus: `up` and `reload` put it there, the control module follows it. It is canonical JSON in parts,
 * since a large site exceeds what the bus takes in one piece; `current` names the parts, and is written when they are
 * there.
 */

import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { pause } from '../base/signal.ts'
import { type Bus, BusError, PAYLOAD_BYTES_MAX, type Subscription } from '../bus/bus.ts'
import { type Site, site } from '../config/site.ts'
import { BUCKET } from './names.ts'

const CURRENT = 'current'
const current = z.object({ digest: z.string().regex(/^[0-9a-f]+$/), parts: z.int().min(1) })

/** Rejects with what the bus says. */
export async function putSite(bus: Bus, wanted: Site): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(wanted))
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  const parts = Math.ceil(bytes.length / PAYLOAD_BYTES_MAX)
  const bucket = bus.bucket(BUCKET.site)
  for (let part = 0; part < parts; part++) {
    await bucket.put(`${digest}.${part}`, bytes.subarray(part * PAYLOAD_BYTES_MAX, (part + 1) * PAYLOAD_BYTES_MAX))
  }
  await bucket.put(CURRENT, Buffer.from(JSON.stringify({ digest, parts })))
  for (const { key } of await bucket.entries('*.*')) if (!key.startsWith(`${digest}.`)) await bucket.delete(key)
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

/** What a site consists of at one moment. Is never changed. */
export interface SiteContents {
  readonly site: Site
  /** Grows with every change. */
  readonly revision: number
}

/**
 * Undefined if there is none yet. Rejects with what the bus says, or if another release left what this one cannot read.
 * `before` is returned if it still holds.
 */
export async function siteContents(bus: Bus, before?: SiteContents): Promise<SiteContents | undefined> {
  const bucket = bus.bucket(BUCKET.site)
  for (let seen = 0; ; ) {
    const entry = await bucket.get(CURRENT)
    if (!entry) return undefined
    const { revision } = entry
    if (revision === before?.revision) return before
    if (revision === seen) throw new Error('the site on the bus is not whole; put it there again')
    seen = revision
    const { digest, parts } = current.parse(JSON.parse(Buffer.from(entry.value).toString()))
    const found = await Promise.all(Array.from({ length: parts }, (_, part) => bucket.get(`${digest}.${part}`)))
    const values = found.flatMap((part) => (part ? [part.value] : []))
    // A part that is gone was replaced meanwhile: `current` names others by now.
    if (values.length === parts) {
      return { site: site.parse(JSON.parse(Buffer.concat(values).toString())), revision }
    }
  }
}

export async function getSite(bus: Bus): Promise<Site | undefined> {
  return (await siteContents(bus))?.site
}

/** Calls `changed` when there is a site to get, and whenever there is another one. */
export function watchSite(bus: Bus, changed: () => void): Subscription {
  return bus.bucket(BUCKET.site).watch(CURRENT, changed)
}
