/** One of two sites that are tested together: whole, with a connection to its bus, and with probes whose results a test says. */

import { readFileSync } from 'node:fs'
import { Gateway } from '../../lab/gateway.ts'
import type { Surroundings } from '../../lab/site.ts'
import { LIVENESS_SUBJECT } from '../../src/agent/names.ts'
import { askToShow } from '../../src/agent/show.ts'
import { systemClock } from '../../src/base/clock.ts'
import type { Bus } from '../../src/bus/bus.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { livenessNews } from '../../src/wire/control/liveness.ts'

export class Side {
  readonly name: string
  readonly made: Surroundings
  readonly gateway: Gateway
  readonly bus: Bus
  readonly #tenant: string
  #ended = 0
  readonly #sums = new Map<string, number>()

  /** Of what is shown, only what is about this tenant. */
  constructor(name: string, made: Surroundings, tenant: string) {
    this.name = name
    this.#tenant = tenant
    this.made = made
    this.gateway = Gateway.up(made)
    this.bus = made.connect('test')
  }

  async stop(): Promise<void> {
    await this.bus.close()
    await this.gateway.stop()
  }

  /** Probes of these names are said to take so many milliseconds, by somebody whose word is later than the routing node's. */
  measure(delays_ms: Readonly<Record<string, number>>): void {
    this.#ended++
    const ended = this.#ended
    const things = Object.entries(delays_ms).map(([name, delay_ms]) => {
      const delay_us = delay_ms * 1000
      const delaySum_us = (this.#sums.get(name) ?? 0) + delay_us
      this.#sums.set(name, delaySum_us)
      const delays = { delayMin_us: delay_us, delayAverage_us: delay_us, delayP99_us: delay_us, jitter_us: 0 }
      const quality = { probes: 60, loss_ppm: 0, bandwidth_kbps: 0, ...delays, ended, answered: ended, delaySum_us }
      return { name, kind: 'probe', isUp: true, reason: '', since_ms: 2 ** 50, quality }
    })
    const news = livenessNews.encode({ node: 'test', said_us: Math.round(systemClock.now_us()), things })
    this.bus.publish(LIVENESS_SUBJECT, news)
  }

  async show<Row>(thing: string): Promise<Row[]> {
    return (await askToShow(this.bus, 'control', thing, this.#tenant)) as Row[]
  }

  async way(prefix: string): Promise<string> {
    const rows = await this.show<{ prefix: string; via: string[] }>('routes')
    return rows.find((row) => row.prefix === prefix)?.via.join(', ') ?? 'none'
  }

  /** Echo requests that have come to this namespace. */
  asked(namespace: string): number {
    return withNamespace(this.made.lab.fullName(namespace), () => {
      const lines = readFileSync('/proc/thread-self/net/snmp', 'utf8').split('\n')
      const [names, values] = lines.filter((line) => line.startsWith('Icmp:')).map((line) => line.split(' '))
      return Number(values![names!.indexOf('InEchos')])
    })
  }
}
