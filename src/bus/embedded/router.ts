/**
 * Who hears what: plain messages to their subscribers and requests to their responders, of one server's clients. The
 * two are separate spaces. Nothing is stored: a message is on its way to a client's queue, or dropped and counted
 * there.
 */

import type { BusErrorCode } from '../bus.ts'
import { SubjectTree } from '../subject.ts'
import type { Connection } from './connection.ts'

/** A module subscribes to a dozen patterns; a test of ten thousand should still be told what is wrong with it. */
const SUBSCRIPTIONS_MAX = 4096
/** Of one requester that wait for their answers. A client may have more calls pending (link.ts), of other kinds. */
const REQUESTS_MAX = 1024

interface Subscriber {
  readonly connection: Connection
  readonly subscription: number
  readonly responds: boolean
  readonly pattern: string
}

interface Request {
  readonly requester: Connection
  readonly id: number
  readonly responders: Set<Connection>
}

interface Client {
  readonly subscribers: Map<number, Subscriber>
  /** The client's own number to the router's. */
  readonly requests: Map<number, number>
}

export class Router {
  readonly #plain = new SubjectTree<Subscriber>()
  readonly #responders = new SubjectTree<Subscriber>()
  readonly #clients = new Map<Connection, Client>()
  readonly #requests = new Map<number, Request>()
  #nextRequest = 1

  /** Undefined, or why not. */
  subscribe(subscriber: Subscriber): BusErrorCode | undefined {
    const { subscribers } = this.#client(subscriber.connection)
    if (subscribers.has(subscriber.subscription)) return 'malformed'
    if (subscribers.size >= SUBSCRIPTIONS_MAX) return 'too-many'
    subscribers.set(subscriber.subscription, subscriber)
    this.#treeOf(subscriber).add(subscriber.pattern, subscriber)
    return undefined
  }

  unsubscribe(connection: Connection, subscription: number): void {
    const { subscribers } = this.#client(connection)
    const subscriber = subscribers.get(subscription)
    if (!subscriber) return
    subscribers.delete(subscription)
    this.#treeOf(subscriber).remove(subscriber.pattern, subscriber)
  }

  publish(subject: string, payload: Uint8Array): void {
    this.#plain.find(subject, ({ connection, subscription }) => {
      if (!connection.sendPlain({ type: 'message', subscription, subject, payload })) connection.countMissed()
    })
  }

  /** Undefined, or why nobody was asked. */
  request(requester: Connection, id: number, subject: string, payload: Uint8Array): BusErrorCode | undefined {
    const { requests } = this.#client(requester)
    if (requests.has(id)) return 'malformed'
    if (requests.size >= REQUESTS_MAX) return 'too-many'
    const request = this.#freeNumber()
    const responders = new Set<Connection>()
    let found = false
    this.#responders.find(subject, ({ connection, subscription }) => {
      found = true
      if (connection.sendPlain({ type: 'request', subscription, request, subject, payload })) responders.add(connection)
    })
    if (responders.size === 0) return found ? 'overloaded' : 'no-responders'
    requests.set(id, request)
    this.#requests.set(request, { requester, id, responders })
    return undefined
  }

  /** The first answer counts; later ones find nobody. */
  answer(responder: Connection, request: number, payload: Uint8Array): void {
    const waiting = this.#take(responder, request)
    waiting?.requester.send({ type: 'done', id: waiting.id, number: 0, payload })
  }

  /** Gives the requester that the answer fails to, if it still waits. */
  refuse(responder: Connection, request: number): { requester: Connection; id: number } | undefined {
    return this.#take(responder, request)
  }

  cancel(requester: Connection, id: number): void {
    const { requests } = this.#client(requester)
    const request = requests.get(id)
    if (request === undefined) return
    requests.delete(id)
    this.#requests.delete(request)
  }

  /** Forgets the client and calls `abandoned` for every request that nobody is left to answer. */
  leave(connection: Connection, abandoned: (requester: Connection, id: number) => void): void {
    const client = this.#client(connection)
    for (const subscription of client.subscribers.keys()) this.unsubscribe(connection, subscription)
    for (const request of client.requests.values()) this.#requests.delete(request)
    this.#clients.delete(connection)
    for (const [number, { requester, id, responders }] of this.#requests) {
      if (!responders.delete(connection) || responders.size > 0) continue
      this.#requests.delete(number)
      this.#client(requester).requests.delete(id)
      abandoned(requester, id)
    }
  }

  #take(responder: Connection, number: number): Request | undefined {
    const request = this.#requests.get(number)
    if (!request?.responders.has(responder)) return undefined
    this.#requests.delete(number)
    this.#client(request.requester).requests.delete(request.id)
    return request
  }

  #client(connection: Connection): Client {
    const known = this.#clients.get(connection)
    if (known) return known
    const client = { subscribers: new Map(), requests: new Map() }
    this.#clients.set(connection, client)
    return client
  }

  #treeOf(subscriber: Subscriber): SubjectTree<Subscriber> {
    return subscriber.responds ? this.#responders : this.#plain
  }

  #freeNumber(): number {
    while (this.#requests.has(this.#nextRequest)) this.#nextRequest = (this.#nextRequest + 1) >>> 0
    const number = this.#nextRequest
    this.#nextRequest = (number + 1) >>> 0
    return number
  }
}
