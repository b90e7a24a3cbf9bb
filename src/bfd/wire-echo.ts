/**
 * BFD's echo packets over IPv4 (RFC 5881 section 4): from and to an address of ours, in a frame to the peer, whose forwarding
 * plane sends them back to whom they are addressed to. The kernel would neither let such a packet out nor take it in, so it
 * goes by whole frames. The peer's MAC address is that of its control packets, which are seen here as well.
 *
 * The peer's own echo packets can be sent back too, for a host that does not forward; where the kernel does, it gets two.
 */

import { networkInterfaces } from 'node:os'
import { equalBytes, formatAddress, type IpAddress } from '../base/address.ts'
import { LinuxError } from '../linux/error.ts'
import { interfaceIndex } from '../linux/libc.ts'
import { type Watch, watch } from '../linux/poll.ts'
import { PacketSocket } from '../linux/socket.ts'
import { ETHERTYPE, ethernet } from '../wire/ethernet.ts'
import { IPV4_PLAIN, ipv4, ipv4HeaderBytes, PROTOCOL, writeIpv4Checksum } from '../wire/ipv4.ts'
import { UDP_PORT, udp } from '../wire/udp.ts'

const TTL = 255
/** CS6, like all of BFD's. */
const TRAFFIC_CLASS = 0xc0
const HEAD_BYTES = ethernet.BYTES + ipv4.BYTES + udp.BYTES
const FRAME_BYTES_MAX = 256
const NO_MAC = '00:00:00:00:00:00'

/** Classic BPF (linux/filter.h): IPv4, UDP, no later fragment, to BFD's ports of a single hop. */
const FILTER: readonly (readonly [code: number, jumpTrue: number, jumpFalse: number, value: number])[] = [
  [0x28, 0, 0, 12], // ether type
  [0x15, 0, 8, ETHERTYPE.ipv4],
  [0x30, 0, 0, 23], // protocol
  [0x15, 0, 6, PROTOCOL.udp],
  [0x28, 0, 0, 20], // fragment offset
  [0x45, 4, 0, 0x1fff],
  [0xb1, 0, 0, 14], // header length
  [0x48, 0, 0, 16], // destination port
  [0x15, 2, 0, UDP_PORT.bfdSingleHop],
  [0x15, 1, 0, UDP_PORT.bfdEcho],
  [0x06, 0, 0, 0],
  [0x06, 0, 0, FRAME_BYTES_MAX],
]

interface Peer {
  /** By its control packets; undefined until one has come. */
  mac: Uint8Array | undefined
}

/** `from` us is what has come back, and from a peer its own. The packet is valid during the call. */
type Came = (packet: Uint8Array, from: IpAddress) => void

/** On the wire of one address of ours. */
export class WireEcho {
  readonly #local: IpAddress
  readonly #socket: PacketSocket
  readonly #watching: Watch
  readonly #mac: Uint8Array
  readonly #came: Came
  readonly #device: string
  readonly #index: number
  /** The frame that is being taken, for whoever sends it back. */
  #taken: Uint8Array | undefined
  readonly #peers = new Map<string, Peer>()
  #id = 0

  /** Undefined where the address is on no wire. */
  static open(local: IpAddress, came: Came): WireEcho | undefined {
    const at = deviceOf(local)
    return at && at.mac !== NO_MAC ? new WireEcho(local, at.device, at.mac, came) : undefined
  }

  private constructor(local: IpAddress, device: string, mac: string, came: Came) {
    this.#local = local
    this.#came = came
    this.#device = device
    this.#index = interfaceIndex(device)
    this.#mac = Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16))
    this.#socket = new PacketSocket(device, { bytesMax: FRAME_BYTES_MAX, filter: filterBytes() })
    this.#watching = watch(this.#socket.fd, () => this.receive())
  }

  /** Knows the peer from now on. */
  meet(remote: IpAddress): void {
    const key = formatAddress(remote)
    if (!this.#peers.has(key)) this.#peers.set(key, { mac: undefined })
  }

  leave(remote: IpAddress): void {
    this.#peers.delete(formatAddress(remote))
  }

  /** False when its device is gone, and another one may be there. */
  send(remote: IpAddress, payload: Uint8Array): boolean {
    const peer = this.#peers.get(formatAddress(remote))
    if (!peer?.mac || this.#socket.send(this.#frame(peer.mac, payload))) return true
    return existingIndex(this.#device) === this.#index
  }

  /** Of a peer, during the call that told of it: back to where it came from. */
  giveBack(): void {
    const frame = this.#taken?.slice()
    if (!frame) return
    const view = new DataView(frame.buffer)
    frame.copyWithin(0, ethernet.source.offset, ethernet.source.offset + 6)
    frame.set(this.#mac, ethernet.source.offset)
    ipv4.ttl.set(view, ethernet.BYTES, TTL - 1)
    writeIpv4Checksum(view, ethernet.BYTES)
    this.#socket.send(frame)
  }

  receive(): void {
    for (let one = this.#socket.receive(); one; one = this.#socket.receive()) this.#take(one.bytes)
  }

  close(): void {
    this.#watching.stop()
    this.#socket.close()
  }

  #take(frame: Uint8Array): void {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
    const upper = ethernet.BYTES + ipv4HeaderBytes(view, ethernet.BYTES)
    if (upper + udp.BYTES > frame.length) return
    const source = frame.subarray(ethernet.BYTES + ipv4.source.offset).subarray(0, 4)
    const destination = frame.subarray(ethernet.BYTES + ipv4.destination.offset).subarray(0, 4)
    const isFresh = ipv4.ttl.get(view, ethernet.BYTES) === TTL
    if (udp.destinationPort.get(view, upper) === UDP_PORT.bfdSingleHop) {
      // Of the wire itself: a router between would have taken one off (GTSM).
      const peer = isFresh && equalBytes(destination, this.#local) ? this.#peers.get(formatAddress(source)) : undefined
      if (peer) peer.mac = frame.slice(ethernet.source.offset, ethernet.source.offset + 6)
    } else if (equalBytes(source, destination) && (isFresh || equalBytes(source, this.#local))) {
      this.#taken = frame
      this.#came(frame.subarray(upper + udp.BYTES), source)
      this.#taken = undefined
    }
  }

  #frame(mac: Uint8Array, payload: Uint8Array): Uint8Array {
    const frame = new Uint8Array(HEAD_BYTES + payload.length)
    const view = new DataView(frame.buffer)
    frame.set(mac, ethernet.destination.offset)
    frame.set(this.#mac, ethernet.source.offset)
    ethernet.etherType.set(view, 0, ETHERTYPE.ipv4)
    const ip = ethernet.BYTES
    this.#id = (this.#id + 1) & 0xffff
    ipv4.versionIhl.set(view, ip, IPV4_PLAIN)
    ipv4.tos.set(view, ip, TRAFFIC_CLASS)
    ipv4.totalLength.set(view, ip, frame.length - ip)
    ipv4.id.set(view, ip, this.#id)
    ipv4.ttl.set(view, ip, TTL)
    ipv4.protocol.set(view, ip, PROTOCOL.udp)
    frame.set(this.#local, ip + ipv4.source.offset)
    frame.set(this.#local, ip + ipv4.destination.offset)
    writeIpv4Checksum(view, ip)
    const upper = ip + ipv4.BYTES
    udp.sourcePort.set(view, upper, UDP_PORT.bfdEcho)
    udp.destinationPort.set(view, upper, UDP_PORT.bfdEcho)
    // No checksum: what is in it is known by a secret (echo.ts).
    udp.length.set(view, upper, udp.BYTES + payload.length)
    frame.set(payload, HEAD_BYTES)
    return frame
  }
}

/** The address is one of a device that carries packets and no frames: whoever is behind that knows about echo packets. */
export function isOnTunnel(local: IpAddress): boolean {
  return deviceOf(local)?.mac === NO_MAC
}

function existingIndex(device: string): number | undefined {
  try {
    return interfaceIndex(device)
  } catch (error) {
    if (error instanceof LinuxError) return undefined
    throw error
  }
}

function deviceOf(local: IpAddress): { readonly device: string; readonly mac: string } | undefined {
  const text = formatAddress(local)
  for (const [device, addresses] of Object.entries(networkInterfaces())) {
    const own = addresses?.find(({ address, internal }) => address === text && !internal)
    if (own) return { device, mac: own.mac }
  }
  return undefined
}

/** struct sock_filter: u16, u8, u8, u32. */
function filterBytes(): Uint8Array {
  const view = new DataView(new ArrayBuffer(FILTER.length * 8))
  for (const [i, [code, jumpTrue, jumpFalse, value]] of FILTER.entries()) {
    view.setUint16(i * 8, code, true)
    view.setUint8(i * 8 + 2, jumpTrue)
    view.setUint8(i * 8 + 3, jumpFalse)
    view.setUint32(i * 8 + 4, value, true)
  }
  return new Uint8Array(view.buffer)
}
