/** Nodes, a switch and hosts as a process of its own that sends itself a signal at a point of `faulty-bus.ts`. */

import { readFileSync } from 'node:fs'
import { systemClock } from '../../src/base/clock.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import { connectBus } from '../../src/bus/embedded/client.ts'
import { watchedBus } from './faulty-bus.ts'
import { siteOf } from './scene.ts'
import { Readers } from './state.ts'

const [socketPath, directory, sitePath, where, signal] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  NodeJS.Signals,
]
const bus = connectBus({ socketPath, name: 'nodes', clock: systemClock, random: new Random(freshSeed()) })
const watched = watchedBus(bus, (point) => {
  process.stdout.write(`${point}\n`)
  if (point === where) process.kill(process.pid, signal)
})
new Readers(watched, directory, siteOf(readFileSync(sitePath, 'utf8')))
