/** Three nats-servers that know each other, so that streams, buckets and leases can be on all of them. */

import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { freePort, type NatsPlace, NatsServer, type Settings } from './server.ts'

export const SERVERS = 3

/** Elections took five to nine seconds. */
const ELECTION_ATTEMPTS = 40
const ELECTION_LOOK_ms = 500

interface Roles {
  readonly leader: NatsServer
  readonly follower: NatsServer
}

export interface ClusterMember extends NatsPlace {
  /** Where the servers talk to each other. */
  readonly routePort: number
}

export class NatsCluster {
  /** By their names: n1, n2, n3. */
  readonly servers: ReadonlyMap<string, NatsServer>

  /** On loopback ports unless places are given. Resolves once they take clients; JetStream elects its leader after that. */
  static async start(places?: readonly ClusterMember[], settings: Settings = () => ''): Promise<NatsCluster> {
    const members = places ?? (await loopbackPlaces())
    const routes = members.map(({ host, routePort }) => `"nats://${host}:${routePort}"`).join(', ')
    const servers = members.map((member, i): [string, NatsServer] => {
      const name = `n${i + 1}`
      const own = `cluster { name: gatehouse, listen: "${member.host}:${member.routePort}", routes: [${routes}] }`
      return [name, new NatsServer(member, (directory) => `server_name: ${name}\n${own}\n${settings(directory)}`)]
    })
    const cluster = new NatsCluster(new Map(servers))
    try {
      await cluster.startAll()
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  private constructor(servers: ReadonlyMap<string, NatsServer>) {
    this.servers = servers
  }

  /** `host:port` of each. */
  get addresses(): string[] {
    return Array.from(this.servers.values(), ({ address }) => address)
  }

  /** Somebody leads each stream. */
  async whenLed(): Promise<void> {
    const connection = await connect({ servers: this.addresses })
    try {
      const manager = await jetstreamManager(connection, { checkAPI: false })
      const names = await persist(() => manager.streams.names().next())
      for (const name of names) await this.rolesOf(name)
    } finally {
      await connection.close()
    }
  }

  /** Those that do not run. */
  async startAll(): Promise<void> {
    const down = [...this.servers.values()].filter(({ isRunning }) => !isRunning)
    await Promise.all(down.map((server) => server.start()))
  }

  /**
   * Who leads the stream, and one who follows, once somebody leads. By `addresses`, should ours not be reached under theirs
   * from here.
   */
  async rolesOf(stream: string, addresses: readonly string[] = this.addresses): Promise<Roles> {
    const connection = await connect({ servers: [...addresses] })
    try {
      return await persist(async () => {
        const leader = this.servers.get((await leaderOf(connection, stream)) ?? '')
        if (!leader) throw new Error(`nobody leads ${stream}`)
        return { leader, follower: [...this.servers.values()].find((other) => other !== leader)! }
      })
    } finally {
      await connection.close()
    }
  }

  async stop(): Promise<void> {
    await Promise.all(Array.from(this.servers.values(), (server) => server.stop()))
  }
}

/** Asks again and again, for longer than an election takes. */
async function persist<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask()
    } catch (error) {
      if (attempt === ELECTION_ATTEMPTS) throw error
    }
    await sleep(ELECTION_LOOK_ms)
  }
}

/** While nobody leads JetStream itself, it does not answer. */
async function leaderOf(connection: NatsConnection, stream: string): Promise<string | undefined> {
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 1000 })
  return (await manager.streams.info(stream)).cluster?.leader
}

async function loopbackPlaces(): Promise<ClusterMember[]> {
  const numbers = Array.from({ length: SERVERS }, () => Promise.all([freePort(), freePort()]))
  return (await Promise.all(numbers)).map(([port, routePort]) => ({ host: '127.0.0.1', port, routePort }))
}
