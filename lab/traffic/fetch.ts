/**
 * HTTP requests against a real server in a machine: one after the other at a steady pace, over one connection that is
 * kept or a fresh one each. A request has failed when there is no answer within five seconds or it is not the page.
 */

import { Agent, createServer, get, type Server } from 'node:http'
import { systemClock, type Timer } from '../../src/base/clock.ts'
import { Histogram } from './histogram.ts'
import { isPatternAt, patternAt } from './pattern.ts'
import { type FetchPlan, type FetchReport, HTTP_PORT } from './plan.ts'
import { boundDescriptor, connectFrom } from './socket.ts'

const PAGE_BYTES = 10_000
const TIMEOUT_MS = 5000
/** A page further on for each request, so that an answer to another request shows. */
const PAGE_STEP = 997

export function httpServer(namespace: string, address: string): Promise<Server> {
  const server = createServer((request, response) => {
    const position = Number(request.url!.slice(1))
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': PAGE_BYTES })
    response.end(patternAt(position, PAGE_BYTES))
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ fd: boundDescriptor(namespace, address, HTTP_PORT) }, () => resolve(server))
  })
}

export class Fetcher {
  readonly #plan: FetchPlan
  readonly #agent: Agent
  readonly #latency = new Histogram()
  readonly #pending = new Set<Promise<void>>()
  #requests = 0
  #failed = 0
  #trouble: string | undefined
  #timer: Timer | undefined

  constructor(namespace: string, plan: FetchPlan) {
    this.#plan = plan
    this.#agent = new Agent({ keepAlive: !plan.fresh, maxSockets: plan.fresh ? Number.POSITIVE_INFINITY : 1 })
    this.#agent.createConnection = () => connectFrom(namespace, plan.from, plan.to, HTTP_PORT)
  }

  start(interval_ms: number): void {
    this.#timer = systemClock.every(interval_ms, () => {
      const request = this.#fetch().finally(() => this.#pending.delete(request))
      this.#pending.add(request)
    })
  }

  async #fetch(): Promise<void> {
    const position = this.#requests++ * PAGE_STEP
    const start_us = systemClock.now_us()
    try {
      const page = await this.#page(position)
      if (page.length !== PAGE_BYTES || !isPatternAt(position, page)) throw new Error('a wrong page')
      this.#latency.add(systemClock.now_us() - start_us)
    } catch (error) {
      this.#failed++
      this.#trouble ??= `HTTP ${this.#plan.to}: ${(error as Error).message}`
    }
  }

  async #page(position: number): Promise<Buffer> {
    const options = { agent: this.#agent, signal: AbortSignal.timeout(TIMEOUT_MS) }
    const host = this.#plan.to.includes(':') ? `[${this.#plan.to}]` : this.#plan.to
    const request = get(`http://${host}:${HTTP_PORT}/${position}`, options)
    const parts: Buffer[] = []
    const response = await new Promise<AsyncIterable<Buffer>>((resolve, reject) => {
      request.once('response', resolve)
      request.once('error', reject)
    })
    for await (const part of response) parts.push(part)
    return Buffer.concat(parts)
  }

  get report(): FetchReport & { trouble?: string } {
    const { requests, failed } = { requests: this.#requests, failed: this.#failed }
    return { requests, failed, latency: this.#latency.data(), ...(this.#trouble && { trouble: this.#trouble }) }
  }

  /** Makes no more requests and waits for those that are under way. */
  async stop(): Promise<void> {
    this.#timer?.cancel()
    await Promise.all(this.#pending)
    this.#agent.destroy()
  }
}
