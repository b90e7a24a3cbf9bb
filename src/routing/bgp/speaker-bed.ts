/** A speaker on the loopback with peers on 127.0.0.2 and on, for tests: what it says of its sessions is kept. */

import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:net'
import { parseSite } from '../../config/load.ts'
import type { Routing } from '../../config/routing.ts'
import type { HistorySettings } from '../history/history.ts'
import { PlainPeer } from './plain-peer.ts'
import type { PolicyReload } from './route-engine.ts'
import type { HostEvent } from './session-host.ts'
import { Speaker } from './speaker.ts'

/** One that nobody has, for a moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

export type NeighbourText = { readonly name: string } & Readonly<Record<string, unknown>>

/** The neighbour `peer-N` on 127.0.0.N, whose AS is 65000 + N. */
export function plainNeighbour(number: number, holdTime_s = 90): NeighbourText {
  return {
    ...{ name: `peer-${number}`, address: `127.0.0.${number}`, as: 65_000 + number, passive: true },
    ...{ route_server_client: true, hold_time_s: holdTime_s },
  }
}

/** From `peer-2` on. */
export function plainNeighbours(count: number, holdTime_s?: number): NeighbourText[] {
  return Array.from({ length: count }, (_, i) => plainNeighbour(i + 2, holdTime_s))
}

export class SpeakerBed {
  readonly events: HostEvent[] = []
  readonly news = new EventEmitter<{ event: [] }>()
  readonly port: number
  /** Connections of strangers that were told of, and in how many pieces. */
  readonly strangers: number[] = []
  readonly #peers: PlainPeer[] = []
  #speaker: Speaker | undefined

  private constructor(port: number) {
    this.port = port
  }

  /** A route server. */
  static async start(neighbours: readonly NeighbourText[], history?: HistorySettings): Promise<SpeakerBed> {
    const bed = new SpeakerBed(await freePort())
    bed.#speaker = await Speaker.start({
      routing: bed.#routing(neighbours),
      history,
      event(event) {
        bed.events.push(event)
        bed.news.emit('event')
      },
      strangers({ connections }) {
        bed.strangers.push(connections)
        bed.news.emit('event')
      },
      onDeath(error) {
        throw error
      },
    })
    return bed
  }

  get speaker(): Speaker {
    return this.#speaker!
  }

  /** Another site file, with these neighbours, and what else is in it. */
  async reload(neighbours: readonly NeighbourText[], parts: object = {}): Promise<PolicyReload> {
    return await this.speaker.reload({ routing: this.#routing(neighbours, parts) })
  }

  /** Resolves when the session is up for both ends, and with all of the speaker's threads. */
  async peer(number: number, holdTime_s = 90): Promise<PlainPeer> {
    const local = `127.0.0.${number}`
    const peer = new PlainPeer({ local, port: this.port, as: 65_000 + number, holdTime_s })
    this.#peers.push(peer)
    await peer.established()
    while (!(await this.#isUp(local)));
    return peer
  }

  async #isUp(address: string): Promise<boolean> {
    const up = (await this.speaker.sessions()).filter(({ state }) => state === 'established')
    return up.some((session) => session.address === address) && (await this.speaker.counts()).sessions >= up.length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) peer.close()
    await this.speaker.close()
  }

  /** Sessions that are no more, and why. */
  lost(): string[] {
    return this.events
      .filter(({ from }) => from === 'established')
      .map(({ peer, reason }) => `${peer}: ${reason?.sentence}`)
  }

  #routing(neighbours: readonly NeighbourText[], parts: object = {}): Routing {
    const listen = [{ address: '127.0.0.1', port: this.port }]
    const routing = { as: 65_001, router_id: '10.0.0.1', listen, neighbours, ...parts }
    const { site, errors } = parseSite(JSON.stringify({ site: 's', routing }))
    if (!site) throw new Error(JSON.stringify(errors))
    return site.routing!
  }
}
