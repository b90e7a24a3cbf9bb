/**
 * BFD over UDP: for a single hop (RFC 5881) port 3784 and a TTL of 255 on each packet, which no router can have passed on
 * (GTSM, RFC 5082); over several hops (RFC 5883) port 4784, from however far. One socket an address family and port
 * listens; each session sends from a port of its own in the dynamic range.
 *
 * Echo packets (port 3785) over IPv6 go to the peer from that port and come back to it with a smaller hop limit, from a
 * peer that returns them by program, as FRR does. Over IPv4 peers expect them addressed to ourselves (wire-echo.ts); for
 * peers behind a tunnel that is done at its other end, and they go as over IPv6.
 */

import { equalBytes, formatAddress, type IpAddress } from '../base/address.ts'
import { LinuxError } from '../linux/error.ts'
import { LivenessReceiver, type TakePacket } from '../linux/liveness-receiver.ts'
import { type Watch, watch } from '../linux/poll.ts'
import { hasFamily, UdpSocket } from '../linux/socket.ts'
import { type Endpoint, sockaddr } from '../linux/socket-address.ts'
import { UDP_PORT } from '../wire/udp.ts'
import { isOnTunnel, WireEcho } from './wire-echo.ts'

export interface BfdTransport {
  /** Whoever wants the packets: as they came, those of a single hop only if they came over one. Valid during the call. */
  onPacket: (packet: Uint8Array, from: IpAddress, to: IpAddress, isMultihop?: boolean) => void
  /** Echo packets; a fresh one has not been anywhere yet and may be the peer's, to be returned. */
  onEcho?: (packet: Uint8Array, from: IpAddress, to: IpAddress, isFresh: boolean) => void
  /** For one session, which sends between these two from now on. */
  sender(from: IpAddress, to: IpAddress, isMultihop?: boolean): BfdSender
  /** Hands over what was received and not yet read. */
  drain(): void
  close(): void
}

export interface BfdSender {
  send(packet: Uint8Array): void
  /** For the peer's forwarding plane to send back. */
  sendEcho?(packet: Uint8Array): void
  /** One of the peer's, back to it. */
  returnEcho?(packet: Uint8Array): void
  close(): void
}

const GTSM_TTL = 255
/** RFC 5881 section 4. */
const SOURCE_PORT_FIRST = 49152
const SOURCE_PORT_LAST = 65535
/**
 * Sockets that send. With more sessions than that some share one, and with it their source port, which RFC 5881 allows
 * from 16,384 on: a process has 20,000 descriptors where nobody raised that, and a session of BGP takes one as well.
 */
const SENDERS_MAX = 4096
/** What waits while the thread is off its core: some 5,000 packets, a quarter of a second of a thousand sessions. */
const RECEIVE_BUFFER_BYTES = 4 << 20
/** CS6, internetwork control: liveness goes first in a full queue (RFC 4594 section 3.1). */
const TRAFFIC_CLASS = 0xc0

/** For one session before it waits for its next packet. */
const PORTS_TRIED = 8

const NOT_HERE = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']

const ANY4 = new Uint8Array(4)
const ANY6 = new Uint8Array(16)

export interface UdpBfdTransportOptions {
  /** Those that this host has unless it is said: IPv6 may be switched off altogether. */
  readonly versions?: readonly (4 | 6)[]
  /**
   * For BGP's neighbours: sessions over several hops and echo packets too, and only at addresses that sessions are from. The
   * switch and the node of the same host have BFD of their own at theirs.
   */
  readonly neighbours?: boolean
}

/** Opens its sockets in the network namespace of the calling thread. */
export class UdpBfdTransport implements BfdTransport {
  onPacket: BfdTransport['onPacket'] = () => {}
  onEcho: NonNullable<BfdTransport['onEcho']> = () => {}
  /** Packets that came from further away than one hop, or claim to. */
  distant = 0
  readonly #listeners: Listener[] = []
  readonly #senders = new SenderSockets()
  readonly #returning = new Map<string, UdpSocket>()
  readonly #wires = new Map<string, WireEcho>()
  readonly #isForNeighbours: boolean
  /** Where it listens, if not everywhere: address and port. */
  readonly #places = new Set<string>()
  /** By our address: what echo packets go out by and come back to. */
  readonly #echoPorts = new Map<string, UdpSocket>()

  constructor({ versions, neighbours = false }: UdpBfdTransportOptions = {}) {
    this.#isForNeighbours = neighbours
    if (neighbours) return
    try {
      for (const version of versions ?? ([4, 6] as const).filter(hasFamily))
        this.#listen(version === 4 ? ANY4 : ANY6, UDP_PORT.bfdSingleHop)
    } catch (error) {
      this.close()
      throw error
    }
  }

  sender(from: IpAddress, to: IpAddress, isMultihop = false): BfdSender {
    const port = isMultihop ? UDP_PORT.bfdMultiHop : UDP_PORT.bfdSingleHop
    const hasEcho = this.#isForNeighbours && !isMultihop
    const wire = (): WireEcho | undefined => (hasEcho && from.length === 4 ? this.#wireOf(from, to) : undefined)
    const echo = (): UdpSocket | undefined => (hasEcho && this.#isByPort(from) ? this.#echoPort(from) : undefined)
    // The peer's packets may come from now on, if the address is there.
    if (this.#isForNeighbours) this.#listenAt(from, port)
    const listen = (): void => {
      if (this.#isForNeighbours) this.#tryToListenAt(from, port)
    }
    echo()
    wire()
    const returning = (): UdpSocket | undefined => this.#returningPort(from)
    const wireIsGone = (): void => this.#forgetWire(from)
    return new UdpBfdSender({ from, to, port, listen, echo, wire, wireIsGone, returning }, this.#senders)
  }

  drain(): void {
    for (const { receive } of this.#listeners) receive()
    for (const wire of this.#wires.values()) wire.receive()
  }

  close(): void {
    for (const { socket, watching } of this.#listeners) {
      watching.stop()
      socket.close()
    }
    this.#senders.close()
    for (const one of [...this.#returning.values(), ...this.#wires.values()]) one.close()
    this.#wires.clear()
    this.#echoPorts.clear()
    this.#listeners.length = 0
  }

  #listenAt(address: IpAddress, port: number): void {
    const place = `${formatAddress(address)} ${port}`
    if (this.#places.has(place)) return
    try {
      this.#listen(address, port)
      this.#places.add(place)
    } catch (error) {
      if (!isNotHere(error)) throw error
    }
  }

  /** Once sessions are under way it is not worth them that somebody else has the port: without packets they stay down. */
  #tryToListenAt(address: IpAddress, port: number): void {
    try {
      this.#listenAt(address, port)
    } catch (error) {
      if (!(error instanceof LinuxError)) throw error
    }
  }

  #listen(address: IpAddress, port: number): void {
    const take = port === UDP_PORT.bfdMultiHop ? this.#multihop : this.#singleHop
    const socket = new LivenessReceiver({ address, port }, RECEIVE_BUFFER_BYTES)
    const receive = (): void => socket.receive(take)
    this.#listeners.push({ socket, receive, watching: watch(socket.fd, receive) })
  }

  #echoPort(local: IpAddress): UdpSocket | undefined {
    const key = formatAddress(local)
    const known = this.#echoPorts.get(key)
    if (known) return known
    const socket = openSender(local, UDP_PORT.bfdEcho, GTSM_TTL)
    if (!socket || socket === 'taken') return undefined
    this.#echoPorts.set(key, socket)
    const receive = (): void => {
      for (let one = socket.receive(); one; one = socket.receive())
        this.onEcho(one.bytes, one.from.address, local, one.ttl === GTSM_TTL)
    }
    this.#listeners.push({ socket, receive, watching: watch(socket.fd, receive) })
    return socket
  }

  #isByPort(local: IpAddress): boolean {
    return local.length === 16 || this.#echoPorts.has(formatAddress(local)) || isOnTunnel(local)
  }

  /** Undefined while the address is on no wire that works. */
  #wireOf(local: IpAddress, remote: IpAddress): WireEcho | undefined {
    const key = formatAddress(local)
    if (this.#echoPorts.has(key)) return undefined
    const came = (packet: Uint8Array, from: IpAddress): void =>
      this.onEcho(packet, from, local, !equalBytes(from, local))
    const wire = this.#wires.get(key) ?? WireEcho.open(local, came)
    if (wire) this.#wires.set(key, wire)
    wire?.meet(remote)
    return wire
  }

  #forgetWire(local: IpAddress): void {
    const key = formatAddress(local)
    this.#wires.get(key)?.close()
    this.#wires.delete(key)
  }

  /** What comes back has been on its way before, and says so by its hop limit. */
  #returningPort(local: IpAddress): UdpSocket | undefined {
    const key = formatAddress(local)
    const socket = this.#returning.get(key) ?? openSender(local, 0, GTSM_TTL - 1)
    if (!socket || socket === 'taken') return undefined
    this.#returning.set(key, socket)
    return socket
  }

  readonly #singleHop: TakePacket = (bytes, from, to, ttl) => {
    if (ttl !== GTSM_TTL) this.distant++
    else if (to) this.onPacket(bytes, from, to)
  }

  readonly #multihop: TakePacket = (bytes, from, to) => {
    if (to) this.onPacket(bytes, from, to, true)
  }
}

interface Listener {
  readonly socket: { close(): void }
  readonly receive: () => void
  readonly watching: Watch
}

interface SenderSocket {
  readonly socket: UdpSocket
  users: number
}

/** The sockets that sessions send from: one each, and beyond SENDERS_MAX shared among those from one address. */
class SenderSockets {
  readonly #byAddress = new Map<string, SenderSocket[]>()
  #count = 0
  #nextPort = SOURCE_PORT_FIRST

  /** Undefined while the address is not one of this host. */
  take(from: IpAddress): SenderSocket | undefined {
    const key = formatAddress(from)
    const known = this.#byAddress.get(key) ?? []
    const shared = this.#count >= SENDERS_MAX ? leastUsed(known) : undefined
    if (shared) {
      shared.users++
      return shared
    }
    const socket = this.#open(from)
    if (!socket) return undefined
    this.#count++
    const made = { socket, users: 1 }
    known.push(made)
    this.#byAddress.set(key, known)
    return made
  }

  /** From a port that nobody else of this host has: the range is the kernel's too, for whoever asks it for a port. */
  #open(from: IpAddress): UdpSocket | undefined {
    for (let tries = 0; tries < PORTS_TRIED; tries++) {
      const port = this.#nextPort
      this.#nextPort = port < SOURCE_PORT_LAST ? port + 1 : SOURCE_PORT_FIRST
      const socket = openSender(from, port, GTSM_TTL)
      if (socket !== 'taken') return socket
    }
    return undefined
  }

  release(from: IpAddress, taken: SenderSocket): void {
    const key = formatAddress(from)
    if (--taken.users > 0 || !this.#byAddress.has(key)) return
    const left = this.#byAddress.get(key)!.filter((one) => one !== taken)
    if (left.length > 0) this.#byAddress.set(key, left)
    else this.#byAddress.delete(key)
    this.#count--
    taken.socket.close()
  }

  close(): void {
    for (const { socket } of [...this.#byAddress.values()].flat()) socket.close()
    this.#byAddress.clear()
    this.#count = 0
  }
}

function leastUsed(sockets: readonly SenderSocket[]): SenderSocket | undefined {
  return sockets.reduce<SenderSocket | undefined>(
    (best, one) => (!best || one.users < best.users ? one : best),
    undefined,
  )
}

interface Way {
  readonly from: IpAddress
  readonly to: IpAddress
  readonly port: number
  /** Listens where it does not yet. */
  readonly listen: () => void
  /** What echo packets leave by, and what the peer's are returned by; undefined where there is none. */
  readonly echo: () => UdpSocket | undefined
  readonly returning: () => UdpSocket | undefined
  readonly wire: () => WireEcho | undefined
  readonly wireIsGone: () => void
}

class UdpBfdSender implements BfdSender {
  readonly #way: Way
  readonly #to: Uint8Array
  readonly #echoTo: Endpoint
  readonly #sockets: SenderSockets
  #taken: SenderSocket | undefined
  #isClosed = false

  constructor(way: Way, sockets: SenderSockets) {
    this.#way = way
    this.#to = sockaddr({ address: way.to, port: way.port })
    this.#echoTo = { address: way.to, port: UDP_PORT.bfdEcho }
    this.#sockets = sockets
  }

  send(packet: Uint8Array): void {
    if (this.#isClosed) return
    if (!this.#taken) this.#way.listen()
    this.#taken ??= this.#sockets.take(this.#way.from)
    // What cannot leave (link down, neighbour unknown) is a packet lost: the peer notices, which is the point.
    this.#taken?.socket.sendTo(packet, this.#to)
  }

  sendEcho(packet: Uint8Array): void {
    const { wire, wireIsGone, echo, to } = this.#way
    const byFrame = wire()
    if (!byFrame) echo()?.send(packet, this.#echoTo)
    else if (!byFrame.send(to, packet)) wireIsGone()
  }

  returnEcho(packet: Uint8Array): void {
    const byFrame = this.#way.wire()
    if (byFrame) byFrame.giveBack()
    else this.#way.returning()?.send(packet, this.#echoTo)
  }

  close(): void {
    if (this.#taken) this.#sockets.release(this.#way.from, this.#taken)
    this.#taken = undefined
    this.#way.wire()?.leave(this.#way.to)
    this.#isClosed = true
  }
}

/**
 * Undefined while the kernel refuses: the address is not one of this host and may be about to become one, its version is
 * switched off, or somebody has the port.
 */
function openSender(address: IpAddress, port: number, ttl: number): UdpSocket | 'taken' | undefined {
  try {
    return new UdpSocket({ address, port }, { ttl, trafficClass: TRAFFIC_CLASS })
  } catch (error) {
    if (error instanceof LinuxError) return error.code === 'EADDRINUSE' ? 'taken' : undefined
    throw error
  }
}

function isNotHere(error: unknown): boolean {
  return error instanceof LinuxError && NOT_HERE.includes(error.code)
}
