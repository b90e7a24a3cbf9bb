/**
 * The HTTP server: from a request to the operation that it is about, and from whatever comes of that to an answer. Everything
 * that is the same for all operations is here: who asks, how often, how much, and what is said when it does not work.
 */

import type { IncomingMessage } from 'node:http'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { RateLimits } from '../base/rate-limit.ts'
import { isLoopback } from '../config/orchestrator.ts'
import type { Finding } from '../config/position.ts'
import { describe, findingsOf } from '../config/schema-error.ts'
import { type Access, accessOf, LOCAL, mayAs } from './access.ts'
import { openApi } from './openapi.ts'
import type { Answer, Asked, Operation } from './operation.ts'
import { type Problem, problemIn, problemOf } from './problem.ts'
import { Malformed } from './tenants.ts'
import type { Tokens } from './tokens.ts'

/** Rows of the limits for those without a token, by their address; two of one row share it. */
const ADDRESS_ROWS = 1024
/** Of each, and with all tokens that a file may have. */
const TOKEN_ROWS = 1024
const REQUEST_WITHIN_ms = 30_000
/** A prefix with all of its characters escaped. */
const PARAMETER_LENGTH_MAX = 200

export interface ServerOptions {
  readonly operations: readonly Operation[]
  /** As they are now; undefined where everybody may. */
  tokens(): Tokens | undefined
  readonly limits: { readonly body_kb: number; readonly requests_per_s: number; readonly burst: number }
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer }
  readonly clock: Clock
  readonly log: Logger
}

export function apiServer(options: ServerOptions): FastifyInstance {
  const server = fastify({
    bodyLimit: options.limits.body_kb * 1024,
    routerOptions: { maxParamLength: PARAMETER_LENGTH_MAX },
    requestTimeout: REQUEST_WITHIN_ms,
    forceCloseConnections: true,
    // Paths that it does not even look for.
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) =>
      void send(reply, problemFor(error, request, options.log)),
    ...(options.tls && { https: { ...options.tls, minVersion: 'TLSv1.2' as const } }),
  } as object) as FastifyInstance
  const gate = new Gate(options)
  server.setErrorHandler((error, request, reply) => void send(reply, problemFor(error, request, options.log)))
  server.setNotFoundHandler((request, reply) => void notFound(options.operations, request, reply))
  server.removeContentTypeParser('text/plain')
  const parse = server.getDefaultJsonParser('error', 'error')
  // Clients that say so of all that they send say it where there is nothing, too.
  server.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined)
    else void parse(request, body as string, done)
  })
  for (const operation of options.operations) {
    server.route({
      method: operation.method,
      url: operation.path.replace(/\{(\w+)\}/g, ':$1'),
      exposeHeadRoute: false,
      // Before a body is read that nobody may send.
      onRequest: async (request, reply) => {
        const refused = gate.refuse(operation, request)
        if (refused) await send(reply, refused)
      },
      handler: (request, reply) => answer(operation, gate.accessOf(request)!, request, reply),
    })
  }
  const document = JSON.stringify(openApi(options.operations))
  for (const url of ['/openapi.json', '/v1/openapi.json'])
    server.get(url, (_, reply) => reply.type('application/json').send(document))
  return server
}

/** Who comes in. */
class Gate {
  readonly #options: ServerOptions
  readonly #limits: RateLimits

  constructor(options: ServerOptions) {
    const { requests_per_s, burst } = options.limits
    this.#options = options
    this.#limits = new RateLimits(ADDRESS_ROWS + TOKEN_ROWS, requests_per_s, burst)
  }

  refuse(operation: Operation, request: FastifyRequest): Problem | undefined {
    const tokens = this.#options.tokens()
    const access = this.accessOf(request)
    // Those who guess share what they have by their address; those with a token have their own.
    const row =
      tokens && access ? ADDRESS_ROWS + tokens.all.findIndex(({ name }) => name === access.author) : rowOf(request)
    if (!this.#limits.take(row, this.#options.clock.now_us())) return problemOf(429)
    if (!tokens && !isForUs(request))
      return problemOf(421, 'without tokens the API is asked by the name of this host alone')
    if (operation.role === undefined) return undefined
    if (!access) return problemOf(401, 'Authorization: Bearer TOKEN, with a token that `gatehouse token` has made')
    if (mayAs(access, operation.role)) return undefined
    return problemOf(403, `token ${access.author} is a ${access.role}'s, and this takes an ${operation.role}`)
  }

  accessOf({ headers }: FastifyRequest): Access | undefined {
    const tokens = this.#options.tokens()
    if (!tokens) return LOCAL
    const [, secret] = /^Bearer +([\w.~+/=-]+)$/i.exec(headers.authorization ?? '') ?? []
    const found = secret === undefined ? undefined : tokens.find(secret)
    return found && accessOf(found)
  }
}

function rowOf({ ip }: FastifyRequest): number {
  let hash = 0
  for (const character of ip) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) | 0
  return (hash >>> 0) % ADDRESS_ROWS
}

/** A page from elsewhere may have a browser ask this host by another name, which is told by the name and the origin. */
function isForUs({ headers: { host = '', origin } }: FastifyRequest): boolean {
  const name = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  return origin === undefined && (name === 'localhost' || isLoopback(name))
}

async function answer(
  operation: Operation,
  access: Access,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const asked: Asked<never, never> = {
    access,
    params: read(operation.params, request.params) as never,
    query: read(operation.query, request.query) as never,
    body: operation.body ? objectIn(request.body) : undefined,
    ifMatch: headerOf(request.raw, 'if-match'),
    ifNoneMatch: headerOf(request.raw, 'if-none-match'),
    lastEventId: headerOf(request.raw, 'last-event-id'),
    accept: headerOf(request.raw, 'accept'),
  }
  const given = await operation.handle(asked)
  if ('stream' in given) {
    reply.hijack()
    given.stream(reply.raw)
    return reply
  }
  return sendAnswer(reply, given)
}

function headerOf({ headers }: IncomingMessage, name: string): string {
  const value = headers[name]
  return typeof value === 'string' ? value : ''
}

function read(schema: Operation['params'], value: unknown): unknown {
  const parsed = schema.safeParse(value, { error: describe })
  if (parsed.success) return parsed.data
  throw new Malformed(findingsOf(schema, parsed.error.issues, value) as Finding[])
}

function objectIn(body: unknown): object {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body
  throw new Malformed([{ path: [], message: 'expected a JSON object' }])
}

function sendAnswer(reply: FastifyReply, { status, body, headers = {} }: Answer): FastifyReply {
  reply.code(status).headers({ 'cache-control': 'no-store', ...headers })
  return body === undefined ? reply.send() : reply.type('application/json').send(JSON.stringify(body))
}

function send(reply: FastifyReply, problem: Problem): FastifyReply {
  reply.code(problem.status).headers({ 'cache-control': 'no-store' })
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer')
  if (problem.status === 429) reply.header('retry-after', '1')
  return reply.type('application/problem+json').send(JSON.stringify(problem))
}

function problemFor(error: unknown, { method, url }: FastifyRequest, log: Logger): Problem {
  if (error instanceof Malformed) return problemOf(400, error.message, error.errors)
  const known = problemIn(error)
  if (known) return known
  log.error({ method, url, error: (error as Error).stack }, 'a request failed')
  return problemOf(500)
}

function notFound(operations: readonly Operation[], request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const [path] = request.url.split('?', 1)
  const methods = operations.filter((one) => patternOf(one).test(path!)).map(({ method }) => method)
  if (methods.length === 0) return send(reply, problemOf(404, `see /openapi.json for what there is`))
  reply.header('allow', methods.join(', '))
  return send(reply, problemOf(405, `${request.method} is none of ${methods.join(', ')}`))
}

const patternOf = ({ path }: Operation): RegExp => new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`)
