import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { parseSite } from '../../config/load.ts'
import type { Routing } from '../../config/routing.ts'
import { Speaker } from './speaker.ts'

function routingWith(parts: object): Routing {
  const routing = { as: 65_001, router_id: '10.0.0.1', ...parts }
  return parseSite(JSON.stringify({ site: 's', routing })).site!.routing!
}

test('a speaker takes the policies of another site file, and says what came of them', async () => {
  const onDeath = (error: Error): never => {
    throw error
  }
  const speaker = await Speaker.start({ routing: routingWith({}), event: () => {}, onDeath })
  const changed = routingWith({ require_policy: true, policies: [{ name: 'all', terms: [{ match: { med: 1 } }] }] })
  deepEqual(await speaker.reloadPolicies(changed), { imports: 0, exports: 0, tables: 0, sessionsReset: 0 })
  await speaker.close()
})
