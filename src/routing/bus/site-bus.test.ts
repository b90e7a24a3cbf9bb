import { deepEqual, equal, ok } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { busHere } from '../../agent/bus-here.ts'
import { speakerLease } from '../../agent/live-speakers.ts'
import { ROUTES_LIMITS, ROUTES_STREAM, ROUTES_SUBJECT } from '../../agent/names.ts'
import { modulesOf } from '../../agent/presence.ts'
import { askToShow } from '../../agent/show.ts'
import { putSite } from '../../agent/site-store.ts'
import { systemClock } from '../../base/clock.ts'
import { silent } from '../../base/log.ts'
import type { LeaseHolder } from '../../bus/bus.ts'
import { parseSite } from '../../config/load.ts'
import type { Site } from '../../config/site.ts'
import { RouteColumnsBuilder } from '../../wire/control/columns.ts'
import { routeBatch, routeNews } from '../../wire/control/route.ts'
import { RoutePublisher } from './route-publisher.ts'
import { SiteBus } from './site-bus.ts'

function siteOf(as = 65001): Site {
  const { site } = parseSite(`
    site: s
    routing: { as: ${as}, router_id: 10.0.0.1, nodes: [{ name: rn-1, address: 10.0.3.1 }, { name: rn-2, address: 10.0.3.2 }] }`)
  ok(site)
  return site
}

/** What happened, in order, and a wait for the next time that something of this kind does. */
class Happened {
  readonly #waiting = new Set<() => void>()
  readonly list: string[] = []

  add(what: string): void {
    this.list.push(what)
    for (const look of this.#waiting) look()
  }

  async has(what: string, times = 1): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => {
      if (this.list.filter((one) => one === what).length >= times) resolve()
    }
    this.#waiting.add(look)
    look()
    await promise
    this.#waiting.delete(look)
  }
}

const RELAYED = {
  ...{ received: 9, delivered: 7, taken: 5, sent: 5, answered: 1, asked: 0, learnt: 1 },
  refused: { stranger: 1 },
}

/** The second one is not waited for: it is not to come up. */
const SESSIONS = [
  { name: 'acme-1', state: 'established' },
  { name: 'acme-2', state: 'idle', shutdown: true },
]

async function scene(t: TestContext) {
  const here = await busHere(t)
  const [bus, other] = [await here.join('rn-1'), await here.join('other')]
  const happened = new Happened()
  const publisher = new RoutePublisher({ bus, clock: systemClock, log: silent })
  const site = new SiteBus({
    ...{ bus, name: 'rn-1', site: siteOf(), clock: systemClock, log: silent, publisher },
    speaker: {
      sessions: async () => SESSIONS,
      relayed: async () => RELAYED,
      async replay() {
        happened.add('replay')
        await publisher.publish(nothing('rn-1'))
      },
    },
    live: (names) => happened.add(`live ${names.join(' ')}`),
    changed: async ({ routing }) => happened.add(`AS ${routing?.as}`),
  })
  here.atEnd(async () => {
    await site.close()
    publisher.close()
  })
  return { other, happened, publisher, site }
}

function nothing(origin: string): Uint8Array {
  const columns = { routes4: new RouteColumnsBuilder(1).build(), routes6: new RouteColumnsBuilder(4).build() }
  return routeBatch.encode({ origin, preference: 100, replaces: true, tenants: [], gateways: [], ...columns })
}

test('a routing node takes its place, is there to be asked, and says all of its routes once it knows them', async (t) => {
  const { other, happened, publisher, site } = await scene(t)
  await happened.has('live rn-1')
  equal((await modulesOf(other)).get('rn-1')?.role, 'routing')
  deepEqual(await askToShow(other, 'rn-1', 'sessions'), SESSIONS)
  const { refused, ...totals } = RELAYED
  deepEqual(await askToShow(other, 'rn-1', 'counters'), [{ totals: { ...totals, drops: refused } }])
  equal(publisher.isSettled, false)
  await happened.has('replay')
  equal(publisher.isSettled, true)
  await publisher.publish(nothing('rn-1'))
  const [first] = await other.stream(ROUTES_STREAM, ROUTES_LIMITS).read(1)
  const decoded = routeBatch.decode(first!.payload)
  ok(decoded.ok && decoded.value.replaces)
  await site.close()
  equal((await modulesOf(other)).has('rn-1'), false)
})

test('it is told who else lives, and what the site is', async (t) => {
  const { other, happened } = await scene(t)
  await happened.has('live rn-1')
  const lease = await other.acquireLease(speakerLease('rn-2'), { holder: 'rn-2', ttl_ms: 4000 })
  await happened.has('live rn-1 rn-2')
  await lease.release()
  await happened.has('live rn-1', 2)
  await putSite(other, siteOf(65009))
  await happened.has('AS 65009')
})

test('it says all again when it is asked to, and when it has its place anew', async (t) => {
  const { other, happened } = await scene(t)
  await happened.has('replay')
  other.publish(ROUTES_SUBJECT, routeNews.encode({ origin: 'rn-2', refused: undefined }))
  other.publish(ROUTES_SUBJECT, routeNews.encode({ origin: 'rn-1', refused: undefined }))
  await happened.has('replay', 2)
  other.publish(ROUTES_SUBJECT, routeNews.encode({ origin: undefined, refused: undefined }))
  await happened.has('replay', 3)
  const { promise: taken, resolve } = Promise.withResolvers<LeaseHolder>()
  other.watchLease(speakerLease('rn-1'), (holder) => holder && resolve(holder))
  const { epoch } = await taken
  // Somebody takes it in its name, as a second process would, and lets go of it.
  const ghost = await other.acquireLease(speakerLease('rn-1'), { holder: 'rn-1', ttl_ms: 4000 })
  ok(ghost.epoch > epoch)
  await happened.has('replay', 4)
})
