/**
 * A tenant as the agent holds it: its row (counters and VRF), its segments, and the one route that is the same for every
 * tenant: the gateway's link-local address, made of its MAC address (RFC 4291 appendix A), which customers' routers may name
 * as their next hop.
 */

import { isDeepStrictEqual } from 'node:util'
import type { IpAddress, MacAddress } from '../base/address.ts'
import type { FibInterface, FibPolicy, FibTenant } from '../wire/control/fib.ts'
import type { NodeParts } from './node-parts.ts'
import { interfacesOf, SegmentState } from './segment-state.ts'

export class TenantState {
  readonly id: number
  readonly row: number
  readonly #parts: NodeParts
  readonly #segments = new Map<number, SegmentState>()
  #spec: FibTenant
  #linkLocal: IpAddress | undefined
  /** As they are in shared memory. */
  #policies: readonly FibPolicy[] = []

  constructor(parts: NodeParts, spec: FibTenant, row: number) {
    this.#parts = parts
    this.#spec = spec
    this.id = spec.id
    this.row = row
  }

  get name(): string {
    return this.#spec.name
  }

  /** As it was told. */
  get spec(): FibTenant {
    return this.#spec
  }

  /** The outer source address of what is sent for the tenant. */
  get vip(): IpAddress {
    return this.#spec.vip
  }

  interfaces(): FibInterface[] {
    return this.#spec.segments.flatMap((segment) => interfacesOf(segment))
  }

  /** What its packets look like from outside: when this changes, every finished action of the tenant is out of date. */
  looks(): string {
    return `${this.vip.join('.')} ${this.#spec.segments.map(({ id }) => this.#segments.get(id)?.mac.join('.')).join(' ')}`
  }

  segment(id: number): SegmentState | undefined {
    return this.#segments.get(id)
  }

  segments(): Iterable<SegmentState> {
    return this.#segments.values()
  }

  /** Gives up what the tenant is not to have any more, before any tenant takes over what it is to have. */
  release(spec: FibTenant): void {
    const wanted = new Map(spec.segments.map((segment) => [segment.id, segment]))
    for (const [id, held] of this.#segments) {
      const segment = wanted.get(id)
      if (segment) held.release(segment)
      else {
        held.close()
        this.#segments.delete(id)
      }
    }
  }

  /**
   * Returns why it could not be done. What `spec` does not have was released before. `localSlot` delivers to the gateway on
   * any segment.
   */
  update(spec: FibTenant, localSlot: number): string | undefined {
    const moved = !sameAddress(this.#spec.vip, spec.vip)
    this.#spec = spec
    for (const segment of spec.segments) {
      const held = this.#segments.get(segment.id)
      if (held) {
        const failed = held.update(segment)
        if (failed !== undefined) return failed
        if (moved) held.relay()
        continue
      }
      const opened = SegmentState.open(this.#parts, this, segment)
      if (typeof opened === 'string') return opened
      this.#segments.set(segment.id, opened)
    }
    this.#answerLinkLocal(localSlot)
    return undefined
  }

  /** Its policies take effect. Returns why they could not. */
  takePolicies(): string | undefined {
    const { policies } = this.#spec
    if (isDeepStrictEqual(policies, this.#policies)) return undefined
    const failed = this.#parts.policies.set(this.row, policies)
    if (failed !== undefined) return failed
    this.#policies = policies
    for (const segment of this.#segments.values()) segment.connected?.followPolicies()
    return undefined
  }

  /** The tenant's routes are gone from the FIB already. */
  close(): void {
    this.#parts.policies.clear(this.row)
    for (const segment of this.#segments.values()) segment.close()
    this.#segments.clear()
  }

  #answerLinkLocal(localSlot: number): void {
    const mac = this.interfaces().find(({ address }) => address.length === 16)?.mac
    const address = mac && linkLocalOf(mac)
    if (sameAddress(address, this.#linkLocal)) return
    if (this.#linkLocal) this.#parts.fib.remove(this.row, { address: this.#linkLocal, length: 128 })
    if (address) this.#parts.fib.insert(this.row, { address, length: 128 }, localSlot)
    this.#linkLocal = address
  }
}

function sameAddress(a: IpAddress | undefined, b: IpAddress | undefined): boolean {
  return a?.join('.') === b?.join('.')
}

/** fe80::/64 and the modified EUI-64 of the MAC address. */
function linkLocalOf(mac: MacAddress): IpAddress {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac
  return Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f)
}
