/** Checks within one tenant: its subnets and its connections. Its VPCs and routes have files of their own. */

import {
  equalBytes,
  formatPrefix,
  type IpAddress,
  masked,
  type Prefix,
  parseAddress,
  parseInterface,
} from '../base/address.ts'
import type { Fabric } from './check-fabric.ts'
import { checkRoutes } from './check-routes.ts'
import { checkTrafficPolicies } from './check-traffic-policy.ts'
import { checkVpcs } from './check-vpc.ts'
import { type Complain, each, Unique } from './complain.ts'
import type { Loose } from './loose.ts'
import { formatPath, type Path } from './position.ts'
import { Subnets } from './subnets.ts'
import type { Connection, Tenant } from './tenant.ts'

export interface SubnetOwner {
  readonly path: Path
  readonly kind: 'connection' | 'vpc'
  /** The connection's or VPC's place in its list. */
  readonly index: number
  /** Our own address in the subnet. */
  readonly gateway: IpAddress | undefined
}

/** What the checks of one tenant share. */
export interface TenantCheck {
  readonly tenant: Loose<Tenant>
  readonly path: Path
  readonly fabric: Fabric
  readonly complain: Complain
  readonly subnets: Subnets<SubnetOwner>
  /** Machines by address. */
  readonly machines: Unique
  /** Every address could be read: what is nowhere is really nowhere. */
  readonly isWhole: boolean
  readonly connections: Unique<Loose<Connection>>
}

export const familyOf = (address: IpAddress): 'IPv4' | 'IPv6' => (address.length === 4 ? 'IPv4' : 'IPv6')

export function checkTenant(tenant: Loose<Tenant>, path: Path, fabric: Fabric, complain: Complain): void {
  fabric.vips.refer('VIP', tenant.vip, [...path, 'vip'])
  const check: TenantCheck = {
    tenant,
    path,
    fabric,
    complain,
    subnets: subnetsOf(tenant, path, complain),
    machines: new Unique(complain),
    connections: new Unique(complain),
    isWhole: hasAllAddresses(tenant),
  }
  each(tenant.connections, (connection, i) => {
    const at = [...path, 'connections', i]
    check.connections.add(connection.name, [...at, 'name'], connection)
    checkAttachment(check, connection, at)
    checkPeers(check, connection, i, at)
  })
  checkVpcs(check)
  checkRoutes(check)
  checkTrafficPolicies(check)
}

function hasAllAddresses({ connections, vpcs }: Loose<Tenant>): boolean {
  const isRead = (value: unknown): boolean => value !== undefined
  const gateways = connections?.every((one) => one?.gateway?.every(isRead))
  const machines = vpcs?.every((vpc) => vpc?.machines?.every((machine) => machine?.address?.every(isRead)) ?? true)
  return (gateways ?? true) && (machines ?? true)
}

/** A tunnel has two ends of one family: the tenant's VIP and the switch's or host's. */
export function checkEndpoint(check: TenantCheck, what: string, address: string | undefined, at: Path): void {
  const vip = check.fabric.vips.get(check.tenant.vip)?.address
  if (vip === undefined || address === undefined) return
  const [ours, theirs] = [vip, address].map((text) => familyOf(parseAddress(text)!))
  if (ours !== theirs)
    check.complain(at, `${what} has an ${theirs} tunnel endpoint, but VIP ${check.tenant.vip} is ${ours}`)
}

/** All subnets of the tenant, which is one VRF: none may lie in another. */
function subnetsOf(tenant: Loose<Tenant>, path: Path, complain: Complain): Subnets<SubnetOwner> {
  const entries = [...connectionSubnets(tenant, path, complain), ...vpcSubnets(tenant, path, complain)]
  const places = new Map(entries.map((entry, place) => [entry, place]))
  const subnets = new Subnets(entries)
  for (const pair of subnets.overlaps()) {
    const [first, second] = pair.sort((a, b) => places.get(a)! - places.get(b)!)
    const sentence = `${formatPrefix(second.prefix)} overlaps ${formatPrefix(first.prefix)}`
    complain(second.owner.path, `${sentence} at ${formatPath(first.owner.path)}`)
  }
  return subnets
}

interface Entry {
  prefix: Prefix
  owner: SubnetOwner
}

function connectionSubnets(tenant: Loose<Tenant>, path: Path, complain: Complain): Entry[] {
  const entries: Entry[] = []
  each(tenant.connections, (connection, index) =>
    each(connection.gateway, (text, i) => {
      const at = [...path, 'connections', index, 'gateway', i]
      const { address, length } = parseInterface(text)!
      checkUsable(address, length, at, complain)
      const prefix = { address: masked(address, length), length }
      entries.push({ prefix, owner: { path: at, kind: 'connection', index, gateway: address } })
    }),
  )
  return entries
}

function vpcSubnets(tenant: Loose<Tenant>, path: Path, complain: Complain): Entry[] {
  const entries: Entry[] = []
  each(tenant.vpcs, (vpc, index) =>
    each(vpc.subnets, (subnet, i) => {
      const at = [...path, 'vpcs', index, 'subnets', i]
      if (subnet.prefix === undefined) return
      const prefix = parseInterface(subnet.prefix)!
      const gateway = subnet.gateway === undefined ? undefined : parseAddress(subnet.gateway)
      entries.push({ prefix, owner: { path: [...at, 'prefix'], kind: 'vpc', index, gateway } })
      if (!gateway) return
      if (equalBytes(masked(gateway, prefix.length), prefix.address))
        checkUsable(gateway, prefix.length, [...at, 'gateway'], complain)
      else complain([...at, 'gateway'], `${subnet.gateway} is not in ${subnet.prefix}`)
    }),
  )
  return entries
}

/** In a subnet the first and the last address are nobody's own, but for RFC 3021's /31 and RFC 6164's /127. */
export function checkUsable(address: IpAddress, length: number, path: Path, complain: Complain): void {
  const bits = address.length * 8
  if (length >= bits - 1) return
  if (equalBytes(masked(address, length), address)) complain(path, 'this is the address of the subnet itself')
  else if (bits === 32 && isBroadcast(address, length)) complain(path, "this is the subnet's broadcast address")
}

function isBroadcast(address: IpAddress, length: number): boolean {
  const inverted = address.map((byte) => ~byte)
  return equalBytes(masked(inverted, length), inverted)
}

function checkAttachment(check: TenantCheck, { switch: name, port }: Loose<Connection>, at: Path): void {
  const edge = check.fabric.switches.refer('switch', name, [...at, 'switch'])
  if (!edge) return
  checkEndpoint(check, `switch ${name}`, edge.address, [...at, 'switch'])
  if (port === undefined || edge.ports?.includes(port)) return
  const known = edge.ports?.filter((one) => one !== undefined) ?? []
  const has = known.length > 0 ? `its ports are ${known.join(', ')}` : 'it lists no ports'
  check.complain([...at, 'port'], `switch ${name} has no port ${JSON.stringify(port)}; ${has}`)
}

function checkPeers(check: TenantCheck, connection: Loose<Connection>, index: number, at: Path): void {
  const peers = new Unique(check.complain)
  each(connection.peers, (peer, i) => {
    const path = [...at, 'peers', i]
    const address = peer.address === undefined ? undefined : parseAddress(peer.address)
    if (!address || !peers.add(peer.address, path, undefined)) return
    const subnet = check.subnets.find(address)
    if (!subnet && !check.isWhole) return
    if (subnet?.owner.kind !== 'connection' || subnet.owner.index !== index)
      check.complain(path, `${peer.address} is in no subnet of this connection`)
    else if (subnet.owner.gateway && equalBytes(subnet.owner.gateway, address))
      check.complain(path, `${peer.address} is our own address there`)
    else checkUsable(address, subnet.prefix.length, path, check.complain)
  })
}
