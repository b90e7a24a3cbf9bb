/**
 * The wires that every device is measured on, in turn, in namespaces of their own:
 *
 *   sender s0 ==== in  device  out ==== r0 receiver         10.0.1.1 | 10.0.1.2, 10.255.0.1, 10.0.2.2 | 10.0.2.1
 *   sender s1 ========================= r1 receiver         no device: what sender and receiver can do by themselves
 *
 * One queue each, so that one worker has all of it. The sender is a VTEP and the receiver a host, as far as addresses go; the
 * device has a VIP. Their kernels answer ARP, all else is the generator's.
 */

import type { Lab } from '../../lab/namespaces.ts'

/** A packet of 1,500 bytes in an Ethernet frame in VXLAN fits. */
const UNDERLAY_MTU = 1700

export const ADDRESS = { sender: '10.0.1.1', vip: '10.255.0.1', receiver: '10.0.2.1' } as const
export const MAC = {
  sender: '02:00:00:00:01:01',
  in: '02:00:00:00:01:02',
  out: '02:00:00:00:02:02',
  receiver: '02:00:00:00:02:01',
} as const

/** Namespaces by their names within the lab. */
export const SENDER = 'sender'
export const DEVICE = 'device'
export const RECEIVER = 'receiver'

/** From where to where, by name of the interfaces. */
export const THROUGH = { from: 's0', to: 'r0' } as const
export const DIRECT = { from: 's1', to: 'r1' } as const
export type Path = typeof THROUGH | typeof DIRECT

export async function layWires(lab: Lab): Promise<void> {
  // Without IPv6 of their own the kernels are silent; the tenants' IPv6 is inside of the tunnels.
  await lab.addNamespaces([SENDER, DEVICE, RECEIVER], { 'net/ipv6/conf/default/disable_ipv6': 1 })
  lab.set(DEVICE, { 'net/ipv4/ip_forward': 1, 'net/ipv4/conf/all/rp_filter': 0, 'net/ipv4/conf/default/rp_filter': 0 })
  const common = { mtu: UNDERLAY_MTU, queues: 1 }
  await lab.addLinks([
    {
      a: { namespace: SENDER, interface: THROUGH.from, mac: MAC.sender, addresses: [`${ADDRESS.sender}/30`] },
      b: { namespace: DEVICE, interface: 'in', mac: MAC.in, addresses: ['10.0.1.2/30'] },
      ...common,
    },
    {
      a: { namespace: DEVICE, interface: 'out', mac: MAC.out, addresses: ['10.0.2.2/30'] },
      b: { namespace: RECEIVER, interface: THROUGH.to, mac: MAC.receiver, addresses: [`${ADDRESS.receiver}/30`] },
      ...common,
    },
    {
      a: { namespace: SENDER, interface: DIRECT.from },
      b: { namespace: RECEIVER, interface: DIRECT.to },
      ...common,
    },
  ])
  await lab.configure(new Map([[DEVICE, [`addr add ${ADDRESS.vip}/32 dev lo`]]]))
}
