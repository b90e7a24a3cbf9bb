/** Hosts of VPCs as next hops. */

import { type IpAddress, type MacAddress, parseAddress } from '../base/address.ts'
import type { Host } from '../config/fabric.ts'
import { hostPayload } from '../config/site.ts'
import type { FibHost } from '../wire/control/fib.ts'
import type { SingleHop } from './hop.ts'

export interface MachineAddress {
  readonly address: IpAddress
  readonly mac: MacAddress | undefined
}

export function endpointOf(host: Host): FibHost {
  return { address: parseAddress(host.address)!, tunnel: host.tunnel, payload: hostPayload(host) }
}

/** `key` is the VPC's, and `segment` it. Without a machine it is any that is there. */
export function hostHopOf(
  host: Host,
  segment: number,
  key: number,
  machine?: MachineAddress,
): Extract<SingleHop, { kind: 'host' }> {
  const { address: remote, tunnel, payload } = endpointOf(host)
  // Bare IP finds its machine by itself: one hop serves all machines of the host.
  const to = payload === 'ip' ? undefined : machine
  const { address, mac } = { address: to?.address, mac: to?.mac }
  return { kind: 'host', segment, tunnel, payload, key, remote, address, mac, mtu: host.mtu ?? 0 }
}
