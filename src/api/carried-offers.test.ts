import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { Sites } from '../orchestrator/sites.ts'
import type { Answer } from './operation.ts'
import { siteOperations } from './sites.ts'

test('a site is told with the sites that it hears of, and who carries that', async () => {
  const site = { name: 'east', state: { site: 'east', connected: true, since_ms: 0 }, contents: undefined }
  const sites = { all: [site], get: () => site } as unknown as Sites
  const offers = [
    { from: 'west', to: 'east', isCarrying: true, generation: 7 },
    { from: 'east', to: 'west', isCarrying: false, generation: 0 },
  ]
  const [list] = siteOperations(sites, systemClock, () => offers)
  const access = { author: 'vera', role: 'viewer', tenants: undefined } as const
  const answer = (await list!.handle({ access } as never)) as Answer
  deepEqual(list!.answers[200]!.parse(answer.body), {
    items: [
      {
        ...{ site: 'east', connected: true, since: '1970-01-01T00:00:00.000Z' },
        hears: [{ site: 'west', carried: true, generation: 7 }],
      },
    ],
  })
})
