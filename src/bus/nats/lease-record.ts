/** What stands in the bucket under a lease's name. */

import { isWellFormed } from '../subject.ts'

export interface LeaseRecord {
  readonly holder: string
  readonly ttl_ms: number
  /** The revision under which it was taken; undefined in that revision itself. */
  readonly epoch: number | undefined
}

export function encodeRecord({ holder, ttl_ms, epoch }: LeaseRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ holder, ttl_ms, epoch }))
}

/** Undefined: it is written in a way that we do not know. */
export function decodeRecord(value: Uint8Array): LeaseRecord | undefined {
  const record = parsed(Buffer.from(value.buffer, value.byteOffset, value.length).toString())
  if (typeof record !== 'object' || record === null) return undefined
  const { holder, ttl_ms, epoch } = record as Record<string, unknown>
  if (typeof holder !== 'string' || !isWellFormed('subject', holder) || !isCount(ttl_ms)) return undefined
  return epoch === undefined || isCount(epoch) ? { holder, ttl_ms, epoch } : undefined
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0
}
