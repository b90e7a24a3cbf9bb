/**
 * Customers of tenants, each in a namespace of its own with a VXLAN device of the kernel's straight to a routing node: where
 * a site has edge switches and forwarding nodes, there is a wire here. The tunnels' other end is the VIP's address.
 *
 *   customer (192.168.1.2, vx7)  --+
 *   customer (192.168.1.2, vx8)  --+== fabric (VIP) ======== routing node
 */

import type { Lab } from '../namespaces.ts'

export interface VxlanCustomer {
  /** Its namespace. */
  readonly name: string
  readonly vni: number
  /** With prefix lengths. */
  readonly addresses: readonly string[]
}

export interface VxlanFabric {
  /** The namespace of the routing node, and the underlay's addresses of both ends. */
  readonly node: string
  readonly nodeAddress: string
  readonly vip: string
}

const FABRIC = 'fabric'
/** Of a customer's interface. */
export const CUSTOMER_DEVICE = 'lan'

export async function addVxlanCustomers(
  lab: Lab,
  { node, nodeAddress, vip }: VxlanFabric,
  customers: readonly VxlanCustomer[],
): Promise<void> {
  const settings = { 'net/ipv6/conf/default/accept_dad': 0, 'net/ipv6/conf/all/accept_dad': 0 }
  await lab.addNamespaces([node, FABRIC, ...customers.map(({ name }) => name)], settings)
  await lab.addLinks([
    {
      a: { namespace: node, interface: 'rack', addresses: [`${nodeAddress}/24`] },
      b: { namespace: FABRIC, interface: 'nodes', addresses: [`${vip}/24`] },
      mtu: 1600,
      queues: 1,
    },
  ])
  // A device's packets leave where it was made, wherever it is moved to.
  const made = customers.flatMap(({ name, vni }) => [
    `link add vx${vni} mtu 1500 type vxlan id ${vni} local ${vip} remote ${nodeAddress} dstport 4789 nolearning`,
    `link set vx${vni} name ${CUSTOMER_DEVICE} netns ${lab.fullName(name)}`,
  ])
  await lab.configure(new Map([[FABRIC, made]]))
  await lab.configure(
    new Map(
      customers.map(({ name, addresses }) => [
        name,
        [...addresses.map((address) => `addr add ${address} dev ${CUSTOMER_DEVICE}`), `link set ${CUSTOMER_DEVICE} up`],
      ]),
    ),
  )
}
