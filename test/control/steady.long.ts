/**
 * A control module with many routes, all of which change again and again, on a machine that is busy with other things: it
 * keeps its lease, for one that is only busy must not be replaced.
 */

import { equal } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { freshState, publish, routesOf, Scene, siteOf, siteText, whole } from './scene.ts'

const SITE = siteText()
const ROUTES = 300_000
const PER_BATCH = 20_000
const ROUNDS = 4

test('a control module that is busy, on a machine that is, keeps its lease', async (t) => {
  const scene = await Scene.of(t)
  const burners = Array.from({ length: 2 * availableParallelism() }, () => spawn(process.execPath, ['-e', 'for (;;);']))
  t.after(() => burners.forEach((burner) => void burner.kill('SIGKILL')))
  const bus = scene.join('readers')
  const readers = scene.readers(bus, siteOf(SITE))
  const first = scene.control('control', SITE, { checkpointAfter_bytes: 16_000_000 })
  await readers.equal(await freshState(SITE, []))
  const own = readers.count('b1')
  scene.controlHere('spare', SITE)
  const start_ms = performance.now()
  for (let round = 0; round < ROUNDS; round++) {
    for (let from = 0; from < ROUTES; from += PER_BATCH) {
      await publish(bus, whole(routesOf('bgp-1', `192.168.1.${round + 2}`, [from, from + PER_BATCH])))
    }
  }
  await publish(bus, whole(routesOf('bgp-1', '192.168.1.2', [ROUTES, ROUTES + 1])))
  await readers.until(
    () => readers.count('b1') === own + ROUTES + 1,
    () => `${readers.count('b1')} routes`,
  )
  t.diagnostic(`${(performance.now() - start_ms).toFixed(0)} ms for ${ROUNDS} times ${ROUTES} routes`)
  const acquired = first.lines.filter((line) => line.startsWith('done acquire control'))
  equal(acquired.join('\n'), 'done acquire control', 'it led more than once')
})
