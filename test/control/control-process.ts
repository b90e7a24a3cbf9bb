/**
 * A control module as a process of its own that sends itself a signal at a point of `faulty-bus.ts`. It tells every point
 * that it reaches, a line each.
 */

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { systemClock } from '../../src/base/clock.ts'
import { silent } from '../../src/base/log.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import type { Lease } from '../../src/bus/bus.ts'
import { type BusPlace, openBus } from '../../src/bus/place.ts'
import { parseSite } from '../../src/config/load.ts'
import { LeaseKeeper } from '../../src/control/lease-keeper.ts'
import { LEASE_MS, serveControl } from '../../src/control/serve.ts'
import { watchedBus } from './faulty-bus.ts'

const [busPlace, name, sitePath, where, signal, checkpoint] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  NodeJS.Signals,
  string,
]
const random = new Random(freshSeed())
const place: BusPlace = JSON.parse(busPlace)
const bus = await openBus(place, { name, clock: systemClock, random })
const reached = (point: string): void => {
  process.stdout.write(`${point}\n`)
  if (point === where) process.kill(process.pid, signal)
}
const watched = watchedBus(bus, reached)
// So that the first attempt at the lease is the one that succeeds.
await bus.whenConnected(10_000)
const site = parseSite(readFileSync(sitePath, 'utf8')).site!
const log = {
  ...silent,
  warn: (details: object, message: string) => process.stderr.write(`${name}: ${message} ${JSON.stringify(details)}\n`),
  error: (details: object, message: string) => process.stderr.write(`${name}: ${message} ${JSON.stringify(details)}\n`),
}
const options = { name, bus: watched, clock: systemClock, log, site, checkpointAfter_bytes: Number(checkpoint) }
const keeper = new LeaseKeeper({ place, holder: name, ttl_ms: LEASE_MS, clock: systemClock })
const lead = async (until: AbortSignal): Promise<Lease> => {
  reached('before acquire control')
  const lease = await keeper.campaign(until)
  reached('done acquire control')
  return lease
}
await serveControl({ ...options, newIncarnation: randomUUID, campaign: lead }).ended
