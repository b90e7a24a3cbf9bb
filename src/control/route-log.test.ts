import { deepEqual, equal, ok } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { busHere } from '../agent/bus-here.ts'
import { ROUTES_STREAM, ROUTES_SUBJECT } from '../agent/names.ts'
import { ManualClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import type { Bus } from '../bus/bus.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import { routeBatch, routeNews } from '../wire/control/route.ts'
import { encodeRoutes } from '../wire/control/split-routes.ts'
import { PublishedRoutes } from './published-routes.ts'
import { RouteLog } from './route-log.ts'

const GATEWAY = { address: Uint8Array.of(192, 168, 1, 2), weight: 1, backup: false }

/** Routes to so many prefixes, none of which is another's. */
function batch(origin: string, routes: number, replaces = false): Uint8Array {
  const v4 = new RouteColumnsBuilder(1)
  for (let i = 0; i < routes; i++) v4.add4(0, 0x0a000000 + i * 256, 24, 1)
  return routeBatch.encode({
    ...{ origin, preference: 100, replaces, tenants: ['acme'], gateways: [[GATEWAY]] },
    routes4: v4.build(),
    routes6: new RouteColumnsBuilder(4).build(),
  })
}

/** Appends them, after which the stream has only so many entries left. */
async function publish(bus: Bus, batches: readonly Uint8Array[], entriesMax = 1000): Promise<void> {
  const stream = bus.stream(ROUTES_STREAM, { entriesMax, bytesMax: 1e8 })
  for (const one of batches) await stream.append(one)
}

async function scene(t: TestContext) {
  const here = await busHere(t)
  const bus = await here.join('control')
  const source = await here.join('source')
  const asked: string[] = []
  const told: string[] = []
  let hear = (): void => {}
  const heard = source.subscribe(ROUTES_SUBJECT, ({ payload }) => {
    const news = routeNews.decode(payload)
    ok(news.ok)
    asked.push(`${news.value.origin ?? 'all'}: ${news.value.refused ?? 'again'}`)
    hear()
  })
  await heard.ready
  return {
    source,
    told,
    /** As the sources heard it: resolves when there is so much. */
    asked: (count: number) =>
      new Promise<string[]>((resolve) => {
        hear = () => asked.length >= count && resolve(asked.splice(0))
        hear()
      }),
    /** A control module's view that has taken over all there is, and what follows. */
    async log(routes = new PublishedRoutes(), checkpointAfter_bytes?: number) {
      const clock = new ManualClock()
      const events = { tell: (what: string, about: string) => void told.push(`${what} ${about}`) }
      const options = {
        bus,
        routes,
        clock,
        log: silent,
        events,
        ...(checkpointAfter_bytes && { checkpointAfter_bytes }),
      }
      const log = new RouteLog(options)
      await log.load()
      const stop = new AbortController()
      let touched = 0
      let check = (): void => {}
      return {
        clock,
        routes,
        follow() {
          const following = log.follow((tables) => {
            for (const keys of tables.values()) touched += keys.length
            check()
          }, stop.signal)
          here.atEnd(async () => stop.abort())
          return following
        },
        /** Resolves when so many routes were touched. */
        touched: (count: number) =>
          new Promise<void>((resolve) => {
            check = () => touched >= count && resolve()
            check()
          }),
        async end() {
          stop.abort()
        },
      }
    },
  }
}

/** Resolves once the checkpoint was written so many times. */
function checkpointed(bus: Bus, times: number): Promise<void> {
  return new Promise((resolve) => {
    let count = 0
    const watch = bus.bucket('control').watch('routes', () => {
      count++
      if (count < times) return
      watch.close()
      resolve()
    })
    watch.ready.catch(() => {})
  })
}

const sizes = (routes: PublishedRoutes) => routes.of('acme').map(({ origin, routes }) => `${origin} ${routes.size}`)

test('after batches were lost every origin is asked to say its routes again, and those that do not lose them', async (t) => {
  const { source, asked, told, log } = await scene(t)
  await publish(source, [batch('a', 2), batch('b', 3)])
  const control = await log()
  await publish(source, [batch('a', 1, true), batch('b', 4)], 1)
  void control.follow()
  deepEqual(await asked(1), ['all: again'])
  await control.touched(4)
  control.clock.advance(10_000)
  deepEqual(await asked(2), ['a: again', 'b: again'])
  await publish(source, [batch('b', 2, true)])
  await control.touched(10)
  control.clock.advance(100_000)
  deepEqual(sizes(control.routes), ['a 2', 'b 2'])
  control.clock.advance(10_000)
  deepEqual(sizes(control.routes), ['b 2'])
  await control.touched(12)
  await checkpointed(source, 1)
  deepEqual(sizes((await log()).routes), ['b 2'], 'what was withdrawn is there again')
  deepEqual(told, ['origin-in-doubt a', 'origin-in-doubt b', 'origin-withdrawn a'])
})

test('the end of a replacement whose beginning was lost replaces nothing: its origin is asked again', async (t) => {
  const { source, asked, log } = await scene(t)
  await publish(source, [batch('a', 2)])
  const control = await log()
  const whole = routeBatch.decode(batch('a', 300, true))
  ok(whole.ok)
  const parts = encodeRoutes(whole.value, 1500)
  equal(parts.length, 4)
  await publish(source, parts, 2)
  void control.follow()
  await control.touched(150)
  equal((await asked(1))[0], 'all: again')
  control.clock.advance(110_000)
  equal(sizes(control.routes).length, 1)
  control.clock.advance(20_000)
  deepEqual(sizes(control.routes), [], 'it has not said them again')
})

test('a control module that starts meanwhile knows who is in doubt', async (t) => {
  const { source, asked, log } = await scene(t)
  await publish(source, [batch('a', 2)])
  const first = await log(undefined, 1)
  await publish(source, [batch('b', 3), batch('b', 4)], 1)
  void first.follow()
  deepEqual(await asked(1), ['all: again'])
  await first.touched(4)
  await publish(source, [batch('c', 1)])
  await first.touched(5)
  await first.end()
  const second = await log()
  deepEqual(sizes(second.routes), ['a 2', 'b 4', 'c 1'])
  void second.follow()
  deepEqual(await asked(1), ['all: again'])
  second.clock.advance(120_000)
  deepEqual(sizes(second.routes), ['b 4', 'c 1'])
})

test('a source hears that its batch was refused, once', async (t) => {
  const { source, asked, told, log } = await scene(t)
  const control = await log(new PublishedRoutes(2))
  void control.follow()
  await publish(source, [batch('a', 3)])
  deepEqual(await asked(1), ['a: more than 2 routes'])
  await publish(source, [batch('a', 2)])
  await control.touched(2)
  await control.end()
  const next = await log(new PublishedRoutes(2))
  void next.follow()
  await publish(source, [batch('b', 1)])
  deepEqual(await asked(1), ['b: more than 2 routes'])
  equal(next.routes.count, 2)
  deepEqual(told, ['batch-refused a', 'batch-refused b'])
})
