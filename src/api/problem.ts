/** What went wrong with a request, as RFC 9457 writes it, and which status each kind of refusal has. */

import { z } from 'zod'
import { BusError } from '../bus/bus.ts'
import { type Refusal, Refused, type Wrong } from '../orchestrator/refused.ts'

export const problem = z.object({
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  /** Each with its place in what was sent, and with the site that it is about if it is not all of them. */
  errors: z.array(z.object({ path: z.string(), message: z.string(), site: z.string().optional() })).optional(),
})
export type Problem = z.output<typeof problem>

const TITLES: Readonly<Record<number, string>> = {
  400: 'the request is malformed',
  401: 'a token is needed',
  403: 'the token does not allow this',
  404: 'there is no such thing',
  405: 'nothing is done there by this method',
  409: 'another one decides about it',
  412: 'it has been changed meanwhile',
  413: 'the request is too large',
  414: 'the path is too long',
  415: 'the request is not JSON',
  421: 'this is not the host that was asked for',
  422: 'the tenant would not be right',
  428: 'say which version this follows, with If-Match',
  429: 'too many requests',
  500: 'it failed',
  503: 'a site that has to know is away',
}

const STATUSES: Readonly<Record<Refusal, number>> = {
  ...{ 'not-found': 404, conflict: 409, changed: 412, 'version-needed': 428, forbidden: 403 },
  ...{ invalid: 422, 'too-large': 413, unavailable: 503 },
}

export function problemOf(status: number, detail?: string, errors: readonly Wrong[] = []): Problem {
  return {
    title: TITLES[status] ?? 'the request was not taken',
    status,
    ...(detail !== undefined && { detail }),
    ...(errors.length > 0 && { errors: [...errors] }),
  }
}

/** What was thrown on purpose; undefined for our own mistakes. */
export function problemIn(error: unknown): Problem | undefined {
  if (error instanceof Refused) return problemOf(STATUSES[error.kind], error.message, error.errors)
  if (error instanceof BusError) return problemOf(503, error.message)
  const { statusCode: status, message } = error as { statusCode?: number; message: string }
  // Of the server's own: what it could not parse, or would not.
  if (status !== undefined && status >= 400 && status < 500) return problemOf(status, message)
  return undefined
}
