/** The bus over NATS under the suite of every bus, on a real server, and what only it promises. */

import type { ChildProcess } from 'node:child_process'
import { test } from 'node:test'
import { lacks } from '../../lab/needs.ts'
import { systemClock } from '../../src/base/clock.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import type { Bus } from '../../src/bus/bus.ts'
import { connectNats, type NatsOptions } from '../../src/bus/nats/client.ts'
import { ended, spawnModule } from '../../src/bus/suite/child.ts'
import type { BusHarness, SpawnedClient } from '../../src/bus/suite/site.ts'
import { busSuite } from '../../src/bus/suite.ts'
import { NatsServer } from './nats-server.ts'

const here = import.meta.dirname
const skip = lacks('nats-server')

function client(server: NatsServer, name: string, options: Partial<NatsOptions> = {}): Bus {
  const random = new Random(freshSeed())
  return connectNats({ servers: [server.address], site: 'test', name, clock: systemClock, random, ...options })
}

async function harness(): Promise<BusHarness> {
  const server = await NatsServer.start()
  const children = new Set<ChildProcess>()
  const kill = async (child: ChildProcess): Promise<void> => {
    child.kill('SIGKILL')
    await ended(child)
    children.delete(child)
  }
  return {
    client: (name) => client(server, name),
    start: () => server.start(),
    kill: () => server.kill(),
    async spawnClient(source): Promise<SpawnedClient> {
      const { child, line } = spawnModule(`
        const { connectNats } = await import('${here}/../../src/bus/nats/client.ts')
        const { systemClock: clock } = await import('${here}/../../src/base/clock.ts')
        const { Random } = await import('${here}/../../src/base/random.ts')
        const random = new Random(process.pid)
        const bus = connectNats({ servers: ['${server.address}'], site: 'test', name: 'child', clock, random })
        await bus.whenConnected(10_000)
        ${source}`)
      children.add(child)
      const signal = (name: NodeJS.Signals) => () => void child.kill(name)
      return { line, kill: () => kill(child), pause: signal('SIGSTOP'), resume: signal('SIGCONT') }
    },
    async stop() {
      await Promise.all([...children].map(kill))
      await server.stop()
    },
  }
}

if (skip) test('the bus over NATS', { skip }, () => {})
else busSuite('NATS', harness)
