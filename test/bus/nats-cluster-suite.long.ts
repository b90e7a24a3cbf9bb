/** The suite of every bus over three nats-servers that keep everything three times; to kill the server is to kill all of them. */

import { test } from 'node:test'
import { NatsCluster } from '../../lab/nats/cluster.ts'
import { lacks } from '../../lab/needs.ts'
import type { BusHarness } from '../../src/bus/suite/site.ts'
import { busSuite } from '../../src/bus/suite.ts'
import { natsHarness } from './nats-harness.ts'

const skip = lacks('nats-server')

async function harness(): Promise<BusHarness> {
  const cluster = await NatsCluster.start()
  return natsHarness(
    cluster.addresses,
    {
      // Whoever starts the server of a bus finds it at work; here it is once leaders are elected.
      async start() {
        await cluster.startAll()
        await cluster.whenLed()
      },
      async kill() {
        await Promise.all(Array.from(cluster.servers.values(), (server) => server.kill()))
      },
      stop: () => cluster.stop(),
    },
    3,
  )
}

if (skip) test('the bus over three servers of NATS', { skip }, () => {})
else busSuite('three servers of NATS', harness)
