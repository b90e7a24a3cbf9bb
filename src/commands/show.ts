/** `gatehouse show`: the state of a running site, from what its modules say of themselves. */

import { eventsOf } from '../agent/events.ts'
import { askLeader, leaderOf } from '../agent/leader.ts'
import { modulesOf, type Presence } from '../agent/presence.ts'
import { askToShow } from '../agent/show.ts'
import { systemClock } from '../base/clock.ts'
import type { Bus } from '../bus/bus.ts'
import { BusError } from '../bus/bus.ts'
import { onlyRunDirectory, withBus } from './bus-of.ts'
import { EXIT, Failure } from './failure.ts'
import { table } from './table.ts'

type Row = Record<string, unknown>

type Modules = ReadonlyMap<string, Presence>

type Thing = (bus: Bus, modules: Modules, tenant: string) => Promise<Row[]>

const THINGS: Readonly<Record<string, Thing>> = {
  tenants: (bus) => askControl(bus, 'tenants'),
  routes: (bus, _, tenant) => askControl(bus, 'routes', tenant),
  paths: (bus, _, tenant) => askControl(bus, 'paths', tenant),
  nodes: (bus) => askControl(bus, 'nodes'),
  connections: (bus, _, tenant) => askControl(bus, 'connections', tenant),
  events: async (bus) =>
    (await eventsOf(bus)).map(({ at_ms, ...event }) => ({ at: new Date(at_ms).toISOString(), ...event })),
  switches: (bus, modules) => ask(bus, modules, ['access'], 'switch'),
  attachments: (bus, modules) => ask(bus, modules, ['access'], 'attachments'),
  balances: (bus, modules) => ask(bus, modules, ['access'], 'balances'),
  traffic: async (bus, modules, tenant) => {
    const rows = await ask(bus, modules, ['forwarding'], 'tenants')
    return tenant === '' ? rows : rows.filter(({ name }) => name === tenant)
  },
  policies: async (bus, modules, tenant) => {
    const rows = await ask(bus, modules, ['forwarding'], 'policies')
    return tenant === '' ? rows : rows.filter((row) => row['tenant'] === tenant)
  },
  sessions: (bus, modules, tenant) => sessions(bus, modules, tenant),
  peers: (bus, modules, tenant) => sessions(bus, modules, tenant),
  probes: (bus, modules) => ask(bus, modules, ['routing'], 'probes'),
  counters: (bus, modules) => ask(bus, modules, COUNTING, 'counters'),
  drops: async (bus, modules) => (await ask(bus, modules, COUNTING, 'counters')).flatMap(dropsOf),
  modules: async (bus, modules) => {
    const leader = await leaderOf(bus)
    return Array.from(modules, ([name, { role, pid, ready, since }]) => ({
      name,
      role,
      pid,
      ready,
      since: new Date(since).toISOString(),
      ...(role === 'control' && { leads: name === leader }),
    }))
  },
}

/** Who counts packets: routing nodes those of tenants' sessions. */
const COUNTING = ['access', 'forwarding', 'routing']

export async function show(
  what: string,
  tenant: string | undefined,
  { run, json }: { run?: string; json?: boolean },
): Promise<void> {
  const thing = Object.hasOwn(THINGS, what) ? THINGS[what] : undefined
  if (!thing) throw new Failure(`there is no ${what} to show; there are ${Object.keys(THINGS).join(', ')}`, EXIT.usage)
  const rows = await withBus(run ?? onlyRunDirectory(), async (bus) => thing(bus, await modulesOf(bus), tenant ?? ''))
  console.log(json ? JSON.stringify(rows) : table(rows.map(flattened)) || `no ${what}`)
}

/** Of the control modules the one that leads knows. */
async function askControl(bus: Bus, thing: string, filter = ''): Promise<Row[]> {
  try {
    return (await askLeader(bus, systemClock, thing, filter)) as Row[]
  } catch (error) {
    if (!(error instanceof BusError)) throw error
    console.error(`gatehouse: no control module answers: ${error.message}`)
    return []
  }
}

/** The rows of every module of these roles; one that does not answer has none, and is named on standard error. */
async function ask(bus: Bus, modules: Modules, roles: readonly string[], thing: string, filter = ''): Promise<Row[]> {
  const asked = [...modules].filter(([, { role }]) => roles.includes(role))
  const answers = await Promise.all(
    asked.map(async ([name]) => {
      try {
        const rows = (await askToShow(bus, name, thing, filter)) as Row[]
        return rows.map((row) => ({ module: name, ...row }))
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        console.error(`gatehouse: ${name} does not answer: ${error.message}`)
        return []
      }
    }),
  )
  return answers.flat()
}

/** A tenant's, or all. A session is on one routing node, and the others do not tell of it. */
async function sessions(bus: Bus, modules: Modules, tenant: string): Promise<Row[]> {
  const rows = await ask(bus, modules, ['routing'], 'sessions')
  return tenant === '' ? rows : rows.filter((row) => row['tenant'] === tenant)
}

function dropsOf(row: Row): Row[] {
  const { drops = {} } = (row['totals'] ?? {}) as { drops?: Record<string, number> }
  return Object.entries(drops)
    .filter(([, packets]) => packets > 0)
    .map(([reason, packets]) => ({ module: row['module'], reason, packets }))
}

/** Nested counters as columns of their own, zeros of drops left out. */
function flattened(row: Row): Row {
  const { totals, drops, ...rest } = row as Row & { totals?: Row; drops?: Row }
  const { drops: inner, ...counters } = totals ?? {}
  const dropped = Object.values((inner ?? drops ?? {}) as Record<string, number>).reduce((sum, count) => sum + count, 0)
  return { ...rest, ...counters, ...(inner || drops ? { dropped } : {}) }
}
