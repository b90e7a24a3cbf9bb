/**
 * `gatehouse demo [SITE.yaml] [--bus nats] [--for 20s] [--json]`: a whole site on this machine, with real traffic through
 * it. Makes the surroundings, runs the gateway as `gatehouse up` does, keeps pings, TCP and HTTP going, shows them, and
 * takes everything down again. Exit code 0 only when nothing was lost and every frame is accounted for.
 */

import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { systemClock } from '../src/base/clock.ts'
import { Gateway } from './gateway.ts'
import { needsLinux } from './needs.ts'
import { type ModuleCounters, UP } from './observe.ts'
import { Outside } from './outside.ts'
import { ensurePackage, isRoot } from './packages.ts'
import { reach } from './reach.ts'
import { lineOf, type Moments, painted, screenOf } from './screen.ts'
import { BUSES, type BusKind, Surroundings } from './site.ts'
import { isFlawless, type Moment, summaryOf } from './summary.ts'
import { type PingPlan, planTraffic } from './traffic/plan.ts'
import { Traffic } from './traffic/traffic.ts'

const DEFAULT_SITE = resolve(import.meta.dirname, '../examples/two-tenants.yaml')
const USAGE = 'usage: gatehouse demo [SITE.yaml] [--bus nats] [--for 20s] [--json]'
/** The gateway's own need: neighbours that the kernel keeps resolved for it, Linux 5.16. */
const LINUX_MIN = [5, 16] as const
const REACH_MS = 20_000
const SETTLE_MS = 5000
const WARM_UP_MS = 3000
/** Of a second each: latencies shown are of this time. */
const RECENT_MOMENTS = 5
const EVENTS_SHOWN = 5

interface Wish {
  readonly site: string
  /** Undefined: until it is interrupted. */
  readonly for_ms: number | undefined
  readonly json: boolean
  readonly bus: BusKind
}

/** Undefined, and said on stderr, when it cannot be understood. */
function wishOf(args: string[]): Wish | undefined {
  try {
    const options = {
      for: { type: 'string' },
      json: { type: 'boolean', default: false },
      bus: { type: 'string', default: 'embedded' },
    } as const
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
    const for_ms = values.for === undefined ? undefined : milliseconds(values.for)
    const bus = BUSES.find((kind) => kind === values.bus)
    if (positionals.length > 1 || Number.isNaN(for_ms) || !bus) throw new Error(USAGE)
    return { site: positionals[0] ?? DEFAULT_SITE, for_ms, json: values.json, bus }
  } catch (error) {
    console.error(error instanceof Error && error.message !== USAGE ? `${error.message}\n${USAGE}` : USAGE)
    return undefined
  }
}

/** `20s`, `5m`, `1h`; a plain number is seconds. NaN for what is none. */
function milliseconds(text: string): number {
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)(s|m|h)?$/.exec(text) ?? []
  return number === undefined
    ? Number.NaN
    : Number(number) * { s: 1000, m: 60_000, h: 3_600_000 }[unit as 's' | 'm' | 'h']
}

function say(text: string): void {
  console.error(`gatehouse: ${text}`)
}

/** Why it cannot run here, undefined when it can. */
function obstacle(bus: BusKind): string | undefined {
  if (!isRoot()) return 'the demo makes network namespaces and needs root: sudo ./gatehouse demo'
  const kernel = needsLinux(...LINUX_MIN)
  if (kernel) return `the demo ${kernel}`
  const state = ensurePackage('iproute2', 'ip')
  // Without it, customers run our own speaker.
  ensurePackage('bird2', 'bird')
  if (typeof state !== 'string') return `the demo needs iproute2, and ${state.missing}`
  const nats = bus === 'nats' ? ensurePackage('nats-server', 'nats-server') : 'present'
  return typeof nats === 'string' ? undefined : `the demo with --bus nats needs nats-server, and ${nats.missing}`
}

class Demo {
  readonly #wish: Wish
  readonly #stop: AbortSignal
  readonly #events: string[] = []
  #drawn = 0

  constructor(wish: Wish, stop: AbortSignal) {
    this.#wish = wish
    this.#stop = stop
  }

  async run(): Promise<number> {
    say('making the namespaces and wires')
    await using surroundings = await Surroundings.build(this.#wish.site, { bus: this.#wish.bus })
    await using stack = new AsyncDisposableStack()
    say('starting the gateway')
    const gateway = Gateway.up(surroundings)
    stack.defer(() => gateway.stop())
    await gateway.whenReady(this.#stop)
    const plan = planTraffic(surroundings.topology)
    const traffic = await Traffic.prepare(surroundings.lab, plan)
    say('waiting until every tenant reaches its machines')
    const silent = await reach(surroundings.lab, plan.pings, { timeout_ms: REACH_MS, signal: this.#stop })
    if (silent.length > 0) throw new Error(`${unreached(silent)}\n${gateway.lastLines()}`)
    await this.#untilUp(gateway)
    using outside = new Outside(surroundings)
    const watched = { gateway, traffic, outside }
    const first = await momentOf(watched, 0)
    say('traffic flows; Ctrl-C ends it and takes everything down')
    traffic.start()
    const start_us = systemClock.now_us()
    const elapsed_s = (): number => (systemClock.now_us() - start_us) / 1e6
    // Losses count from the first packet on. Latencies of the first packets would be those of programs that compile.
    await sleep(WARM_UP_MS, undefined, { signal: this.#stop }).catch(() => {})
    const start = { ...first, tenants: traffic.tenants }
    await this.#watch(watched, start, elapsed_s)
    say('ending the traffic')
    this.#drawn = 0 // what is shown once more, of all the time, comes below
    await traffic.stop()
    const end = await settled(watched, start, elapsed_s())
    const summary = summaryOf(start, end)
    if (this.#wish.json) console.log(JSON.stringify(summary, null, 2))
    else this.#show({ start, recent: start, before: first, now: end })
    for (const { name, trouble } of traffic.tenants) if (trouble) say(`${name}: ${trouble}`)
    const verdict = isFlawless(summary) ? 'nothing was lost, every frame is accounted for' : 'not flawless, see above'
    say(`${verdict}; taking everything down`)
    return isFlawless(summary) ? 0 : 1
  }

  // A session that is not up by then is told at the end.
  async #untilUp({ observer }: Gateway): Promise<void> {
    const isDown = async (): Promise<boolean> => (await observer.sessions()).some(({ row }) => row?.state !== UP)
    for (let waited_ms = 0; waited_ms < REACH_MS && (await isDown()); waited_ms += 100)
      await sleep(100, undefined, { signal: this.#stop })
  }

  async #watch(watched: Watched, start: Moment, elapsed_s: () => number): Promise<void> {
    const { for_ms = Number.POSITIVE_INFINITY } = this.#wish
    const end_s = elapsed_s() + for_ms / 1000
    const left_ms = (): number => (end_s - elapsed_s()) * 1000
    const moments = [start]
    while (!this.#stop.aborted && left_ms() > 0) {
      await sleep(Math.min(1000, left_ms()), undefined, { signal: this.#stop }).catch(() => {})
      const now = await momentOf(watched, elapsed_s())
      const before = moments.at(-1)!
      for (const [i, module] of now.modules.entries()) this.#note(before.modules[i]!, module, now.seconds)
      if (!this.#wish.json) this.#show({ start, recent: moments[0]!, before, now })
      moments.push(now)
      if (moments.length > RECENT_MOMENTS) moments.shift()
      const { gateway } = watched
      if (gateway.hasEnded) throw new Error(`gatehouse up has ended:\n${gateway.lastLines([])}`)
    }
  }

  #note(before: ModuleCounters, now: ModuleCounters, seconds: number): void {
    const stateOf = ({ totals, pid }: ModuleCounters): string =>
      totals ? `runs as process ${pid ?? '?'}` : 'does not answer'
    if (stateOf(before) === stateOf(now)) return
    this.#events.push(`${Math.round(seconds)} s: ${now.name} ${stateOf(now)}`)
    if (this.#events.length > EVENTS_SHOWN) this.#events.shift()
  }

  #show(moments: Moments): void {
    if (!process.stdout.isTTY) {
      console.log([lineOf(moments), ...this.#events.splice(0)].join('\n'))
      return
    }
    const lines = screenOf(moments, this.#events).map((line) => painted(line, process.stdout.columns - 1))
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : ''
    process.stdout.write(`${up}${lines.map((line) => `\x1b[2K${line}\n`).join('')}\x1b[0J`)
    this.#drawn = lines.length
  }
}

interface Watched {
  readonly gateway: Gateway
  readonly traffic: Traffic
  readonly outside: Outside
}

async function momentOf({ gateway, traffic, outside }: Watched, seconds: number): Promise<Moment> {
  const [modules, sessions, lost] = await Promise.all([
    gateway.observer.modules(),
    gateway.observer.sessions(),
    outside.drops(),
  ])
  return { seconds, tenants: traffic.tenants, modules, sessions, outside: lost }
}

function unreached(silent: readonly PingPlan[]): string {
  const lines = silent.map(({ namespace, to }) => `  ${namespace} to ${to}`)
  return [`no answer to pings after ${REACH_MS / 1000} s:`, ...lines].join('\n')
}

/** The counters once nothing moves any more: what is between two counters of a node is nowhere. */
async function settled(watched: Watched, start: Moment, seconds: number): Promise<Moment> {
  let moment = await momentOf(watched, seconds)
  for (let waited_ms = 0; !summaryOf(start, moment).conserved && waited_ms < SETTLE_MS; waited_ms += 100) {
    await sleep(100)
    moment = await momentOf(watched, seconds)
  }
  return moment
}

async function main(): Promise<number> {
  const wish = wishOf(process.argv.slice(2))
  if (!wish) return 2
  const reason = obstacle(wish.bus)
  if (reason) {
    say(reason)
    return 1
  }
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
  try {
    return await new Demo(wish, stop.signal).run()
  } catch (error) {
    if (stop.signal.aborted) say('interrupted; everything is taken down')
    else console.error(error instanceof Error ? error.message : error)
    return 1
  }
}

process.exitCode = await main()
