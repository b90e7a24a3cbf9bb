/**
 * Checks of a tenant's virtual networks: their hosts can carry them, and their machines have addresses of their own.
 */

import { equalBytes, formatPrefix, parseAddress } from '../base/address.ts'
import { checkEndpoint, checkUsable, type TenantCheck } from './check-tenant.ts'
import { each, Unique } from './complain.ts'
import { VNI_MAX } from './limits.ts'
import type { Loose } from './loose.ts'
import { formatPath, type Path } from './position.ts'
import { hostPayload } from './site.ts'
import type { Machine, Vpc } from './tenant.ts'

export function checkVpcs(check: TenantCheck): void {
  const vpcs = new Unique(check.complain)
  each(check.tenant.vpcs, (vpc, index) => {
    const at = [...check.path, 'vpcs', index]
    vpcs.add(vpc.name, [...at, 'name'], undefined)
    const key = vpc.key ?? check.tenant.vni
    each(vpc.subnets, ({ host }, i) => checkHost(check, host, key, [...at, 'subnets', i, 'host']))
    const names = new Unique(check.complain)
    each(vpc.machines, (machine, i) => {
      const path = [...at, 'machines', i]
      names.add(machine.name, [...path, 'name'], undefined)
      checkHost(check, machine.host, key, [...path, 'host'])
      each(machine.address, (text) => {
        if (!check.machines.add(text, [...path, 'address'], undefined)) return
        const wrong = wrongAddress(check, vpc, index, text, [...path, 'address'])
        if (wrong) check.complain([...path, 'address'], wrong)
        else checkReachable(check, machine, text, path)
      })
    })
  })
}

function checkHost(check: TenantCheck, name: string | undefined, key: number | undefined, path: Path): void {
  const host = check.fabric.hosts.refer('host', name, path)
  if (!host) return
  checkEndpoint(check, `host ${name}`, host.address, path)
  if (host.tunnel === 'vxlan' && key !== undefined && key > VNI_MAX)
    check.complain(path, `host ${name} speaks VXLAN, and key ${key} is above the largest VNI, ${VNI_MAX}`)
}

function wrongAddress(check: TenantCheck, vpc: Loose<Vpc>, index: number, text: string, at: Path): string | undefined {
  const address = parseAddress(text)!
  const subnet = check.subnets.find(address)
  if (!subnet) {
    const isSameFamily = (one: { prefix?: string | undefined } | undefined): boolean =>
      one?.prefix !== undefined && one.prefix.includes(':') === text.includes(':')
    return vpc.subnets?.some(isSameFamily) ? `${text} is in no subnet of the VPC` : undefined
  }
  const { kind, index: place, gateway, path } = subnet.owner
  if (kind !== 'vpc' || place !== index) return `${text} is in the subnet at ${formatPath(path)}`
  if (gateway && equalBytes(gateway, address)) return `${text} is our own address in ${formatPrefix(subnet.prefix)}`
  checkUsable(address, subnet.prefix.length, at, check.complain)
  return undefined
}

/** On an Ethernet host a machine's MAC address is known, or there is an address of ours to ask for it from. */
function checkReachable(check: TenantCheck, machine: Loose<Machine>, text: string, path: Path): void {
  const host = check.fabric.hosts.get(machine.host)
  if (host?.tunnel === undefined || machine.mac !== undefined) return
  if (hostPayload({ tunnel: host.tunnel, payload: host.payload }) !== 'ethernet') return
  if (check.subnets.find(parseAddress(text)!)?.owner.gateway) return
  const sentence = `host ${machine.host} carries Ethernet: ${text} needs a mac, or a subnet with a gateway to ask from`
  check.complain(path, sentence)
}
