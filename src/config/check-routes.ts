/** Checks of a tenant's static routes: every next hop is on a connection or a machine, and of the prefix's family. */

import { equalBytes, formatPrefix, type Prefix, parseAddress, parsePrefix } from '../base/address.ts'
import { familyOf, type TenantCheck } from './check-tenant.ts'
import { each, Unique } from './complain.ts'
import { formatPath } from './position.ts'
import { suggest } from './suggestion.ts'

export function checkRoutes(check: TenantCheck): void {
  const { tenant, path, subnets, complain } = check
  const prefixes = new Unique(complain)
  each(tenant.routes, (route, i) => {
    const at = [...path, 'routes', i]
    const ends = [route.via, route.discard, route.vrf].filter((end) => end !== undefined)
    if (ends.length === 0) complain(at, 'a route needs via, discard or vrf')
    if (ends.length > 1) complain(at, 'a route has one of via, discard and vrf')
    if (route.prefix === undefined) return
    prefixes.add(route.prefix, [...at, 'prefix'], undefined)
    const prefix = parsePrefix(route.prefix)!
    const subnet = subnets.find(prefix.address)
    if (subnet?.prefix.length === prefix.length)
      complain([...at, 'prefix'], `${route.prefix} is the subnet of ${formatPath(subnet.owner.path)}`)
    if (route.via?.length && route.via.every((one) => one?.backup === true))
      complain([...at, 'via'], 'all of its next hops are backups: one has to be none')
    const hops = new Unique(complain)
    each(route.via, ({ to }, j) => {
      if (to === undefined || !hops.add(to, [...at, 'via', j], undefined)) return
      const wrong = wrongHop(to, prefix, check)
      if (wrong) complain([...at, 'via', j], wrong)
    })
  })
}

/** What is wrong with a next hop, if anything is. */
function wrongHop(to: string, prefix: Prefix, check: TenantCheck): string | undefined {
  const address = parseAddress(to)
  const family = familyOf(prefix.address)
  if (!address) return wrongConnection(to, family, check)
  if (familyOf(address) !== family) return `${formatPrefix(prefix)} is ${family} and ${to} is ${familyOf(address)}`
  const subnet = check.subnets.find(address)
  if (subnet?.owner.gateway && equalBytes(subnet.owner.gateway, address)) return `${to} is our own address`
  if (check.machines.pathOf(to) || subnet?.owner.kind === 'connection') return undefined
  if (!check.isWhole) return undefined
  return `${to} cannot be reached: it is in no connection's subnet and no machine of the tenant`
}

function wrongConnection(name: string, family: string, check: TenantCheck): string | undefined {
  const connection = check.connections.get(name)
  if (!connection) return `there is no connection ${JSON.stringify(name)}${suggest(name, check.connections.keys())}`
  const has = connection.gateway?.some((text) => text?.includes(':') === (family === 'IPv6'))
  return has ? undefined : `connection ${name} has no ${family} gateway address`
}
