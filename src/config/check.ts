/**
 * What a schema cannot see: names that refer to nothing, things that are there twice, addresses that contradict each
 * other. Works on a site as far as it could be read; what is missing because the schema refused it is left out quietly.
 */

import { checkFabric, indexFabric } from './check-fabric.ts'
import { checkLimits } from './check-limits.ts'
import { checkPaths } from './check-paths.ts'
import { checkPolicies } from './check-policy.ts'
import { checkRouting } from './check-routing.ts'
import { checkTenant } from './check-tenant.ts'
import { checkTracks } from './check-tracks.ts'
import { checkTunnelIds } from './check-tunnel-ids.ts'
import { checkVrfs } from './check-vrfs.ts'
import { type Complain, each } from './complain.ts'
import type { Loose } from './loose.ts'
import { checkNats } from './nats.ts'
import type { Finding } from './position.ts'
import { checkRemoteSites } from './remote-site.ts'
import type { Site } from './site.ts'

export function checkSite(site: Loose<Site>): Finding[] {
  const findings: Finding[] = []
  const complain: Complain = (path, message) => void findings.push({ path, message })
  const fabric = indexFabric(site, complain)
  checkFabric(site, fabric, complain)
  checkLimits(site, complain)
  checkNats({ site: site.site, nats: site.bus?.nats }, ['bus', 'nats'], ['site'], complain)
  checkTunnelIds(site, complain)
  checkPolicies(site.routing, complain)
  checkRouting(site, complain)
  checkTracks(site, complain)
  checkPaths(site, complain)
  checkVrfs(site, complain)
  checkRemoteSites(site, complain)
  each(site.tenants, (tenant, i) => checkTenant(tenant, ['tenants', i], fabric, complain))
  return findings
}
