/**
 * The vSwitch as a process: `node lab/vswitch/main.ts CONFIG.json`, in the host's namespace. Says `ready` on stdout,
 * then takes requests, a JSON document a line, on stdin: `{ "setVip": { "key", "vip" } }` and `{ "counters": true }`;
 * each is answered by a line on stdout. Ends when stdin does.
 *
 * It follows on the site's bus which connections the tenants of its machines have and which of them are up: what an agent
 * on a host may tell the machines, or choose by.
 */

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { ConnectionStates } from '../../src/agent/connection-states.ts'
import { parseAddress } from '../../src/base/address.ts'
import { systemClock } from '../../src/base/clock.ts'
import { freshSeed, Random } from '../../src/base/random.ts'
import { openBus } from '../../src/bus/place.ts'
import { NetworkView } from '../../src/linux/network-view.ts'
import { PollSet } from '../../src/linux/poll.ts'
import { SteeringTables } from '../../src/linux/steering.ts'
import { PROTOCOL } from '../../src/wire/ipv4.ts'
import { openPorts } from './ports.ts'
import { VSwitch, type VSwitchConfig } from './vswitch.ts'

/** A request is answered, and the end of stdin seen, at most this late. */
const SLEEP_MS = 20
/** How often a busy switch looks at its event loop; a look costs some 6 us. */
const LOOK_us = 1000

interface Request {
  readonly setVip?: { readonly key: number; readonly vip: string }
  readonly counters?: true
}

const config: VSwitchConfig = JSON.parse(readFileSync(process.argv[2]!, 'utf8'))
const tables = new SteeringTables([{ protocol: PROTOCOL.gre }])
tables.setAddress(parseAddress(config.address)!, 'tunnel')
const { frames, pool, ports } = openPorts(
  [
    ...config.uplinks.map((uplink) => ({ interface: uplink.interface, kind: 'node' as const })),
    ...config.machines.map((machine) => ({ interface: machine.interface, kind: 'customer' as const })),
  ],
  tables,
)
const vswitch = new VSwitch(config, frames, pool, ports)

const view = new NetworkView(systemClock, ({ kind, value }) => {
  if (kind === 'link') vswitch.setCarrier(value.name, value.up && value.carrier)
})
for (const link of view.links.values()) vswitch.setCarrier(link.name, link.up && link.carrier)

const client = { name: `host.${config.address}`, clock: systemClock, random: new Random(freshSeed()) }
const bus = config.bus && (await openBus(config.bus, client))
const connections = bus && new ConnectionStates(bus, new Set(config.machines.map(({ key }) => key)))

let running = true
const requests = createInterface({ input: process.stdin })
requests.on('line', (line) => {
  const { setVip, counters }: Request = JSON.parse(line)
  if (setVip) vswitch.setVip(setVip.key, setVip.vip)
  const kernelDrops = Object.fromEntries(ports.map((port) => [port.name, port.kernelDrops()]))
  const answer = { counters: vswitch.counters, kernelDrops, connections: connections?.all() ?? [] }
  console.log(JSON.stringify(counters ? answer : {}))
})
requests.on('close', () => {
  running = false
})
process.once('SIGTERM', () => requests.close())

const sleep = new PollSet(ports.flatMap((port) => port.fds))
console.log('ready')
for (let due_us = 0; running; ) {
  const idle = vswitch.step() === 0
  if (idle) sleep.wait(SLEEP_MS)
  const now_us = systemClock.now_us()
  if (idle || now_us >= due_us) {
    await yieldToEventLoop()
    due_us = now_us + LOOK_us
  }
}
connections?.close()
await bus?.close()
view.close()
for (const port of ports) port.close()
