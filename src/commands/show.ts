/** `gatehouse show`: the state of a running site, from what its modules say of themselves. */

import { modulesOf, type Presence } from '../agent/presence.ts'
import { askToShow } from '../agent/show.ts'
import type { Bus } from '../bus/bus.ts'
import { BusError } from '../bus/bus.ts'
import { onlyRunDirectory, withBus } from './bus-of.ts'
import { EXIT, Failure } from './failure.ts'
import { table } from './table.ts'

type Row = Record<string, unknown>

interface Thing {
  readonly about: string
  rows(bus: Bus, modules: ReadonlyMap<string, Presence>, filter: string): Promise<Row[]>
}

export const THINGS: Readonly<Record<string, Thing>> = {
  tenants: {
    about: 'tenants: their VIP, the clusters that hold them, their routes',
    rows: (bus, modules, filter) => of('control', bus, modules, 'tenants', filter),
  },
  routes: {
    about: 'routes in FIBs; with a tenant, only its own',
    rows: (bus, modules, filter) => of('control', bus, modules, 'routes', filter),
  },
  modules: {
    about: 'the processes of the site',
    rows: async (_, modules) =>
      Array.from(modules, ([name, { role, pid, ready, since }]) => ({
        name,
        role,
        pid,
        ready,
        since: new Date(since).toISOString(),
      })),
  },
  nodes: {
    about: 'forwarding nodes: what they hold, and how current it is',
    rows: (bus, modules, filter) => of('control', bus, modules, 'nodes', filter),
  },
  counters: {
    about: 'packets of every node: received, sent, delivered, dropped',
    rows: (bus, modules, filter) => of('forwarding', bus, modules, 'counters', filter),
  },
  drops: {
    about: 'why packets were dropped, per node',
    rows: async (bus, modules, filter) => (await of('forwarding', bus, modules, 'counters', filter)).flatMap(dropsOf),
  },
  traffic: {
    about: 'packets per tenant and node',
    rows: (bus, modules, filter) => of('forwarding', bus, modules, 'tenants', filter),
  },
}

export async function show(
  what: string,
  filter: string | undefined,
  { run, json }: { run?: string; json?: boolean },
): Promise<void> {
  const thing = THINGS[what]
  if (!thing) throw new Failure(`there is no ${what} to show; there are ${Object.keys(THINGS).join(', ')}`, EXIT.usage)
  const rows = await withBus(run ?? onlyRunDirectory(), async (bus) =>
    thing.rows(bus, await modulesOf(bus), filter ?? ''),
  )
  console.log(json ? JSON.stringify(rows) : table(rows.map(flattened)) || `no ${what}`)
}

/** The rows of every module of the role; those that do not answer have none. */
async function of(
  role: string,
  bus: Bus,
  modules: ReadonlyMap<string, Presence>,
  thing: string,
  filter: string,
): Promise<Row[]> {
  const names = [...modules].filter(([, presence]) => presence.role === role).map(([name]) => name)
  const answers = await Promise.all(
    names.map(async (name) => {
      try {
        const rows = (await askToShow(bus, name, thing, filter)) as Row[]
        return names.length > 1 || role !== 'control' ? rows.map((row) => ({ module: name, ...row })) : rows
      } catch (error) {
        if (!(error instanceof BusError)) throw error
        console.error(`gatehouse: ${name} does not answer: ${error.message}`)
        return []
      }
    }),
  )
  return answers.flat()
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
