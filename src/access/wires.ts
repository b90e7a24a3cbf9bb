/**
 * Tenants' wires: the attachments that the control module asks for, and the tunnel to each VIP that one of them leads
 * to. A tenant that moves to another VIP keeps its attachment, and takes the other tunnel from the next frame on.
 */

import { equalBytes, formatAddress, type IpAddress } from '../base/address.ts'
import type { ActionWriter } from '../dataplane/action.ts'
import { vxlanAction } from '../dataplane/template.ts'
import type { Way, Ways } from '../dataplane/ways.ts'
import type { Attachment } from '../wire/control/switch.ts'
import { VNI_MAX } from '../wire/vxlan.ts'
import type { AttachmentWriter } from './attachments.ts'
import type { Balances } from './balances.ts'

/** IEEE 802.1Q clause 9.6: 4095 is reserved. */
const VLAN_MAX = 4094

export interface WireParts {
  readonly actions: ActionWriter
  readonly attachments: AttachmentWriter
  readonly ways: Ways
  readonly balances: Balances
  /** The number of a customer's port; undefined for any other. */
  customerPort(name: string): number | undefined
  mtuOf(port: number): number
  /** Counters of the attachment start anew: nobody counts in its row any more. */
  forget(attachment: number): void
}

/** A way to a VIP through the tunnel. */
interface Tunnel {
  readonly source: IpAddress
  readonly slot: number
  close(): void
}

interface Held {
  spec: Attachment
  readonly number: number
}

export class Wires {
  readonly #parts: WireParts
  readonly #tunnels = new Map<string, Tunnel>()
  readonly #held = new Map<string, Held>()

  constructor(parts: WireParts) {
    this.#parts = parts
  }

  /** What is wrong with them, before anything is changed. */
  check(attachments: readonly Attachment[], source: IpAddress): string | undefined {
    const taken = new Set<string>()
    for (const attachment of attachments) {
      const place = placeOf(attachment)
      const { port, vlan, vni, vip } = attachment
      if (this.#parts.customerPort(port) === undefined) return `${port} is no customer port of this switch`
      if (vlan > VLAN_MAX) return `${place}: a VLAN is at most ${VLAN_MAX}`
      if (vni === 0 || vni > VNI_MAX) return `${place}: a VNI is 1 to ${VNI_MAX}`
      if (vip.length !== source.length) return `${place}: its VIP and this switch are not both of IPv4 or of IPv6`
      if (taken.has(place)) return `${place} is attached twice`
      taken.add(place)
    }
    return undefined
  }

  /** These are the attachments now; `source` is our tunnel endpoint. Returns what could not be taken over. */
  apply(attachments: readonly Attachment[], source: IpAddress): string | undefined {
    const wanted = new Map(attachments.map((spec) => [placeOf(spec), spec]))
    for (const [place, held] of this.#held) if (wanted.get(place)?.vni !== held.spec.vni) this.#remove(place, held)
    const left: Tunnel[] = []
    for (const [place, spec] of wanted) {
      const tunnel = this.#tunnelTo(spec.vip, source, left)
      if (!tunnel) return `${place}: slots are exhausted`
      const held = this.#held.get(place)
      if (held) {
        this.#parts.attachments.setTunnel(held.number, tunnel.slot)
        held.spec = spec
      } else if (!this.#add(place, spec, tunnel)) return `${place}: attachments are exhausted`
    }
    const used = new Set(attachments.map(({ vip }) => formatAddress(vip)))
    for (const [vip, tunnel] of this.#tunnels) {
      if (used.has(vip)) continue
      this.#tunnels.delete(vip)
      left.push(tunnel)
    }
    for (const tunnel of left) tunnel.close()
    return undefined
  }

  /** For people: a row an attachment, with its number. */
  held(): { number: number; spec: Attachment }[] {
    return [...this.#held.values()]
  }

  #add(place: string, spec: Attachment, tunnel: Tunnel): boolean {
    const { attachments, customerPort, mtuOf } = this.#parts
    const port = customerPort(spec.port)!
    const row = { port, vlan: spec.vlan, vni: spec.vni, tunnel: tunnel.slot, mtu: mtuOf(port) }
    const number = attachments.add(row)
    if (number !== undefined) this.#held.set(place, { spec, number })
    return number !== undefined
  }

  #remove(place: string, { number }: Held): void {
    this.#held.delete(place)
    this.#parts.attachments.remove(number, () => this.#parts.forget(number))
  }

  /** A tunnel that is replaced goes into `left`: attachments still lead to it. */
  #tunnelTo(vip: IpAddress, source: IpAddress, left: Tunnel[]): Tunnel | undefined {
    const key = formatAddress(vip)
    const known = this.#tunnels.get(key)
    const spread = this.#parts.balances.tunnelTo(vip, source)
    if (known && equalBytes(known.source, source) && isOver(known, spread)) return known
    const tunnel = spread === undefined ? this.#throughFabric(vip, source) : this.#toNodes(spread, source)
    if (tunnel && known) left.push(known)
    if (tunnel) this.#tunnels.set(key, tunnel)
    return tunnel
  }

  #throughFabric(vip: IpAddress, source: IpAddress): Tunnel | undefined {
    const way: Way | undefined = this.#parts.ways.open(vip, (adjacency) =>
      vxlanAction(adjacency, { source, destination: vip }, 0),
    )
    return way && { source, slot: way.slot, close: () => way.close() }
  }

  /** The VIP's nodes are behind this very switch, which chooses among them as it does for everybody else. */
  #toNodes(group: number, source: IpAddress): SpreadTunnel | undefined {
    const { actions } = this.#parts
    const slot = actions.allocate()
    if (slot === undefined) return undefined
    if (actions.set(slot, { kind: 'local', segment: group })) {
      return { source, slot, group, close: () => actions.release(slot) }
    }
    actions.release(slot)
    return undefined
  }
}

interface SpreadTunnel extends Tunnel {
  readonly group: number
}

/** Does the tunnel lead to the group of nodes that it should, or through the fabric if there is none? */
function isOver(tunnel: Tunnel | SpreadTunnel, group: number | undefined): boolean {
  return 'group' in tunnel ? tunnel.group === group : group === undefined
}

function placeOf({ port, vlan }: Attachment): string {
  return vlan === 0 ? port : `${port} VLAN ${vlan}`
}
