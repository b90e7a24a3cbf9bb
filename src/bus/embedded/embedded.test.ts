/** The embedded bus under the suite of every bus, and what only it promises: its socket, its files and its limits. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import { silent } from '../../base/log.ts'
import { freshSeed, Random } from '../../base/random.ts'
import { type Bus, BusError } from '../bus.ts'
import { type BusHarness, busSuite, type SpawnedClient } from '../suite.ts'
import { connectBus } from './client.ts'
import { busSocket } from './main.ts'
import { type BusServer, startServer } from './server.ts'

const here = import.meta.dirname

function client(socketPath: string, name: string): Bus {
  return connectBus({ socketPath, name, clock: systemClock, random: new Random(freshSeed()) })
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

/** Runs an ES module in a process of its own; its standard output comes line by line. */
function spawnModule(source: string): { child: ChildProcess; line(): Promise<string> } {
  const options = { stdio: ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'] }
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], options)
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]()
  const line = async (): Promise<string> => {
    const next = await lines.next()
    if (next.done) throw new Error('the process ended')
    return next.value
  }
  return { child, line }
}

async function harness(): Promise<BusHarness> {
  const directory = mkdtempSync(join(tmpdir(), 'bus-'))
  const children = new Set<ChildProcess>()
  let server: ChildProcess
  const start = async (): Promise<void> => {
    const { child, line } = spawnModule(`
      const { runBus } = await import('${here}/main.ts')
      const { silent } = await import('${here}/../../base/log.ts')
      await runBus({ directory: '${directory}', log: silent })
      console.log('up')`)
    server = child
    children.add(child)
    equal(await line(), 'up')
  }
  const kill = async (child: ChildProcess): Promise<void> => {
    child.kill('SIGKILL')
    await ended(child)
    children.delete(child)
  }
  await start()
  return {
    client: (name) => client(busSocket(directory), name),
    start,
    kill: () => kill(server),
    async spawnClient(source): Promise<SpawnedClient> {
      const { child, line } = spawnModule(`
        const { connectBus } = await import('${here}/client.ts')
        const { systemClock } = await import('${here}/../../base/clock.ts')
        const { Random } = await import('${here}/../../base/random.ts')
        const socketPath = '${busSocket(directory)}'
        const bus = connectBus({ socketPath, name: 'child', clock: systemClock, random: new Random(process.pid) })
        await bus.whenConnected(10_000)
        ${source}`)
      children.add(child)
      const signal = (name: NodeJS.Signals) => () => void child.kill(name)
      return { line, kill: () => kill(child), pause: signal('SIGSTOP'), resume: signal('SIGCONT') }
    },
    async stop() {
      await Promise.all([...children].map(kill))
      rmSync(directory, { recursive: true })
    },
  }
}

busSuite('a Unix socket', harness)

async function serverHere(t: TestContext): Promise<{ server: BusServer; socketPath: string; directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'bus-'))
  const socketPath = join(directory, 'bus.sock')
  const server = await startServer({ socketPath, directory: join(directory, 'bus'), clock: systemClock, log: silent })
  t.after(async () => {
    await server.close()
    rmSync(directory, { recursive: true })
  })
  return { server, socketPath, directory }
}

test('a second server on the same directory or the same socket is refused, a killed one is replaced', async (t) => {
  const { socketPath, directory } = await serverHere(t)
  const options = { clock: systemClock, log: silent }
  const other = join(directory, 'other')
  await rejects(startServer({ ...options, socketPath: other, directory: join(directory, 'bus') }), /another bus server/)
  await rejects(startServer({ ...options, socketPath, directory: other }), /another bus server listens/)
})
