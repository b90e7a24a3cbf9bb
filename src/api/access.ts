/**
 * What somebody who asks may do. Whoever is bound to some tenants neither sees nor changes any other, and does not make,
 * delete or move them: which VNI, VIP, ports, sites and keys a tenant has is its provider's to say. Machines, subnets,
 * routes, policies, and by what it steers are the tenant's own.
 */

import { isDeepStrictEqual } from 'node:util'
import type { TenantDocument } from '../config/tenant-document.ts'
import { Refused } from '../orchestrator/refused.ts'
import { ROLES, type Role, type Token } from './tokens.ts'

export interface Access {
  readonly author: string
  readonly role: Role
  /** Undefined: all. */
  readonly tenants: ReadonlySet<string> | undefined
}

export function accessOf({ name, role, tenants }: Token): Access {
  return { author: name, role, tenants: tenants && new Set(tenants) }
}

/** Where there are no tokens: everybody on this host. */
export const LOCAL: Access = { author: 'local', role: 'admin', tenants: undefined }

export const mayAs = ({ role }: Access, wanted: Role): boolean => ROLES.indexOf(role) >= ROLES.indexOf(wanted)

export const sees = ({ tenants }: Access, tenant: string): boolean => tenants?.has(tenant) ?? true

/** What is not seen is not there. */
export function refuseUnseen(access: Access, tenant: string): void {
  if (!sees(access, tenant)) throw new Refused('not-found', `there is no tenant ${tenant}`)
}

/** Throws a `Refused` if a bound token may not make the one of the other. */
export function refuseBeyond(access: Access, before: TenantDocument | undefined, after: TenantDocument | null): void {
  if (!access.tenants) return
  const whose = `token ${access.author} is for some tenants only`
  if (!before) throw new Refused('forbidden', `${whose}, and does not make any`)
  if (!after) throw new Refused('forbidden', `${whose}, and does not delete any`)
  const [was, is] = [providersOf(before), providersOf(after)]
  const differs = Object.keys({ ...was, ...is }).filter((key) => !isDeepStrictEqual(was[key], is[key]))
  if (differs.length === 0) return
  throw new Refused('forbidden', `${whose}, and does not change what the provider decides: ${differs.join(', ')}`)
}

function providersOf({
  vpcs,
  routes: _,
  steer: __,
  policies: ___,
  ...rest
}: TenantDocument): Readonly<Record<string, unknown>> {
  return { ...rest, vpcs: vpcs.map(({ name, key, sites }) => ({ name, key, sites })) }
}
