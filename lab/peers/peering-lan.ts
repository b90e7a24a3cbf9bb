/**
 * A peering LAN, as an Internet exchange has it: one segment, a namespace a router, ours among them. The bridge is in
 * ours.
 *
 *   frr --+
 *   bird -+== lan (10.9.0.1, fd09::1) in `ix`
 *   ... --+
 *   10.9.0.N, fd09::N
 */

import type { Lab } from '../namespaces.ts'

export const OURS = 'ix'

export interface LanAddresses {
  readonly ipv4: string
  readonly ipv6: string
}

export function lanAddresses(number: number): LanAddresses {
  return { ipv4: `10.9.0.${number}`, ipv6: `fd09::${number.toString(16)}` }
}

/** `routers`: namespaces and the number that their addresses end with. We are number 1. */
export async function addPeeringLan(lab: Lab, routers: ReadonlyMap<string, number>): Promise<void> {
  // Nobody here has another's address, and looking for it would take a second.
  const settings = { 'net/ipv6/conf/default/accept_dad': 0, 'net/ipv6/conf/all/accept_dad': 0 }
  await lab.addNamespaces([OURS, ...routers.keys()], settings)
  const ends = (number: number): string[] => {
    const { ipv4, ipv6 } = lanAddresses(number)
    return [`${ipv4}/24`, `${ipv6}/64`]
  }
  await lab.configure(
    new Map([
      [
        OURS,
        [
          'link add lan type bridge forward_delay 0 mcast_snooping 0',
          ...ends(1).map((address) => `addr add ${address} dev lan`),
          'link set lan up',
        ],
      ],
    ]),
  )
  await lab.addLinks(
    Array.from(routers, ([namespace, number]) => ({
      a: { namespace: OURS, interface: `to-${namespace}` },
      b: { namespace, interface: 'lan', addresses: ends(number) },
      mtu: 1500,
      queues: 1,
    })),
  )
  await lab.configure(
    new Map([[OURS, Array.from(routers.keys(), (namespace) => `link set to-${namespace} master lan`)]]),
  )
}
