/**
 * BFD over UDP for a single hop, RFC 5881: port 3784, and a TTL of 255 on each packet, which no router can have passed
 * on (GTSM, RFC 5082). One socket an address family listens; each session sends from a port of its own in the dynamic
 * range.
 */

import type { IpAddress } from '../base/address.ts'
import { LinuxError } from '../linux/error.ts'
import { type Watch, watch } from '../linux/poll.ts'
import { hasFamily, UdpSocket } from '../linux/socket.ts'
import { UDP_PORT } from '../wire/udp.ts'

export interface BfdTransport {
  /** Whoever wants the packets: those that came over one hop, as they came. Valid during the call. */
  onPacket: (packet: Uint8Array, from: IpAddress, to: IpAddress) => void
  /** For one session, which sends between these two from now on. */
  sender(from: IpAddress, to: IpAddress): BfdSender
  /** Hands over what was received and not yet read. */
  drain(): void
  close(): void
}

export interface BfdSender {
  send(packet: Uint8Array): void
  close(): void
}

const GTSM_TTL = 255
/** RFC 5881 section 4. */
const SOURCE_PORT_FIRST = 49152
const SOURCE_PORT_LAST = 65535
const PACKET_BYTES_MAX = 256
/** What waits while the thread is off its core: some 5,000 packets, a quarter of a second of a thousand sessions. */
const RECEIVE_BUFFER_BYTES = 4 << 20
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
  readonly #senders = new Set<UdpBfdSender>()
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

  sender(from: IpAddress, to: IpAddress): BfdSender {
    const sender = new UdpBfdSender(from, to, this.#nextPort, () => void this.#senders.delete(sender))
    this.#nextPort = this.#nextPort < SOURCE_PORT_LAST ? this.#nextPort + 1 : SOURCE_PORT_FIRST
    this.#senders.add(sender)
    return sender
  }

  drain(): void {
    for (const socket of this.#listeners) this.#read(socket)
  }

  close(): void {
    for (const watch of this.#watches) watch.stop()
    for (const socket of [...this.#listeners, ...this.#senders]) socket.close()
    this.#listeners.length = 0
  }

  #listen(address: IpAddress): void {
    const socket = new UdpSocket(
      { address, port: UDP_PORT.bfdSingleHop },
      {
        bytesMax: PACKET_BYTES_MAX,
        receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      },
    )
    this.#listeners.push(socket)
    this.#watches.push(watch(socket.fd, () => this.#read(socket)))
  }

  #read(socket: UdpSocket): void {
    for (let datagram = socket.receive(); datagram; datagram = socket.receive()) {
      if (datagram.ttl !== GTSM_TTL) this.distant++
      else if (datagram.destination) this.onPacket(datagram.bytes, datagram.from.address, datagram.destination)
    }
  }
}

class UdpBfdSender implements BfdSender {
  readonly #from: IpAddress
  readonly #to: { readonly address: IpAddress; readonly port: number }
  readonly #port: number
  readonly #closed: () => void
  #socket: UdpSocket | undefined

  constructor(from: IpAddress, to: IpAddress, port: number, closed: () => void) {
    this.#from = from
    this.#to = { address: to, port: UDP_PORT.bfdSingleHop }
    this.#port = port
    this.#closed = closed
  }

  send(packet: Uint8Array): void {
    this.#socket ??= openSender(this.#from, this.#port)
    // What cannot leave (link down, neighbour unknown) is a packet lost: the peer notices, which is the point.
    this.#socket?.send(packet, this.#to)
  }

  close(): void {
    this.#socket?.close()
    this.#socket = undefined
    this.#closed()
  }
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
