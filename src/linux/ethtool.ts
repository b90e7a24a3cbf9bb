/**
 * Device settings that `ethtool` shows and sets, through its ioctl: offloads, channels (queues), speed. Offloads matter
 * here because a kernel that talks through veth leaves checksums and segmentation to a device that there is not, and
 * AF_XDP then sees frames with unfinished checksums or of 64 KB. linux/ethtool.h.
 */

import { LinuxError } from './error.ts'
import { closeDescriptor, libc, must } from './libc.ts'
import { addressOf } from './memory.ts'
import { bytes, struct, text, u8, u32, u64 } from './struct.ts'

const SIOCETHTOOL = 0x8946
const AF_INET = 2
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000

const Command = { carrier: 0x0a, channels: 0x3c, setChannels: 0x3d, link: 0x4c } as const

/** The commands that read and set an offload. */
const OFFLOADS = {
  'rx-checksum': [0x14, 0x15],
  'tx-checksum': [0x16, 0x17],
  'scatter-gather': [0x18, 0x19],
  tso: [0x1e, 0x1f],
  gso: [0x23, 0x24],
  gro: [0x2b, 0x2c],
} as const

export type Offload = keyof typeof OFFLOADS

const ifreq = struct('struct ifreq with ifr_data', { name: text(16), data: u64, rest: bytes(16) })
const ethtoolValue = struct('struct ethtool_value', { command: u32, value: u32 })
const ethtoolChannels = struct('struct ethtool_channels', {
  command: u32,
  rxMax: u32,
  txMax: u32,
  otherMax: u32,
  combinedMax: u32,
  rx: u32,
  tx: u32,
  other: u32,
  combined: u32,
})
const linkSettings = struct('struct ethtool_link_settings', {
  command: u32,
  speed: u32,
  duplex: u8,
  port: u8,
  phy: u8,
  autonegotiation: u8,
  mdio: u8,
  mdix: u8,
  mdixControl: u8,
  maskWords: u8,
  rest: bytes(32),
  masks: bytes(3 * 4 * 127),
})
const SPEED_UNKNOWN = 0xffffffff

export function offload(interfaceName: string, which: Offload): boolean {
  const [get] = OFFLOADS[which]
  return ethtoolValue.read(ethtool(interfaceName, ethtoolValue.make({ command: get }))).value !== 0
}

/** Sets offloads one after the other, and throws at the first that the device does not let itself be told. */
export function setOffloads(interfaceName: string, wanted: Partial<Record<Offload, boolean>>): void {
  for (const [which, on] of Object.entries(wanted)) {
    const [, set] = OFFLOADS[which as Offload]
    ethtool(interfaceName, ethtoolValue.make({ command: set, value: on ? 1 : 0 }))
  }
}

interface Channels {
  /** Receive queues, whether they have transmit queues of their own number or not. */
  receive: number
  transmit: number
  receiveMax: number
  transmitMax: number
}

export function channels(interfaceName: string): Channels {
  const { rx, tx, combined, rxMax, txMax, combinedMax } = rawChannels(interfaceName)
  return {
    receive: rx + combined,
    transmit: tx + combined,
    receiveMax: rxMax + combinedMax,
    transmitMax: txMax + combinedMax,
  }
}

/** The same number of receive and of transmit queues, combined ones where the device has them. */
export function setChannels(interfaceName: string, count: number): void {
  const now = rawChannels(interfaceName)
  const shape = now.combinedMax > 0 ? { rx: 0, tx: 0, combined: count } : { rx: count, tx: count }
  ethtool(interfaceName, ethtoolChannels.make({ ...now, ...shape, command: Command.setChannels }))
}

function rawChannels(interfaceName: string): ReturnType<typeof ethtoolChannels.read> {
  return ethtoolChannels.read(ethtool(interfaceName, ethtoolChannels.make({ command: Command.channels })))
}

/**
 * What the wire says this very moment. The kernel's events of it may be a second late: after a first one it gathers
 * those of the next second, unless they are of a stacked or paired device. Who must fail over in milliseconds asks, ten
 * times a second, for which everything stands ready.
 */
export class CarrierReader {
  readonly #fd = must('socket', libc.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0))
  readonly #value = new Uint8Array(new SharedArrayBuffer(ethtoolValue.BYTES))
  readonly #view = new DataView(this.#value.buffer)
  readonly #question = ethtoolValue.make({ command: Command.carrier })
  readonly #arguments = new Map<string, Uint8Array>()

  /** False also when there is no such interface, or none that has a carrier. */
  of(interfaceName: string): boolean {
    const known = this.#arguments.get(interfaceName)
    const argument = known ?? ifreq.make({ name: interfaceName, data: addressOf(this.#value) })
    if (!known) this.#arguments.set(interfaceName, argument)
    this.#value.set(this.#question)
    return (
      libc.ioctl(this.#fd, SIOCETHTOOL, argument) >= 0 && this.#view.getUint32(ethtoolValue.offset.value, true) !== 0
    )
  }

  close(): void {
    closeDescriptor(this.#fd)
  }
}

/** In megabits a second; undefined while there is no carrier, or where the device does not know or is a virtual one. */
export function linkSpeed_mbit(interfaceName: string): number | undefined {
  try {
    // The first answer says, as a negative number, how many words the masks behind the structure need.
    const asked = ethtool(interfaceName, linkSettings.make({ command: Command.link }))
    const maskWords = -((linkSettings.read(asked).maskWords << 24) >> 24)
    const { speed } = linkSettings.read(ethtool(interfaceName, linkSettings.make({ command: Command.link, maskWords })))
    return speed === SPEED_UNKNOWN || speed === 0 ? undefined : speed
  } catch (error) {
    if (error instanceof LinuxError && error.code === 'EOPNOTSUPP') return undefined
    throw error
  }
}

/** Hands a structure to the device and returns it as the device left it. */
function ethtool(interfaceName: string, request: Uint8Array): Uint8Array {
  const shared = new Uint8Array(new SharedArrayBuffer(request.length))
  shared.set(request)
  const fd = must('socket', libc.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0))
  try {
    const argument = ifreq.make({ name: interfaceName, data: addressOf(shared) })
    must('ioctl(SIOCETHTOOL)', libc.ioctl(fd, SIOCETHTOOL, argument), {
      ENODEV: `there is no interface ${interfaceName} here`,
      EOPNOTSUPP: `${interfaceName} cannot do this`,
    })
  } finally {
    closeDescriptor(fd)
  }
  return shared
}
