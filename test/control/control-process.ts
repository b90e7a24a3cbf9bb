/**
 * A control module as a process of its own that sends itself a signal at a point of `faulty-bus.ts`. It tells every point
 * that it reaches, a line each.
 */

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import { connectBus } from '../../src/bus/embedded/client.ts'
import { parseSite } from '../../src/config/load.ts'
import { serveControl } from '../../src/control/serve.ts'
import { watchedBus } from './faulty-bus.ts'

const [socketPath, name, sitePath, where, signal] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  NodeJS.Signals,
]
const random = new Random(freshSeed())
const bus = connectBus({ socketPath, name, clock: systemClock, random })
const watched = watchedBus(bus, (point) => {
  process.stdout.write(`${point}\n`)
  if (point === where) process.kill(process.pid, signal)
})
// So that the first attempt at the lease is the one that succeeds.
await bus.whenConnected(10_000)
const site = parseSite(readFileSync(sitePath, 'utf8')).site!
const log = {
  ...silent,
  warn: (details: object, message: string) => process.stderr.write(`${name}: ${message} ${JSON.stringify(details)}\n`),
  error: (details: object, message: string) => process.stderr.write(`${name}: ${message} ${JSON.stringify(details)}\n`),
}
const options = { name, bus: watched, clock: systemClock, log, site, checkpointAfter_bytes: 1 }
await serveControl({ ...options, newIncarnation: randomUUID }).ended
