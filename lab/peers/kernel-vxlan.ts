/**
 * The Linux kernel's own VXLAN in an edge switch's place: a bridge a connection, with a VXLAN device towards the
 * tenant's VIP and the customer's port (RFC 7348; ip-link(8)). For untagged connections; the kernel needs no program
 * for it.
 */

import { connectionVni, type Site } from '../../src/config/site.ts'
import type { Lab } from '../namespaces.ts'

const VXLAN_PORT = 4789

/** `remote`: where frames go when it is not to the tenant's VIP. */
export async function startKernelVxlan(lab: Lab, site: Site, switchName: string, remote?: string): Promise<void> {
  const { address } = site.switches.find(({ name }) => name === switchName)!
  const lines = site.tenants.flatMap((tenant) =>
    tenant.connections
      .filter((connection) => connection.switch === switchName)
      .flatMap((connection) => {
        if (connection.vlan !== undefined)
          throw new Error(`lab: ${connection.name} is tagged, the kernel's bridge is not`)
        const vni = connectionVni(tenant, connection)
        const vip = site.vips.find(({ name }) => name === tenant.vip)!.address
        const ends = `local ${address} remote ${remote ?? vip}`
        return [
          `link add br${vni} type bridge forward_delay 0 mcast_snooping 0`,
          `link add vx${vni} mtu 1500 type vxlan id ${vni} ${ends} dstport ${VXLAN_PORT} nolearning`,
          `link set vx${vni} master br${vni} up`,
          `link set ${connection.port} master br${vni}`,
          `link set br${vni} up`,
        ]
      }),
  )
  await lab.configure(new Map([[switchName, lines]]))
}
