/**
 * What every bus must do, whatever it is made of. An implementation hands in a harness that runs its server, kills it
 * the hard way and starts it again over the same data; the cases then read as the contract in bus.ts does.
 */

import { after, before, describe, test } from 'node:test'
import type { Bus } from './bus.ts'
import { buckets } from './suite/buckets.ts'
import { crashes } from './suite/crashes.ts'
import { leases } from './suite/leases.ts'
import { messages } from './suite/messages.ts'
import { repeats } from './suite/repeats.ts'
import type { BusHarness, BusSite } from './suite/site.ts'
import { streams } from './suite/streams.ts'

export function busSuite(implementation: string, make: () => Promise<BusHarness>): void {
  describe(`bus over ${implementation}`, () => {
    const clients: Bus[] = []
    let site: BusSite
    before(async () => {
      const harness = await make()
      const join = async (name: string): Promise<Bus> => {
        const bus = harness.client(name)
        clients.push(bus)
        await bus.whenConnected(10_000)
        return bus
      }
      site = { harness, join }
    })
    after(async () => {
      await Promise.all(clients.map((bus) => bus.close()))
      await site?.harness.stop()
    })
    for (const cases of [messages, streams, buckets, leases, crashes, repeats])
      for (const [what, run] of Object.entries(cases)) test(what, () => run(site))
  })
}
