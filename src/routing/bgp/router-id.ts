/** Router IDs: numbers that are written as IPv4 addresses (RFC 4271 section 4.2). */

import { ipv4Number, parseAddress } from '../../base/address.ts'

export function routerIdOf(text: string): number {
  return ipv4Number(parseAddress(text)!)
}
