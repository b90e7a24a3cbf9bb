/** Which VIP a VPC's packets go to, by its key, as the site file says. */

import { type Site, vpcKey } from '../src/config/site.ts'

export function vipsByKey(site: Site): Map<number, string> {
  const addresses = new Map(site.vips.map(({ name, address }) => [name, address]))
  return new Map(
    site.tenants.flatMap((tenant) => tenant.vpcs.map((vpc) => [vpcKey(tenant, vpc), addresses.get(tenant.vip)!])),
  )
}
