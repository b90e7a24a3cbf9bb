/**
 * BFD over UDP for a single hop, RFC 5881: port 3784, and a TTL of 255 on each packet, which no router can have passed
 * on (GTSM, RFC 5082). One socket an address family listens; each session sends from a port of its own in the dynamic
 * range.
 */

import { formatAddress, type IpAddress } from '../base/address.ts'
import { LinuxError } from '../linux/error.ts'
import { type Watch, watch } from '../linux/poll.ts'
import { hasFamily, UdpSocket } from '../linux/socket.ts'
import { UDP_PORT } from '../wire/udp.ts'

export interface BfdTransport {
  /** Whoever wants the packets: those that came over one hop, as they came. Valid during the call. */
  onPacket: (packet: Uint8Array, from: IpAddress, to: IpAddress) => void
  send(packet: Uint8Array, from: IpAddress, to: IpAddress): void
  /** Nothing more is sent between the two for now. */
  release(from: IpAddress, to: IpAddress): void
  /** Hands over what was received and not yet read. */
  drain(): void
  close(): void
}

const GTSM_TTL = 255
/** RFC 5881 section 4. */
const SOURCE_PORT_FIRST = 49152
const SOURCE_PORT_LAST = 65535
const PACKET_BYTES_MAX = 256
/** CS6, internetwork control: liveness goes first in a full queue (RFC 4594 section 3.1). */
const TRAFFIC_CLASS = 0xc0

const NOT_HERE = ['EADDRNOTAVAIL', 'EAFNOSUPPORT']

const ANY4 = new Uint8Array(4)
const ANY6 = new Uint8Array(16)

/** Opens its sockets in the network namespace of the calling thread. */
export class UdpBfdTransport implements BfdTransport {
  onPacket: BfdTransport['onPacket'] = () => {}
  /** Packets that came from further away than one hop, or claim to. */
  distant = 0
  readonly #listeners: UdpSocket[] = []
  readonly #watches: Watch[] = []
  /** One a session, by both addresses. */
  readonly #senders = new Map<string, UdpSocket>()
  #nextPort = SOURCE_PORT_FIRST

  /** Without `versions`, those that this host has: IPv6 may be switched off altogether. */
  constructor(versions: readonly (4 | 6)[] = ([4, 6] as const).filter(hasFamily)) {
    try {
      for (const version of versions) this.#listen(version === 4 ? ANY4 : ANY6)
    } catch (error) {
      this.close()
      throw error
    }
  }

  send(packet: Uint8Array, from: IpAddress, to: IpAddress): void {
    // What cannot leave (link down, neighbour unknown) is a packet lost: the peer notices, which is the point.
    this.#sender(from, to)?.send(packet, { address: to, port: UDP_PORT.bfdSingleHop })
  }

  release(from: IpAddress, to: IpAddress): void {
    const name = nameOf(from, to)
    this.#senders.get(name)?.close()
    this.#senders.delete(name)
  }

  drain(): void {
    for (const socket of this.#listeners) this.#read(socket)
  }

  close(): void {
    for (const watch of this.#watches) watch.stop()
    for (const socket of [...this.#listeners, ...this.#senders.values()]) socket.close()
    this.#listeners.length = 0
    this.#senders.clear()
  }

  #listen(address: IpAddress): void {
    const socket = new UdpSocket({ address, port: UDP_PORT.bfdSingleHop }, { bytesMax: PACKET_BYTES_MAX })
    this.#listeners.push(socket)
    this.#watches.push(watch(socket.fd, () => this.#read(socket)))
  }

  #read(socket: UdpSocket): void {
    for (let datagram = socket.receive(); datagram; datagram = socket.receive()) {
      if (datagram.ttl !== GTSM_TTL) this.distant++
      else if (datagram.destination) this.onPacket(datagram.bytes, datagram.from.address, datagram.destination)
    }
  }

  #sender(from: IpAddress, to: IpAddress): UdpSocket | undefined {
    const name = nameOf(from, to)
    const known = this.#senders.get(name)
    if (known) return known
    const opened = openSender(from, this.#nextPort)
    this.#nextPort = this.#nextPort < SOURCE_PORT_LAST ? this.#nextPort + 1 : SOURCE_PORT_FIRST
    if (opened) this.#senders.set(name, opened)
    return opened
  }
}

function nameOf(from: IpAddress, to: IpAddress): string {
  return `${formatAddress(from)} ${formatAddress(to)}`
}

/**
 * Undefined while the address is not one of this host: it may be about to become one, or its version is switched off.
 */
function openSender(address: IpAddress, port: number): UdpSocket | undefined {
  try {
    return new UdpSocket({ address, port }, { ttl: GTSM_TTL, trafficClass: TRAFFIC_CLASS })
  } catch (error) {
    if (error instanceof LinuxError && NOT_HERE.includes(error.code)) return undefined
    throw error
  }
}
