/**
 * Which packets of the routed ports are the kernel's and which are tunnel packets of ours, as the XDP programs know it:
 * the differences to what they were told last. They may be told before there are programs.
 */

import { formatAddress, type IpAddress } from '../base/address.ts'
import type { SteeringTables } from '../linux/steering.ts'

export class Steered {
  #tables: SteeringTables | undefined
  #roles = new Map<string, { readonly address: IpAddress; readonly role: 'host' | 'tunnel' }>()

  /** From now on these programs are told. */
  by(tables: SteeringTables): void {
    this.#tables = tables
    for (const { address, role } of this.#roles.values()) tables.setAddress(address, role)
  }

  are({ host, tunnel }: { host: readonly IpAddress[]; tunnel: readonly IpAddress[] }): void {
    const before = this.#roles
    this.#roles = new Map()
    for (const address of host) this.#roles.set(formatAddress(address), { address, role: 'host' })
    for (const address of tunnel) this.#roles.set(formatAddress(address), { address, role: 'tunnel' })
    for (const [name, { address, role }] of this.#roles)
      if (before.get(name)?.role !== role) this.#tables?.setAddress(address, role)
    for (const [name, { address }] of before) if (!this.#roles.has(name)) this.#tables?.removeAddress(address)
  }
}
