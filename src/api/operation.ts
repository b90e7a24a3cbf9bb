/**
 * One thing that the API does, as a row: where it is, who may, what it takes and what it answers. The server is made of these
 * rows, and so is the OpenAPI document: they cannot come apart.
 */

import type { ServerResponse } from 'node:http'
import type { z } from 'zod'
import type { Access } from './access.ts'
import type { Role } from './tokens.ts'

export type Method = 'GET' | 'PUT' | 'DELETE'

export interface Asked<P, Q> {
  readonly access: Access
  readonly params: P
  readonly query: Q
  /** An object, where the operation takes one; the operation reads it. */
  readonly body: unknown
  /** As they came; empty where there was none. */
  readonly ifMatch: string
  readonly ifNoneMatch: string
  readonly lastEventId: string
  readonly accept: string
}

export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** What goes on for as long as whoever asked listens. */
export interface Stream {
  stream(response: ServerResponse): void
}

export interface Operation {
  readonly id: string
  readonly method: Method
  /** As `/v1/tenants/{tenant}`. */
  readonly path: string
  readonly summary: string
  /** Undefined: whoever reaches the server. */
  readonly role: Role | undefined
  readonly params: z.ZodType
  readonly query: z.ZodType
  /** What it takes, for the document. */
  readonly body: z.ZodType | undefined
  /** By status; undefined without a body. Errors are those of all operations, and not listed here. */
  readonly answers: Readonly<Record<number, z.ZodType | undefined>>
  /** It takes If-Match. */
  readonly isConditional: boolean
  readonly isStream: boolean
  handle(asked: Asked<never, never>): Answer | Stream | Promise<Answer | Stream>
}

interface Row<P extends z.ZodType, Q extends z.ZodType>
  extends Omit<Operation, 'params' | 'query' | 'body' | 'handle' | 'isConditional' | 'isStream'> {
  readonly params: P
  readonly query: Q
  readonly body?: z.ZodType
  readonly isConditional?: boolean
  readonly isStream?: boolean
  handle(asked: Asked<z.output<P>, z.output<Q>>): Answer | Stream | Promise<Answer | Stream>
}

export function operation<P extends z.ZodType, Q extends z.ZodType>(row: Row<P, Q>): Operation {
  const { body, isConditional = false, isStream = false, handle } = row
  return { ...row, body, isConditional, isStream, handle: (asked) => handle(asked as never) }
}
