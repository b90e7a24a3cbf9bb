/**
 * What a node holds of a tenant as 64 bits, in two words: the sum, over its routes, next hops and segments in whatever order,
 * of a number for each. The control module makes the same of what it has compiled, and where the two differ the node's FIB is
 * not what it was told. It finds what went wrong by accident; it is not against an attacker who chooses the routes.
 */

import { mix32 } from '../../base/hash.ts'
import { Writer } from '../cursor.ts'
import { list, type MessageValue, message, record, text, u8, u32, u53, type Value } from './codec.ts'
import { type FibTenant, fibTenant, type NextHop, nextHop } from './fib.ts'

/**
 * What goes into a digest, and how. To be raised when that changes, as by a new field of a tenant's record or of a next hop:
 * modules are upgraded apart, and only digests of one format are compared.
 */
export const DIGEST_FORMAT = 2

const tenantDigest = record({ tenant: u32, routes: u32, low: u32, high: u32 })
export type TenantDigest = Value<typeof tenantDigest>

/** What a node found in its memory, tenant by tenant, all of them as of one generation. */
export const fibDigests = message('FIB digests', 14, {
  node: text,
  cluster: text,
  format: u8,
  /** Of the feed that it follows. */
  incarnation: text,
  epoch: u53,
  generation: u53,
  tenants: list(tenantDigest),
})
export type FibDigests = MessageValue<typeof fibDigests>

/** The two halves begin differently, so that what is alike for the one is not for the other. */
const SEED_LOW = 0x2545f491
const SEED_HIGH = 0x6c8e9cf5

export class Digest {
  routes = 0
  #low = 0
  #high = 0

  /** `addresses[at]` and on are the words of the prefix's address, one or four. */
  addRoute(addresses: ArrayLike<number>, at: number, words: 1 | 4, length: number, hop: number): void {
    let low = mix32(mix32(SEED_LOW ^ hop) ^ (length + (words << 8)))
    let high = mix32(mix32(SEED_HIGH ^ (length + (words << 8))) ^ hop)
    for (let word = 0; word < words; word++) {
      low = mix32(low ^ addresses[at + word]!)
      high = mix32(high ^ addresses[at + word]!)
    }
    this.routes++
    this.#add(low, high)
  }

  addHop(hop: NextHop): void {
    const out = new Writer()
    nextHop.write(out, hop)
    this.#addBytes(1, out.finish())
  }

  addTenant(tenant: FibTenant): void {
    const out = new Writer()
    fibTenant.write(out, tenant)
    this.#addBytes(2, out.finish())
  }

  of(tenant: number): TenantDigest {
    return { tenant, routes: this.routes, low: this.#low >>> 0, high: this.#high >>> 0 }
  }

  #addBytes(kind: number, bytes: Uint8Array): void {
    let low = SEED_LOW ^ kind
    let high = SEED_HIGH ^ kind
    for (let i = 0; i < bytes.length; i++) {
      low = mix32(low ^ bytes[i]!)
      high = mix32((high + bytes[i]!) | 0)
    }
    this.#add(low, high)
  }

  #add(low: number, high: number): void {
    this.#low = (this.#low + low) | 0
    this.#high = (this.#high + high) | 0
  }
}

export function isSameDigest(a: TenantDigest, b: TenantDigest): boolean {
  return a.low === b.low && a.high === b.high && a.routes === b.routes
}
