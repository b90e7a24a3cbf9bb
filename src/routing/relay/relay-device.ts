/**
 * What the relay's thread opens in the kernel: the TUN device with its addresses, the socket that frames come to and the
 * one that they leave by. Nothing of it outlives the process, however that ends.
 */

import type { IpAddress } from '../../base/address.ts'
import { DatagramReceiver, PacketSender } from '../../linux/datagram-batch.ts'
import { addAddress } from '../../linux/interface-address.ts'
import { interfaceIndex } from '../../linux/libc.ts'
import { listLinks, setLink } from '../../linux/link.ts'
import { Netlink } from '../../linux/netlink.ts'
import { lookupRoute } from '../../linux/route.ts'
import { hasFamily } from '../../linux/socket.ts'
import { Tun } from '../../linux/tun.ts'
import { UDP_PORT } from '../../wire/udp.ts'
import { overheadBytes, slotBytesFor } from './frame-writer.ts'
import { ourInnerAddress } from './inner-address.ts'
import { DEVICE_MTU, PACKET_BYTES_MAX } from './outbound.ts'

/** Of one call. */
export const BATCH = 64
/** Ten thousand peers that say something in the same moment. */
const BUFFER_BYTES = 16 << 20
/** Of packets, each of which may be a train: the same moment, out of the kernel. */
const QUEUE_LENGTH = 16_384
/** Of an underlay whose way is not known yet. */
const UNDERLAY_MTU = 1500

/** IPv6 may be switched off. */
export function innerVersions(): (4 | 6)[] {
  return ([4, 6] as const).filter(hasFamily)
}

export function openTun(): Tun {
  const tun = new Tun('gatehouse%d', { offloads: true })
  const netlink = new Netlink()
  try {
    const index = interfaceIndex(tun.name)
    setLink(netlink, index, { mtu: DEVICE_MTU, sendQueueLength: QUEUE_LENGTH })
    for (const version of innerVersions()) addAddress(netlink, index, ourInnerAddress(version === 4 ? 4 : 16))
    setLink(netlink, index, { up: true })
    return tun
  } catch (error) {
    tun.close()
    throw error
  } finally {
    netlink.close()
  }
}

export function openReceiver(address: IpAddress): DatagramReceiver {
  const shape = { slots: BATCH, slotBytes: slotBytesFor(PACKET_BYTES_MAX) }
  return new DatagramReceiver({ address, port: UDP_PORT.vxlan }, shape, BUFFER_BYTES)
}

export function openSender(address: IpAddress, lost: (packets: number) => void): PacketSender {
  const shape = { slots: BATCH, slotBytes: slotBytesFor(PACKET_BYTES_MAX) }
  return new PacketSender(address.length === 4 ? 4 : 6, shape, BUFFER_BYTES, lost)
}

/** What fits into a tunnel to the VIP on the way that the kernel has there now. */
export function packetMaxTo(vip: IpAddress): number {
  const netlink = new Netlink()
  try {
    const route = lookupRoute(netlink, vip)
    const out = route?.nextHops[0]?.interfaceIndex
    const link = listLinks(netlink).find(({ index }) => index === out)
    return Math.min(route?.mtu ?? UNDERLAY_MTU, link?.mtu ?? UNDERLAY_MTU) - overheadBytes(vip)
  } finally {
    netlink.close()
  }
}
