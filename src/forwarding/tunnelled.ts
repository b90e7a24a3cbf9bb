/** Next hops behind tunnels, as finished actions: what is known of neighbour and underlay put together. */

import type { MacAddress } from '../base/address.ts'
import type { Action } from '../dataplane/action.ts'
import { Drop } from '../dataplane/drop.ts'
import { type Adjacency, greAction, type InnerEthernet, vxlanAction } from '../dataplane/template.ts'
import type { NextHop } from '../wire/control/fib.ts'
import type { SegmentState } from './segment-state.ts'

export type Tunnelled = Extract<NextHop, { kind: 'peer' | 'host' | 'connected' }>

/** Which tunnel the next hop is behind. */
export function tunnelOf(spec: Tunnelled): 'vxlan' | 'gre' {
  return spec.kind === 'host' ? spec.tunnel : 'vxlan'
}

/** Does the tunnel carry Ethernet, and so need to know the neighbour's MAC address? */
export function needsMac(spec: Tunnelled): boolean {
  return spec.kind !== 'host' || spec.payload === 'ethernet'
}

/** The finished action by one adjacency. Without a MAC address that is needed it is a drop, which tells the gleaner `miss`. */
export function actionOf(
  spec: Tunnelled,
  segment: SegmentState,
  adjacency: Adjacency,
  mac: MacAddress | undefined,
  miss?: number,
): Action {
  const ends = { source: segment.tenant.vip, destination: spec.remote }
  let inner: InnerEthernet | undefined
  if (needsMac(spec)) {
    if (!mac) return { kind: 'drop', reason: Drop['neighbour-unresolved'], ...(miss !== undefined && { miss }) }
    inner = { source: segment.mac, destination: mac }
  }
  const id = spec.kind === 'host' ? spec.key : spec.vni
  const action =
    tunnelOf(spec) === 'vxlan' ? vxlanAction(adjacency, ends, id, inner) : greAction(adjacency, ends, id, inner)
  if (action.kind !== 'send') return action
  if (spec.mtu > 0) action.mtu = Math.min(action.mtu, spec.mtu)
  if (segment.spec.kind === 'site') action.toSite = true
  return action
}
