/** What the API's answers are made of, beside what is in site files. */

import { z } from 'zod'
import { name } from '../config/scalar.ts'
import { tenantDocument } from '../config/tenant-document.ts'

const pending = z.object({ site: z.string(), why: z.string() }).describe('A site that has yet to be told')

const ITEMS_MAX = 1000
const limit = z.coerce.number().int().min(1).max(ITEMS_MAX).default(100).describe('How many at most')

/** Of lists that are in the order of names. */
export const page = z.strictObject({ limit, after: z.string().optional().describe('`next` of the page before') })

/** Of lists that are in an order of their own. */
export const offsetPage = z.strictObject({
  limit,
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
})

export const nothing = z.strictObject({})

export const tenantParams = z.strictObject({ tenant: name })

const summary = {
  name: z.string(),
  owner: z.enum(['file', 'orchestrator']).describe('Whose it is to change: that of site files, or of this API'),
  sites: z.array(z.string()),
}

const version = {
  version: z.int(),
  /** Of the last change. */
  author: z.string(),
  at: z.iso.datetime(),
  pending: z.array(pending),
}

export const tenantSummary = z.object({ ...summary, ...z.object(version).partial().shape })

export const tenantAnswer = z.object({
  ...summary,
  ...z.object(version).partial().shape,
  document: tenantDocument.optional().describe('Of a tenant that is of this API'),
})

export const changeAnswer = z.object({ name: z.string(), ...version })

export const listOfItems = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), next: z.union([z.string(), z.int()]).optional() })
