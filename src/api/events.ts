/**
 * What happened at all sites: as a list, and as server-sent events for as long as somebody listens. An event's id says how far
 * its reader has come at every site (`east=12,west=7`): with the last one it goes on there, whatever it missed.
 */

import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Clock } from '../base/clock.ts'
import { name } from '../config/scalar.ts'
import { Refused } from '../orchestrator/refused.ts'
import { type Access, sees } from './access.ts'
import type { EventLog, Position, SiteEvent } from './event-log.ts'
import { type Operation, operation } from './operation.ts'
import { listOfItems, nothing } from './schemas.ts'
import { Malformed } from './tenants.ts'

/** So that what is in between does not take the connection for dead. */
const HEARTBEAT_ms = 15_000
/** Of a reader that does not read: it comes back with its last id. */
const UNREAD_BYTES_MAX = 1024 * 1024
const SHOWN_MAX = 1000

/** Of which tenants may know. All else is the provider's. */
const TENANTS_OWN = new Set(['tenant-changed', 'tenant-deleted', 'move-begun', 'move-done'])

const query = z.strictObject({
  site: name.optional(),
  about: z.string().optional().describe('A tenant, or a module'),
  what: z.string().optional(),
  author: z.string().optional(),
  after: z.string().optional().describe('An id: only what came behind it'),
  limit: z.coerce.number().int().min(1).max(SHOWN_MAX).default(100).describe('Of a list: the last ones'),
})
type Filter = z.output<typeof query>

const eventAnswer = z.object({
  id: z.string(),
  site: z.string(),
  at: z.iso.datetime(),
  module: z.string(),
  what: z.string(),
  about: z.string(),
  detail: z.string(),
  author: z.string().optional(),
})

export interface EventOptions {
  readonly events: EventLog
  readonly clock: Clock
  readonly followersMax: number
  readonly signal: AbortSignal
}

export function eventOperations(options: EventOptions): Operation[] {
  const { events } = options
  const followers = new Followers(options)
  return [
    operation({
      ...{ id: 'listEvents', method: 'GET', path: '/v1/events', role: 'viewer', isStream: false },
      summary: 'What happened, the latest last; with Accept: text/event-stream, as it happens',
      ...{ params: nothing, query, answers: { 200: listOfItems(eventAnswer) } },
      async handle({ access, query, accept, lastEventId }) {
        const wanted = (event: SiteEvent): boolean => matches(event, query) && isFor(access, event)
        const after = lastEventId === '' ? (query.after ?? '') : lastEventId
        if (/\btext\/event-stream\b/.test(accept)) return followers.follow(wanted, after)
        const position = positionIn(after)
        await events.caughtUp()
        const seen = new Map(position)
        const items = events.after(position).flatMap((event) => {
          seen.set(event.site, event.sequence)
          return wanted(event) ? [told(event, seen)] : []
        })
        return { status: 200, body: { items: items.slice(-query.limit) } }
      },
    }),
  ]
}

function matches(event: SiteEvent, { site, about, what, author }: Filter): boolean {
  const wants = (value: string | undefined, is: string | undefined): boolean => value === undefined || value === is
  return wants(site, event.site) && wants(about, event.about) && wants(what, event.what) && wants(author, event.author)
}

function isFor(access: Access, { what, about }: SiteEvent): boolean {
  return access.tenants === undefined || (TENANTS_OWN.has(what) && sees(access, about))
}

function told({ site, at_ms, module, what, about, detail, author }: SiteEvent, position: Position): object {
  const at = new Date(at_ms).toISOString()
  return { id: idOf(position), site, at, module, what, about, detail, ...(author !== undefined && { author }) }
}

const idOf = (position: Position): string => Array.from(position, ([site, sequence]) => `${site}=${sequence}`).join(',')

function positionIn(id: string): Position {
  if (id === '') return new Map()
  const parts = id.split(',').map((part) => /^([A-Za-z0-9_-]+)=(\d{1,15})$/.exec(part))
  if (parts.includes(null))
    throw new Malformed([{ path: ['after'], message: `${JSON.stringify(id)} is no event's id` }])
  return new Map(parts.map((part) => [part![1]!, Number(part![2])]))
}

class Followers {
  readonly #options: EventOptions
  #count = 0

  constructor(options: EventOptions) {
    this.#options = options
  }

  /** From behind the id on, or from now on without one. */
  follow(wanted: (event: SiteEvent) => boolean, id: string): { stream(response: ServerResponse): void } {
    const { events, followersMax } = this.#options
    const position = new Map(id === '' ? events.end : positionIn(id))
    if (this.#count >= followersMax) throw new Refused('unavailable', `${followersMax} follow events already`)
    return { stream: (response) => this.#stream(response, position, wanted) }
  }

  #stream(response: ServerResponse, position: Map<string, number>, wanted: (event: SiteEvent) => boolean): void {
    const { events, clock, signal } = this.#options
    this.#count++
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const tell = (event: SiteEvent): void => {
      position.set(event.site, event.sequence)
      if (!wanted(event)) return
      const { id, ...data } = told(event, position) as { id: string }
      response.write(`id: ${id}\nevent: ${event.what.replace(/[^\w-]/g, '')}\ndata: ${JSON.stringify(data)}\n\n`)
      if (response.writableLength > UNREAD_BYTES_MAX) response.destroy()
    }
    response.write(`: what happens from here on\nid: ${idOf(position)}\n\n`)
    const missed = events.after(position)
    const stop = events.listen(tell)
    const heartbeat = clock.every(HEARTBEAT_ms, () => response.write(':\n\n'))
    const end = (): void => void response.end()
    signal.addEventListener('abort', end)
    response.on('close', () => {
      this.#count--
      stop()
      heartbeat.cancel()
      signal.removeEventListener('abort', end)
    })
    for (const event of missed) tell(event)
  }
}
