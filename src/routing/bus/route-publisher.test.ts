import { deepEqual, equal, ok } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { busHere } from '../../agent/bus-here.ts'
import { ROUTES_LIMITS, ROUTES_STREAM } from '../../agent/names.ts'
import { systemClock } from '../../base/clock.ts'
import { silent } from '../../base/log.ts'
import { RouteColumnsBuilder } from '../../wire/control/columns.ts'
import { routeBatch } from '../../wire/control/route.ts'
import { RoutePublisher } from './route-publisher.ts'

function batch(routes: number, replaces = false): Uint8Array {
  const v4 = new RouteColumnsBuilder(1)
  for (let i = 0; i < routes; i++) v4.add4(0, 0x0a000000 + i * 256, 24, 1)
  return routeBatch.encode({
    ...{ origin: 'rn-1', preference: 100, replaces, tenants: ['acme'] },
    gateways: [[{ address: Uint8Array.of(192, 168, 1, 2), weight: 1, backup: false }]],
    routes4: v4.build(),
    routes6: new RouteColumnsBuilder(4).build(),
  })
}

async function scene(t: TestContext, payload_bytes?: number) {
  const here = await busHere(t)
  const [bus, reader] = [await here.join('rn-1'), await here.join('reader')]
  const options = { bus, clock: systemClock, log: silent, ...(payload_bytes && { payload_bytes }) }
  const publisher = new RoutePublisher(options)
  here.atEnd(async () => publisher.close())
  return {
    here,
    publisher,
    async stored(): Promise<string[]> {
      const entries = await reader.stream(ROUTES_STREAM, ROUTES_LIMITS).read(1)
      return entries.map(({ payload }) => {
        const decoded = routeBatch.decode(payload)
        ok(decoded.ok)
        const { replaces, routes4 } = decoded.value
        return `${replaces ? 'all ' : ''}${routes4.lengths.length}`
      })
    },
  }
}

test('a speaker that starts replaces nothing until it is settled', async (t) => {
  const { publisher, stored } = await scene(t)
  await publisher.publish(batch(0, true))
  await publisher.publish(batch(3))
  await publisher.publish(batch(2, true))
  deepEqual(await stored(), ['3', '2'])
  publisher.settle()
  await publisher.publish(batch(4, true))
  await publisher.publish(batch(0, true))
  deepEqual(await stored(), ['3', '2', 'all 4', 'all 0'])
})

test('what is larger than the bus takes is told in pieces', async (t) => {
  const { publisher, stored } = await scene(t, 1000)
  publisher.settle()
  await publisher.publish(batch(200, true))
  const pieces = await stored()
  ok(pieces.length > 1)
  ok(pieces[0]!.startsWith('all '))
  equal(
    pieces.reduce((sum, piece) => sum + Number(piece.replace('all ', '')), 0),
    200,
  )
})

test('while the bus is away a batch waits for it, and the next one behind it', async (t) => {
  const { here, publisher, stored } = await scene(t)
  publisher.settle()
  await publisher.publish(batch(1))
  await here.stop()
  const order: number[] = []
  const first = publisher.publish(batch(2)).then(() => order.push(2))
  await here.start()
  await first
  await publisher.publish(batch(3)).then(() => order.push(3))
  deepEqual(order, [2, 3])
  const told = await stored()
  deepEqual(
    told.filter((one, i) => one !== told[i - 1]),
    ['1', '2', '3'],
  )
})
