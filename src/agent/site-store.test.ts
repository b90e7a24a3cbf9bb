import { equal, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { type Bus, BusError } from '../bus/bus.ts'
import { parseSite } from '../config/load.ts'
import { busHere } from './bus-here.ts'
import { getSite, putSiteWhenThere } from './site-store.ts'

const SITE = parseSite('site: s\ngateway: { mac: 02:67:68:00:00:01 }').site!

/** A bus whose connection fails for so many times to wait for, each with the whole time. */
function late(bus: Bus, failures: number): Bus {
  return Object.create(bus, {
    whenConnected: {
      value: (timeout_ms: number) => {
        if (failures-- > 0) return Promise.reject(new BusError('timeout', `not after ${timeout_ms} ms`))
        return bus.whenConnected(timeout_ms)
      },
    },
    bucket: { value: (name: string) => bus.bucket(name) },
  })
}

/** Never waits. */
const clock = { ...systemClock, after: (_: number, run: () => void) => systemClock.after(0, run) }

test('a site is put on the bus however long the bus takes to come', async (t) => {
  const here = await busHere(t)
  const bus = await here.join('up')
  const { signal } = new AbortController()
  await putSiteWhenThere(late(bus, 5), () => SITE, { clock, log: silent, signal })
  equal((await getSite(bus))?.site, 's')
})

test('nobody waits for a bus whose process has ended, or that was closed', async (t) => {
  const here = await busHere(t)
  const bus = await here.join('up')
  const end = new AbortController()
  const log = { ...silent, warn: () => end.abort() }
  await putSiteWhenThere(late(bus, Number.POSITIVE_INFINITY), () => SITE, { clock, log, signal: end.signal })
  equal(await getSite(bus), undefined)
  await bus.close()
  const { signal } = new AbortController()
  await rejects(
    putSiteWhenThere(bus, () => SITE, { clock, log: silent, signal }),
    { code: 'closed' },
  )
})
