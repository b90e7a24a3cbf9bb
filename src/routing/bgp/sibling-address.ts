/**
 * The next hop for routes of one family in a session over the other: our address of that family on the interface that the
 * session's is on, as other routers give it. It is there on every network that carries both.
 */

import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { formatAddress, type IpAddress, parseAddress } from '../../base/address.ts'

type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>

/** Undefined when the interface has none, or none has the address. Link-local ones are not meant (RFC 2545 section 3). */
export function siblingAddress(local: IpAddress, interfaces: Interfaces = networkInterfaces()): IpAddress | undefined {
  const text = formatAddress(local)
  const wanted = local.length === 4 ? 'IPv6' : 'IPv4'
  for (const addresses of Object.values(interfaces)) {
    if (!addresses?.some(({ address }) => address === text)) continue
    const sibling = addresses.find(({ family, scopeid }) => family === wanted && !scopeid)
    if (sibling) return parseAddress(sibling.address)
  }
  return undefined
}
