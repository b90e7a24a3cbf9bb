/**
 * Requests of all kinds, most of them nonsense: none makes the server fail, each is answered as it says that it answers, and
 * whatever was taken leaves both sites right and at one with each other.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { getSite } from '../agent/site-store.ts'
import { freshSeed, Random } from '../base/random.ts'
import { checkSite } from '../config/check.ts'
import { documentText } from '../orchestrator/two-sites.ts'
import { openApiDocument } from './main.ts'
import { type ApiScene, apiScene, TOKENS } from './scene.ts'

const requests = Number(process.env['FUZZ_N'] ?? 400)
const seed = Number(process.env['FUZZ_SEED'] ?? freshSeed())

const WORDS = [
  'acme',
  'beta',
  'own',
  'prod',
  'web',
  'dc-east',
  'east',
  'west',
  'north',
  'v1',
  'h1',
  'edge',
  'p',
  '',
  '__proto__',
  'constructor',
]
const ADDRESSES = [
  '172.16.0.5',
  '10.0.0.0/8',
  '10.0.0.1/8',
  '192.168.0.1/24',
  '2001:db8::/32',
  '::',
  '300.1.1.1',
  '0.0.0.0/0',
]
const VALUES: readonly unknown[] = [
  0,
  -1,
  1,
  20,
  21,
  2 ** 24,
  1e308,
  true,
  null,
  [],
  {},
  [[]],
  'x'.repeat(300),
  '\u0000',
  '..',
  '%2e',
  'é',
]

const document = openApiDocument() as { paths: Record<string, Record<string, { responses: object }>> }
/** But for what control modules are asked, of which there are none here. */
const paths = Object.entries(document.paths).filter(([path]) => !path.startsWith('/v1/sites/{site}/tenants'))
const OPERATIONS = paths.flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, { responses }]) => ({ path, method: method.toUpperCase(), responses })),
)

class Requests {
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  any() {
    const random = this.#random
    const { path, method, responses } = random.pick(OPERATIONS)
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(this.#named(name)))
    const query = random.chance(0.2) ? `?${encodeURIComponent(this.#word())}=${encodeURIComponent(this.#word())}` : ''
    const body = method === 'PUT' || random.chance(0.05) ? this.#body(path) : undefined
    const as = random.pick([...TOKENS.map(({ name }) => name), 'nobody', 'olaf', 'olaf', 'olaf'])
    return {
      path: `${filled}${query}`,
      method,
      responses,
      sent: { as, headers: this.#headers(), ...(body !== undefined && { body }) },
    }
  }

  /** Mostly of the right kind. */
  #named(parameter: string): string {
    const right: Readonly<Record<string, readonly string[]>> = {
      ...{ tenant: ['acme', 'beta'], vpc: ['prod'], site: ['east', 'west'], prefix: ['10.0.0.0/8', '10.1.0.0/16'] },
    }
    return this.#random.chance(0.85) ? this.#random.pick(right[parameter] ?? ['web', 'dc-east', 'more']) : this.#word()
  }

  #word(): string {
    return this.#random.chance(0.85) ? this.#random.pick(WORDS) : String(this.#random.pick([...ADDRESSES, ...VALUES]))
  }

  #headers(): Record<string, string> {
    const tag = this.#random.pick(['*', '"1-x"', 'x,y', '""'])
    return this.#random.chance(0.6)
      ? { [this.#random.pick(['if-match', 'if-match', 'if-none-match', 'last-event-id'])]: tag }
      : {}
  }

  #body(path: string): unknown {
    const random = this.#random
    if (random.chance(0.05)) return '{"name":"acme"'
    const vni = 20 + random.below(3)
    const sites = random.pick([['east'], ['west'], ['east', 'west']])
    const { name: _, ...whole } = documentText('acme', vni, sites) as { name: string }
    const parts: Readonly<Record<string, unknown>> = {
      tenant: whole,
      machine: { address: `172.16.0.${5 + random.below(4)}`, host: 'h1' },
      prefix: { via: ['172.16.0.5'], sites: ['east'] },
      vpc: { key: 30 + random.below(3) },
      name: {
        ...{ site: 'east', switch: 'edge', port: 'p', vlan: 40 + random.below(3), vni: 50 + random.below(3) },
        gateway: ['192.168.7.1/24'],
      },
    }
    const [, last = ''] = /\{(\w+)\}$/.exec(path) ?? []
    const kind = last === 'name' && path.includes('machines') ? 'machine' : last
    const part = random.chance(0.8) ? (parts[kind] ?? whole) : random.pick(Object.values(parts))
    return random.chance(0.5) ? part : this.#mutated(part)
  }

  /** Something in it is something else. */
  #mutated(value: unknown, depth = 0): unknown {
    const random = this.#random
    if (depth > 4 || random.chance(0.15)) return random.pick([...VALUES, ...WORDS, ...ADDRESSES])
    if (Array.isArray(value)) {
      const at = random.below(value.length + 1)
      return value
        .map((one, i) => (i === at ? this.#mutated(one, depth + 1) : one))
        .concat(at === value.length ? [random.pick(VALUES)] : [])
    }
    if (typeof value !== 'object' || value === null) return random.pick([...VALUES, ...WORDS, ...ADDRESSES])
    const entries = Object.entries(value)
    const at = random.below(entries.length + 1)
    const kept = entries.map(([key, inner], i) => [key, i === at ? this.#mutated(inner, depth + 1) : inner])
    return Object.fromEntries(at === entries.length ? [...kept, [random.pick(WORDS), random.pick(VALUES)]] : kept)
  }
}

test(`the API does not fail, and its sites stay right, ${requests} requests, FUZZ_SEED=${seed}`, async (t) => {
  const scene = await apiScene(t)
  equal((await scene.ask('PUT', '/v1/tenants/acme', { body: documentText('acme', 20) })).status, 201)
  const made = new Requests(new Random(seed))
  const statuses = new Map<number, number>()
  for (let i = 0; i < requests; i++) {
    const { method, path, responses, sent } = made.any()
    const { status, body } = await scene.ask(method, path, sent)
    const what = `${method} ${path} ${JSON.stringify(sent)}: ${status} ${JSON.stringify(body)}`
    ok(status !== 500 && status !== 503, what)
    if (status < 400) ok(String(status) in responses, what)
    else deepEqual([body['status'], typeof body['title']], [status, 'string'], what)
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
  }
  t.diagnostic(
    Array.from(statuses, ([status, times]) => `${status}: ${times}`)
      .sort()
      .join(', '),
  )
  ok((statuses.get(201) ?? 0) + (statuses.get(200) ?? 0) > 0)
  await areRight(scene)
})

async function areRight({ clients, tenants }: ApiScene): Promise<void> {
  await tenants.settled()
  const [east, west] = [(await getSite(clients.east))!, (await getSite(clients.west))!]
  for (const site of [east, west]) deepEqual(checkSite(site), [])
  for (const name of tenants.names) {
    const known = tenants.get(name)!
    if (known.owner === 'orchestrator') deepEqual(known.pending, [])
  }
  const held = new Set([...east.tenants, ...west.tenants].map(({ name }) => name))
  equal([...held].sort().join(), tenants.names.join())
}
