/**
 * For tests: a bus of this process in a directory of its own. Everything is gone when the test is over, however it
 * ends.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { Random } from '../base/random.ts'
import type { Bus } from '../bus/bus.ts'
import { connectBus } from '../bus/embedded/client.ts'
import { busSocket, runBus } from '../bus/embedded/main.ts'

export interface BusHere {
  /** Also for what a module keeps. */
  readonly directory: string
  join(name: string): Promise<Bus>
  /** To be called when the test is over, while there is still a bus. */
  atEnd(close: () => Promise<void>): void
  /** The server stops; clients try to come back. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Forgets all that is durable. The server must be stopped. */
  wipe(): void
}

export async function busHere(t: TestContext): Promise<BusHere> {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-'))
  const clients: Bus[] = []
  const closing: (() => Promise<void>)[] = []
  let server = await runBus({ directory, stateDirectory: directory, log: silent })
  t.after(async () => {
    await Promise.all(closing.map((close) => close()))
    await Promise.all(clients.map((bus) => bus.close()))
    await server.close()
    rmSync(directory, { recursive: true })
  })
  return {
    directory,
    async join(name) {
      const bus = connectBus({
        socketPath: busSocket(directory),
        name,
        clock: systemClock,
        random: new Random(clients.length),
      })
      clients.push(bus)
      await bus.whenConnected(5000)
      return bus
    },
    atEnd: (close) => void closing.push(close),
    stop: () => server.close(),
    async start() {
      server = await runBus({ directory, stateDirectory: directory, log: silent })
    },
    wipe: () => rmSync(join(directory, 'bus'), { recursive: true }),
  }
}
