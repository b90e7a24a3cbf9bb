/** The sites, and what their control modules say of tenants: the same as `gatehouse show` tells. */

import { z } from 'zod'
import { askLeader } from '../agent/leader.ts'
import type { Clock } from '../base/clock.ts'
import { name } from '../config/scalar.ts'
import type { CarriedOffer } from '../orchestrator/exchange.ts'
import { Refused } from '../orchestrator/refused.ts'
import type { ConnectedSite, Sites } from '../orchestrator/sites.ts'
import { type Access, refuseUnseen, sees } from './access.ts'
import { type Operation, operation } from './operation.ts'
import { listOfItems, nothing, offsetPage } from './schemas.ts'
import type { Tokens } from './tokens.ts'

/** Longer than the control module's successor takes to lead. */
const ANSWER_WITHIN_ms = 10_000

const siteAnswer = z.object({
  site: z.string(),
  connected: z.boolean(),
  since: z.iso.datetime(),
  failure: z.string().optional(),
  tenants: z.int().optional().describe('How many there are there, of those that whoever asks may see'),
  hears: z
    .array(z.object({ site: z.string(), carried: z.boolean(), generation: z.int() }))
    .describe('Of which other sites it is told what they offer its tenants, and whether this orchestrator carries it'),
})

const siteParams = z.strictObject({ site: name })
const row = z.record(z.string(), z.unknown())

const SHOWN = {
  paths: 'In which order its paths are taken, and how good each is',
  connections: 'Which of its connections are up, since when, and why not',
  routes: 'What is in the FIBs of the nodes that serve it',
} as const

export function siteOperations(sites: Sites, clock: Clock, offers: () => readonly CarriedOffer[]): Operation[] {
  const state = (site: ConnectedSite, access: Access): object => ({
    ...stateOf(site, access),
    hears: offers().flatMap(({ from, to, isCarrying: carried, generation }) =>
      to === site.name ? [{ site: from, carried, generation }] : [],
    ),
  })
  return [
    operation({
      ...{ id: 'listSites', method: 'GET', path: '/v1/sites', summary: 'All sites and their state', role: 'viewer' },
      ...{ params: nothing, query: nothing, answers: { 200: listOfItems(siteAnswer) } },
      handle: ({ access }) => ({ status: 200, body: { items: sites.all.map((site) => state(site, access)) } }),
    }),
    operation({
      ...{ id: 'getSite', method: 'GET', path: '/v1/sites/{site}', summary: 'One site and its state', role: 'viewer' },
      ...{ params: siteParams, query: nothing, answers: { 200: siteAnswer } },
      handle: ({ access, params }) => ({ status: 200, body: state(siteOf(sites, params.site), access) }),
    }),
    ...Object.entries(SHOWN).map(([thing, summary]) =>
      operation({
        ...{ id: `show${thing[0]!.toUpperCase()}${thing.slice(1)}`, method: 'GET', role: 'viewer' },
        ...{ path: `/v1/sites/{site}/tenants/{tenant}/${thing}`, summary },
        ...{ params: siteParams.extend({ tenant: name }), query: offsetPage, answers: { 200: listOfItems(row) } },
        async handle({ access, params: { site: wanted, tenant }, query: { limit, offset } }) {
          refuseUnseen(access, tenant)
          const site = siteOf(sites, wanted)
          if (!site.contents?.site.tenants.some((one) => one.name === tenant))
            throw new Refused('not-found', `site ${wanted} has no tenant ${tenant}`)
          const rows = await told(site, clock, thing, tenant)
          const items = rows.slice(offset, offset + limit)
          const next = offset + limit < rows.length ? { next: offset + limit } : {}
          return { status: 200, body: { items, ...next } }
        },
      }),
    ),
  ]
}

/** A site that goes away meanwhile does not answer until it is back. */
async function told(site: ConnectedSite, clock: Clock, thing: string, tenant: string): Promise<unknown[]> {
  if (!site.state.connected) throw new Refused('unavailable', `site ${site.name}: ${site.state.failure}`)
  const late = Promise.withResolvers<never>()
  const refusal = new Refused('unavailable', `site ${site.name} does not answer`)
  const timer = clock.after(ANSWER_WITHIN_ms, () => late.reject(refusal))
  try {
    return await Promise.race([askLeader(site.bus, clock, thing, tenant), late.promise])
  } finally {
    timer.cancel()
  }
}

function siteOf(sites: Sites, wanted: string): ConnectedSite {
  const site = sites.get(wanted)
  if (site) return site
  throw new Refused('not-found', `there is no site ${wanted}; there are ${sites.all.map((one) => one.name).join(', ')}`)
}

function stateOf({ state, contents }: ConnectedSite, access: Access): object {
  const { since_ms, ...rest } = state
  const tenants = contents?.site.tenants.filter(({ name }) => sees(access, name)).length
  return { ...rest, since: new Date(since_ms).toISOString(), ...(tenants !== undefined && { tenants }) }
}

const tokenAnswer = z.object({ name: z.string(), role: z.string(), tenants: z.array(z.string()).optional() })

/** Who may ask for what, for those who see to it. Nobody sees a token, nor its hash. */
export function tokenOperations(tokens: () => Tokens | undefined): Operation[] {
  return [
    operation({
      ...{ id: 'listTokens', method: 'GET', path: '/v1/tokens', summary: 'Who has a token', role: 'admin' },
      ...{ params: nothing, query: nothing, answers: { 200: listOfItems(tokenAnswer) } },
      handle({ access }) {
        const all = (tokens()?.all ?? []).filter(
          (one) => one.tenants?.every((name) => sees(access, name)) ?? !access.tenants,
        )
        return { status: 200, body: { items: all.map(({ sha256: _, ...token }) => token) } }
      },
    }),
    operation({
      ...{ id: 'health', method: 'GET', path: '/healthz', summary: 'The server answers', role: undefined },
      ...{ params: nothing, query: nothing, answers: { 200: z.object({ ok: z.literal(true) }) } },
      handle: () => ({ status: 200, body: { ok: true } }),
    }),
  ]
}
