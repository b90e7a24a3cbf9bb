/**
 * TUN and TAP devices: IP packets (TUN) or Ethernet frames (TAP) to and from the kernel's own stack, through a
 * descriptor. The device goes with its last descriptor. With offloads each packet is preceded by ten bytes that say
 * what the kernel left undone, and may be a 64 KB train of segments with one header: three times the rate, and no drops
 * from bursts of small ones. Linux, Documentation/networking/tuntap.rst; the header is virtio's (OASIS VIRTIO 1.2
 * section 5.1.6).
 */

import { LinuxError } from './error.ts'
import { closeDescriptor, errno, libc, must } from './libc.ts'
import { bytes, struct, text, u8, u16 } from './struct.ts'

const O_RDWR_CLOEXEC_NONBLOCK = 0o2004002
const TUNSETIFF = 0x400454ca
const TUNSETOFFLOAD = 0x400454d0
const IFF = { tun: 0x1, tap: 0x2, noPacketInfo: 0x1000, virtioHeader: 0x4000, multiQueue: 0x100 } as const
/** TUN_F_CSUM, TSO4, TSO6, TSO_ECN: what we can take. */
const TAKES = 0x1 | 0x2 | 0x4 | 0x8

const ifreq = struct('struct ifreq with ifr_flags', { name: text(16), flags: u16, rest: bytes(22) })

/** struct virtio_net_hdr: stands before each packet of a device that was opened with `offloads`, both ways. */
export const virtioHeader = struct('struct virtio_net_hdr', {
  /**
   * VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum from checksumStart on is to be finished and stored at its offset there.
   */
  flags: u8,
  /** 0 a plain packet, 1 TCP over IPv4, 4 TCP over IPv6; 0x80 with ECN. */
  segmentation: u8,
  headerBytes: u16,
  segmentBytes: u16,
  checksumStart: u16,
  checksumOffset: u16,
})

/** The longest packet with segmentation, and the header. */
export const TUN_PACKET_BYTES = 65_535 + virtioHeader.BYTES

export interface TunOptions {
  kind?: 'tun' | 'tap'
  offloads?: boolean
  /** The kernel spreads flows over the descriptors that were opened by the same name with this. */
  multiQueue?: boolean
}

export class Tun {
  readonly fd: number
  /** As the kernel completed it: `tun%d` becomes `tun0`. */
  readonly name: string

  constructor(name: string, { kind = 'tun', offloads = false, multiQueue = false }: TunOptions = {}) {
    this.fd = must('open(/dev/net/tun)', libc.open('/dev/net/tun', O_RDWR_CLOEXEC_NONBLOCK), {
      ENOENT: 'this kernel has no TUN devices (modprobe tun)',
    })
    try {
      const flags = IFF[kind] | IFF.noPacketInfo | (offloads ? IFF.virtioHeader : 0) | (multiQueue ? IFF.multiQueue : 0)
      const request = ifreq.make({ name, flags })
      must('ioctl(TUNSETIFF)', libc.ioctl(this.fd, TUNSETIFF, request), {
        EBUSY: `${name} is open already`,
        EINVAL: `${name} exists with other options, or is of another kind`,
      })
      this.name = ifreq.read(request).name
      if (offloads) must('ioctl(TUNSETOFFLOAD)', libc.ioctl(this.fd, TUNSETOFFLOAD, TAKES))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** One packet into the buffer; its length, or 0 when none waits. */
  read(into: Uint8Array): number {
    return this.#moved('read', libc.read(this.fd, into, into.length))
  }

  /** One packet to the kernel. False if it had no room for it, or the device is down. */
  write(packet: Uint8Array): boolean {
    return this.#moved('write', libc.write(this.fd, packet, packet.length)) > 0
  }

  close(): void {
    closeDescriptor(this.fd)
  }

  #moved(call: string, result: number): number {
    if (result >= 0) return result
    return PASSING.has(errno()) ? 0 : must(call, result)
  }
}

/** EIO: the device is down. EINVAL: the kernel does not take this packet for one. */
const PASSING = new Set(['EAGAIN', 'EINTR', 'EIO', 'ENOBUFS', 'EINVAL'].map((name) => LinuxError.numberOf(name)))
