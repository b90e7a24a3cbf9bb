/** The site that the tests of one process share: to bring one up takes longer than most of them. */

import { after, before } from 'node:test'
import { needs } from '../../lab/needs.ts'
import { assert } from '../../src/base/assert.ts'
import { type StartedSite, startSite } from './live-site.ts'

let site: StartedSite | undefined

before(async () => {
  if (!needs('ip')) site = await startSite()
})
after(() => site?.stop())

/** The example of two tenants. In tests and before them, not earlier. */
export function theSite(): StartedSite {
  assert(site !== undefined, 'the site is not up yet')
  return site
}
