/**
 * What a site keeps of a tenant that was made through the orchestrator: the whole document, also what is at other sites,
 * with its version and its author. So any orchestrator that reaches a tenant's sites knows what all of them are to have, and
 * none needs a store of its own. A tenant that was deleted, or that has left the site, keeps its record, which says so:
 * whoever comes back with an older version is told a newer one.
 */

import { z } from 'zod'
import { name } from '../config/scalar.ts'
import { type TenantPart, tenantAt, tenantDocument } from '../config/tenant-document.ts'

export const tenantRecord = z.object({
  name,
  /** Of the document: each change counts one up. */
  version: z.int().min(1),
  /** Of this very change: two that were made apart from each other may have the same version. */
  id: z.string().min(1).max(64),
  author: z.string().min(1),
  /** Wall clock, in milliseconds since 1970. */
  at_ms: z.number(),
  /** Of the site's change that brought it there. */
  sequence: z.int().min(1),
  /** Null: it was deleted. */
  document: tenantDocument.nullable(),
})
export type TenantRecord = z.output<typeof tenantRecord>

/** Parts by record and site: a site is read again and again, and most tenants have not changed. */
const parts = new WeakMap<TenantRecord, { site: string; part: TenantPart | undefined }>()

/** What the site has of it; undefined for one that is not there. */
export function partOf(record: TenantRecord, site: string): TenantPart | undefined {
  const known = parts.get(record)
  if (known?.site === site) return known.part
  const part = record.document ? tenantAt(record.document, site) : undefined
  parts.set(record, { site, part })
  return part
}

/** Which of two versions holds: the same one wherever they meet. */
export function isNewer(one: Omit<TenantRecord, 'sequence'>, than: Omit<TenantRecord, 'sequence'>): boolean {
  if (one.version !== than.version) return one.version > than.version
  if (one.at_ms !== than.at_ms) return one.at_ms > than.at_ms
  return one.id > than.id
}
