/** What modules tell people, on request: rows of one thing of one module, as JSON, in as many answers as they need. */

import { z } from 'zod'
import { type Bus, PAYLOAD_BYTES_MAX, type Subscription } from '../bus/bus.ts'
import { showSubject } from './names.ts'

/** A person waits for it. */
const ANSWER_WITHIN_MS = 2000
/** More rows than a person or a script can want of the state of one moment. */
const ROWS_MAX = 100_000

const question = z.object({ filter: z.string(), from: z.int().min(0) })
const answer = z.object({ rows: z.array(z.unknown()), isLast: z.boolean() })

/** Answers requests for the thing with the rows that `tell` returns. */
export function showing(
  bus: Bus,
  module: string,
  thing: string,
  tell: (filter: string) => readonly unknown[] | Promise<readonly unknown[]>,
): Subscription {
  return bus.respond(showSubject(module, thing), async ({ payload }) => {
    const { filter, from } = question.parse(JSON.parse(Buffer.from(payload).toString()))
    const all = await tell(filter)
    const rows: string[] = []
    let bytes = 0
    for (let i = from; i < Math.min(all.length, ROWS_MAX); i++) {
      const row = JSON.stringify(all[i])
      bytes += Buffer.byteLength(row) + 1
      if (bytes > PAYLOAD_BYTES_MAX - 100) break
      rows.push(row)
    }
    const isLast = from + rows.length >= Math.min(all.length, ROWS_MAX) || rows.length === 0
    return Buffer.from(`{"isLast":${isLast},"rows":[${rows.join(',')}]}`)
  })
}

/** Rejects with what the bus says: 'no-responders' if the module does not know of such a thing. */
export async function askToShow(bus: Bus, module: string, thing: string, filter = ''): Promise<unknown[]> {
  const rows: unknown[] = []
  for (;;) {
    const asked = Buffer.from(JSON.stringify({ filter, from: rows.length }))
    const reply = await bus.request(showSubject(module, thing), asked, { timeout_ms: ANSWER_WITHIN_MS })
    const page = answer.parse(JSON.parse(Buffer.from(reply).toString()))
    for (const row of page.rows) rows.push(row)
    if (page.isLast) return rows
  }
}
