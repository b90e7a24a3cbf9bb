/** The API before a running orchestrator: all operations, the server, and who may ask, which is read again when it is told. */

import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Orchestrator } from '../config/orchestrator.ts'
import { formatError } from '../config/position.ts'
import type { RunningOrchestrator } from '../orchestrator/main.ts'
import { EventLog } from './event-log.ts'
import { type EventOptions, eventOperations } from './events.ts'
import { openApi } from './openapi.ts'
import type { Operation } from './operation.ts'
import { partOperations } from './parts.ts'
import { apiServer, type ServerOptions } from './server.ts'
import { siteOperations, tokenOperations } from './sites.ts'
import { tenantOperations } from './tenants.ts'
import { loadTokens, Tokens } from './tokens.ts'

export interface ApiOptions {
  readonly file: Orchestrator
  readonly orchestrator: Pick<RunningOrchestrator, 'sites' | 'tenants'> & Partial<Pick<RunningOrchestrator, 'exchange'>>
  readonly clock: Clock
  readonly log: Logger
}

export class Api {
  readonly #options: ApiOptions
  readonly #closing = new AbortController()
  readonly #events: EventLog
  readonly server: ReturnType<typeof apiServer>
  #tokens: Tokens | undefined

  /** Throws an `Error` with what is wrong in the tokens file, or names the file that cannot be read. */
  constructor(options: ApiOptions) {
    const { file, orchestrator, clock, log } = options
    this.#options = options
    this.#tokens = tokensOf(file)
    this.#events = new EventLog(orchestrator.sites, clock)
    const tokens = (): Tokens | undefined => this.#tokens
    const events = { events: this.#events, followersMax: file.limits.followers, signal: this.#closing.signal }
    const operations = operationsOf(options, { ...events, clock }, tokens)
    this.server = apiServer({ operations, tokens, limits: file.limits, ...tlsOf(file), clock, log })
  }

  /** Resolves with where it listens. */
  async listen(): Promise<string> {
    const { address: host, port } = this.#options.file.listen
    await this.server.listen({ host, port })
    const { address, family, port: taken } = this.server.server.address() as AddressInfo
    const scheme = this.#options.file.listen.tls ? 'https' : 'http'
    return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${taken}`
  }

  /** With errors in the file those that there were go on to hold. Throws as the constructor does. */
  readTokens(): void {
    this.#tokens = tokensOf(this.#options.file)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.server.close()
    await this.#events.close()
  }
}

function operationsOf(
  { orchestrator: { sites, tenants, exchange }, clock }: ApiOptions,
  events: EventOptions,
  tokens: () => Tokens | undefined,
): Operation[] {
  return [
    ...siteOperations(sites, clock, () => exchange?.tell() ?? []),
    ...tenantOperations(tenants),
    ...partOperations(tenants),
    ...eventOperations(events),
    ...tokenOperations(tokens),
  ]
}

/** Without anything that the operations could be about: they are only described. */
export function openApiDocument(): object {
  const absent = {}
  return openApi(operationsOf({ orchestrator: absent } as ApiOptions, absent as EventOptions, () => undefined))
}

function tokensOf({ tokens_file: path }: Orchestrator): Tokens | undefined {
  if (path === undefined) return undefined
  const { value, errors } = loadTokens(path)
  if (errors) throw new Error(errors.map((error) => formatError(path, error)).join('\n'))
  return new Tokens(value.tokens)
}

function tlsOf({ listen: { tls } }: Orchestrator): Pick<ServerOptions, 'tls'> {
  return tls ? { tls: { cert: readFileSync(tls.cert_file), key: readFileSync(tls.key_file) } } : {}
}
