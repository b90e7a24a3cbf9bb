/** For the tests of the bus over NATS: clients of a server, closed when the test is over. */

import type { TestContext } from 'node:test'
import { NatsServer, type Settings } from '../../lab/nats/server.ts'
import { systemClock } from '../../src/base/clock.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import type { Bus } from '../../src/bus/bus.ts'
import { connectNats, type NatsOptions } from '../../src/bus/nats/client.ts'

export const SITE = 'test'

export function natsClient(servers: readonly string[], name: string, options: Partial<NatsOptions> = {}): Bus {
  return connectNats({ servers, site: SITE, name, clock: systemClock, random: new Random(freshSeed()), ...options })
}

export interface NatsHere {
  readonly server: NatsServer
  /** Starts to connect. */
  client(name: string, options?: Partial<NatsOptions>): Bus
  /** Has connected. */
  join(name: string, options?: Partial<NatsOptions>): Promise<Bus>
}

export async function natsHere(t: TestContext, settings?: Settings): Promise<NatsHere> {
  const clients: Bus[] = []
  const server = await NatsServer.start(settings)
  t.after(async () => {
    await Promise.all(clients.map((bus) => bus.close()))
    await server.stop()
  })
  const client = (name: string, options?: Partial<NatsOptions>): Bus => {
    const bus = natsClient([server.address], name, options)
    clients.push(bus)
    return bus
  }
  return {
    server,
    client,
    async join(name, options) {
      const bus = client(name, options)
      await bus.whenConnected(10_000)
      return bus
    },
  }
}
