/** For tests: the API before an orchestrator of two sites, and somebody who asks it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { parseOrchestrator } from '../config/orchestrator.ts'
import type { Sites } from '../orchestrator/sites.ts'
import type { Tenants } from '../orchestrator/tenants.ts'
import { type TwoSites, twoSites } from '../orchestrator/two-sites.ts'
import { Api } from './main.ts'
import { newToken, type Role } from './tokens.ts'

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Readonly<Record<string, unknown>>
}

export interface Sent {
  readonly as?: string | undefined
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface ApiScene extends TwoSites {
  readonly api: Api
  readonly sites: Sites
  readonly tenants: Tenants
  readonly secrets: ReadonlyMap<string, string>
  readonly tokensPath: string
  /** As the token of that name; a text goes as it is. */
  ask(method: string, path: string, sent?: Sent): Promise<Reply>
}

export interface Wanted {
  readonly name: string
  readonly role: Role
  readonly tenants?: readonly string[]
}

export const TOKENS: readonly Wanted[] = [
  { name: 'vera', role: 'viewer' },
  { name: 'olaf', role: 'operator' },
  { name: 'anna', role: 'admin' },
  { name: 'acme-portal', role: 'operator', tenants: ['acme'] },
]

export async function apiScene(
  t: TestContext,
  { limits = '{ requests_per_s: 100000, burst: 100000 }', tokens = TOKENS as readonly Wanted[] | null } = {},
): Promise<ApiScene> {
  const two = await twoSites(t)
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-api-'))
  const tokensPath = join(directory, 'tokens.yaml')
  const secrets = writeTokens(tokensPath, tokens ?? [])
  const { value: file, errors } = parseOrchestrator(`
orchestrator: main
listen: { port: 0 }
limits: ${limits}
${tokens ? `tokens_file: ${tokensPath}` : ''}
sites: [{ name: east }, { name: west }]
`)
  if (!file) throw new Error(JSON.stringify(errors))
  const orchestrator = await two.orchestrator('main')
  const api = new Api({ file, orchestrator, clock: systemClock, log: silent })
  // Before the orchestrator: what is closed last was made first.
  two.buses.east.atEnd(async () => {
    await api.close()
    rmSync(directory, { recursive: true, force: true })
  })
  const ask = async (method: string, path: string, { as = 'olaf', body, headers = {} }: Sent = {}): Promise<Reply> => {
    const secret = secrets.get(as)
    const reply = await api.server.inject({
      method: method as 'GET',
      url: path,
      headers: {
        ...(secret !== undefined && { authorization: `Bearer ${secret}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    return { status: reply.statusCode, headers: reply.headers, body: reply.body === '' ? {} : JSON.parse(reply.body) }
  }
  return { ...two, ...orchestrator, api, secrets, tokensPath, ask }
}

/** Returns the secrets by name. */
export function writeTokens(path: string, wanted: readonly Wanted[]): Map<string, string> {
  const made = wanted.map((one) => ({ ...one, ...newToken() }))
  writeFileSync(path, JSON.stringify({ tokens: made.map(({ secret: _, ...token }) => token) }))
  return new Map(made.map(({ name, secret }) => [name, secret]))
}
