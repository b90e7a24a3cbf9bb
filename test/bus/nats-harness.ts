/** What the suite of every bus runs on over NATS: clients of servers that are started and killed by whoever hands them in. */

import type { ChildProcess } from 'node:child_process'
import { ended, spawnModule } from '../../src/bus/suite/child.ts'
import type { BusHarness, SpawnedClient } from '../../src/bus/suite/site.ts'
import { natsClient, SITE } from './nats-clients.ts'

const here = import.meta.dirname

export function natsHarness(
  servers: readonly string[],
  { start, kill, stop }: Pick<BusHarness, 'start' | 'kill' | 'stop'>,
  replicas: 1 | 3 = 1,
): BusHarness {
  const children = new Set<ChildProcess>()
  const killChild = async (child: ChildProcess): Promise<void> => {
    child.kill('SIGKILL')
    await ended(child)
    children.delete(child)
  }
  return {
    client: (name) => natsClient(servers, name, { replicas }),
    start,
    kill,
    async spawnClient(source): Promise<SpawnedClient> {
      const { child, line } = spawnModule(`
        const { connectNats } = await import('${here}/../../src/bus/nats/client.ts')
        const { systemClock: clock } = await import('${here}/../../src/base/clock.ts')
        const { Random } = await import('${here}/../../src/base/random.ts')
        const place = { servers: ${JSON.stringify(servers)}, site: '${SITE}', replicas: ${replicas} }
        const bus = connectNats({ ...place, name: 'child', clock, random: new Random(process.pid) })
        await bus.whenConnected(10_000)
        ${source}`)
      children.add(child)
      const signal = (name: NodeJS.Signals) => () => void child.kill(name)
      return { line, kill: () => killChild(child), pause: signal('SIGSTOP'), resume: signal('SIGCONT') }
    },
    async stop() {
      await Promise.all([...children].map(killChild))
      await stop()
    },
  }
}
