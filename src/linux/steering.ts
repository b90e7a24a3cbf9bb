/**
 * The XDP programs: which packets of an interface are ours, and which are the host's. Ours go to the AF_XDP socket of
 * the queue that they came in by; all others, and ours while that queue has no socket, go on to the kernel. So the host
 * keeps its SSH, ping and ARP on the same interface. A frame may span several buffers, its headers lie in the first.
 *
 *   node       takes tunnel packets to our tunnel addresses, nothing else.
 *   underlay   takes all IP that is not for this host, and tunnel packets to our tunnel addresses. Leaves the kernel
 *              its own addresses, ARP, neighbour discovery, multicast, link-local IPv6, and all that is not IP, such as
 *              LLDP.
 *   customer   takes every frame.
 *
 * A tunnel is an IP protocol and, for UDP, a destination port. Fragments after the first have no port, so those of a
 * tunnel's protocol all count as tunnel packets. The underlay is untagged.
 */

import type { IpAddress } from '../base/address.ts'
import { assert } from '../base/assert.ts'
import { Assembler, Helper } from './assembler.ts'
import { BpfMap, MapType, XdpLink, type XdpMode, XdpProgram } from './bpf.ts'

const XDP_PASS = 2

/** struct xdp_md, linux/bpf.h. */
const context = { data: 0, dataEnd: 4, queue: 16 } as const

// Byte offsets in an untagged frame: Ethernet, then RFC 791 section 3.1 and RFC 8200 section 3.
const ethernet = { type: 12, BYTES: 14 } as const
const ipv4 = { versionIhl: 14, fragment: 20, protocol: 23, destination: 30, MIN_END: 34 } as const
const ipv6 = { nextHeader: 20, destination: 38, END: 54 } as const

// As a little-endian load of two bytes in network order gives them.
const ETHERTYPE_IPV4 = 0x0008
const ETHERTYPE_IPV6 = 0xdd86
const IPV4_FRAGMENT_OFFSET = 0xff1f
const IPV6_FRAGMENT_OFFSET = 0xf8ff
const LINK_LOCAL_MASK = 0xc0ff
const LINK_LOCAL = 0x80fe

const Protocol = { hopByHop: 0, udp: 17, routing: 43, fragment: 44, icmpv6: 58, destinationOptions: 60 } as const
const NeighbourDiscovery = { first: 133, last: 137 } as const

/** Extension headers that are stepped over in search of a tunnel; kernels send one (RFC 2473's encapsulation limit). */
const EXTENSIONS_MAX = 3

/** Own addresses of a host or switch, the VIPs of a node; a map entry takes 100 bytes. */
export const ADDRESSES_MAX = 4096
const TUNNELS_MAX = 64

/** Marks, in r9 beside the protocol, a fragment that is not the first. */
const LATER = 0x100

// Where the maps' keys are put together on the stack.
const ADDRESS_KEY = -16
const TUNNEL_KEY = -20

type AddressRole = 'host' | 'tunnel'

export interface Tunnel {
  /** IP protocol number: 17 UDP, 47 GRE, 50 ESP. */
  readonly protocol: number
  /** For UDP, the destination port. */
  readonly port?: number
}

/** What this host's addresses and tunnels are, for all its interfaces at once. Takes effect on the next packet. */
export class SteeringTables {
  readonly addresses = new BpfMap('addresses', MapType.hash, 16, 4, ADDRESSES_MAX)
  readonly tunnels = new BpfMap('tunnels', MapType.hash, 4, 4, TUNNELS_MAX)

  constructor(tunnels: readonly Tunnel[]) {
    for (const tunnel of tunnels) this.addTunnel(tunnel)
  }

  /** `host`: the kernel's alone. `tunnel`: tunnel packets to it are ours, the rest is the kernel's. */
  setAddress(address: IpAddress, role: AddressRole): void {
    this.addresses.set(addressKey(address), word(role === 'tunnel' ? 1 : 0))
  }

  removeAddress(address: IpAddress): void {
    this.addresses.delete(addressKey(address))
  }

  addTunnel({ protocol, port = 0 }: Tunnel): void {
    this.tunnels.set(word((protocol << 16) | port), word(1))
    this.tunnels.set(word(protocol << 16), word(1)) // its later fragments
  }

  close(): void {
    this.addresses.close()
    this.tunnels.close()
  }
}

/** IPv4 as an IPv4-mapped IPv6 address, RFC 4291 section 2.5.5.2. */
function addressKey(address: IpAddress): Uint8Array {
  if (address.length === 16) return address
  const key = new Uint8Array(16)
  key.fill(0xff, 10, 12)
  key.set(address, 12)
  return key
}

function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}

export type SteeringKind = 'node' | 'underlay' | 'customer'

/** A program with the sockets of one interface. The tables may serve many. */
export class Steering {
  readonly program: XdpProgram
  readonly #sockets: BpfMap
  #link: XdpLink | undefined

  /** `multiBuffer` as the sockets have it: a frame of several buffers finds no way into a socket for one. */
  constructor(kind: SteeringKind, queues: number, tables: SteeringTables, { multiBuffer = true } = {}) {
    this.#sockets = new BpfMap('sockets', MapType.xskmap, 4, 4, queues)
    this.program = new XdpProgram(kind, steeringCode(kind, this.#sockets, tables), { multiBuffer })
  }

  /** Returns whether it runs in the driver or, on devices without XDP of their own, in the generic hook. */
  attach(interfaceIndex: number): XdpMode {
    assert(!this.#link, 'a steering program is attached once')
    this.#link = new XdpLink(this.program, interfaceIndex)
    return this.#link.mode
  }

  /** From now on packets of this queue go to the socket; until its descriptor is closed, in whatever way. */
  setSocket(queue: number, fd: number): void {
    this.#sockets.set(word(queue), word(fd))
  }

  /** Back to the kernel with this queue's packets. */
  removeSocket(queue: number): void {
    this.#sockets.delete(word(queue))
  }

  close(): void {
    this.#link?.close()
    this.program.close()
    this.#sockets.close()
  }
}

// r6 context, r7 start of the frame, later of the payload, r8 end of what can be read, r9 protocol.
function steeringCode(kind: SteeringKind, sockets: BpfMap, tables: SteeringTables): Uint8Array {
  const code = new Assembler()
  code.move('r6', 'r1')
  if (kind !== 'customer') {
    code.load32('r7', 'r6', context.data).load32('r8', 'r6', context.dataEnd)
    needBytes(code, ethernet.BYTES)
    code.load16('r3', 'r7', ethernet.type)
    code.jumpIf('r3', '==', ETHERTYPE_IPV4, 'ipv4').jumpIf('r3', '==', ETHERTYPE_IPV6, 'ipv6').jump('pass')
    ipv4Code(code, kind, tables)
    ipv6Code(code, kind, tables)
    tunnelCode(code, tables)
  }
  code.label('take').loadMap('r1', sockets.fd).load32('r2', 'r6', context.queue).move('r3', XDP_PASS)
  code.call(Helper.redirectMap).exit()
  if (kind !== 'customer') code.label('pass').move('r0', XDP_PASS).exit()
  return code.assemble()
}

/** To the kernel with a frame that ends before `r7 + bytes`. */
function needBytes(code: Assembler, bytes: number): void {
  code.move('r2', 'r7').add('r2', bytes).jumpIf('r2', '>', 'r8', 'pass')
}

/** Goes on only with a packet to one of our tunnel addresses, whose key is on the stack. */
function ownAddressCode(code: Assembler, kind: SteeringKind, tables: SteeringTables): void {
  code.loadMap('r1', tables.addresses.fd).move('r2', 'r10').add('r2', ADDRESS_KEY).call(Helper.mapLookup)
  code.jumpIf('r0', '==', 0, kind === 'node' ? 'pass' : 'take')
  code.load32('r0', 'r0', 0).jumpIf('r0', '==', 0, 'pass')
}

function ipv4Code(code: Assembler, kind: SteeringKind, tables: SteeringTables): void {
  code.label('ipv4')
  needBytes(code, ipv4.MIN_END)
  if (kind === 'underlay') code.load8('r3', 'r7', ipv4.destination).jumpIf('r3', '>=', 224, 'pass') // multicast, broadcast
  code
    .store32('r10', ADDRESS_KEY, 0)
    .store32('r10', ADDRESS_KEY + 4, 0)
    .store32('r10', ADDRESS_KEY + 8, 0xffff0000 | 0)
  code.load32('r3', 'r7', ipv4.destination).store32('r10', ADDRESS_KEY + 12, 'r3')
  ownAddressCode(code, kind, tables)

  code.load8('r9', 'r7', ipv4.protocol).load16('r4', 'r7', ipv4.fragment)
  code.load8('r3', 'r7', ipv4.versionIhl).and('r3', 0x0f).shiftLeft('r3', 2).jumpIf('r3', '<', 20, 'pass')
  code.add('r7', ethernet.BYTES).add('r7', 'r3')
  code.jumpIf('r4', '&', IPV4_FRAGMENT_OFFSET, 'later').jump('tunnel')
}

function ipv6Code(code: Assembler, kind: SteeringKind, tables: SteeringTables): void {
  code.label('ipv6')
  needBytes(code, ipv6.END)
  code.load8('r9', 'r7', ipv6.nextHeader)
  if (kind === 'underlay') leaveToKernelCode(code)
  for (let i = 0; i < 16; i += 4) code.load32('r3', 'r7', ipv6.destination + i).store32('r10', ADDRESS_KEY + i, 'r3')
  ownAddressCode(code, kind, tables)

  code.add('r7', ipv6.END)
  for (let i = 0; i < EXTENSIONS_MAX; i++) {
    code.jumpIf('r9', '==', Protocol.fragment, 'fragment').jumpIf('r9', '==', Protocol.hopByHop, `extension ${i}`)
    code
      .jumpIf('r9', '==', Protocol.routing, `extension ${i}`)
      .jumpIf('r9', '!=', Protocol.destinationOptions, 'tunnel')
    code.label(`extension ${i}`) // RFC 8200 section 4.2: next header, length in units of 8 bytes without the first
    needBytes(code, 8)
    code.load8('r9', 'r7', 0).load8('r3', 'r7', 1).add('r3', 1).shiftLeft('r3', 3).add('r7', 'r3')
  }
  code.jumpIf('r9', '!=', Protocol.fragment, 'tunnel')

  code.label('fragment') // RFC 8200 section 4.5
  needBytes(code, 8)
  code.load8('r9', 'r7', 0).load16('r4', 'r7', 2).add('r7', 8)
  code.jumpIf('r4', '&', IPV6_FRAGMENT_OFFSET, 'later').jump('tunnel')
}

/** IPv6 that a switch's kernel needs whatever the address: multicast, link-local, neighbour discovery (RFC 4861). */
function leaveToKernelCode(code: Assembler): void {
  code.load16('r3', 'r7', ipv6.destination).move('r4', 'r3').and('r4', 0xff).jumpIf('r4', '==', 0xff, 'pass')
  code.and('r3', LINK_LOCAL_MASK).jumpIf('r3', '==', LINK_LOCAL, 'pass')
  code.jumpIf('r9', '!=', Protocol.icmpv6, 'not discovery')
  needBytes(code, ipv6.END + 1)
  code.load8('r3', 'r7', ipv6.END).jumpIf('r3', '<', NeighbourDiscovery.first, 'not discovery')
  code.jumpIf('r3', '<=', NeighbourDiscovery.last, 'pass')
  code.label('not discovery')
}

/** r9 is the protocol, r7 the payload: ours if the tunnel is in the table. */
function tunnelCode(code: Assembler, tables: SteeringTables): void {
  code.label('later').or('r9', LATER)
  code.label('tunnel').move('r3', 'r9').and('r3', 0xff).shiftLeft('r3', 16)
  code.jumpIf('r9', '!=', Protocol.udp, 'look up') // later fragments too
  needBytes(code, 8)
  code.load16('r4', 'r7', 2).swap16('r4').or('r3', 'r4') // RFC 768: destination port
  code.label('look up').store32('r10', TUNNEL_KEY, 'r3')
  code.loadMap('r1', tables.tunnels.fd).move('r2', 'r10').add('r2', TUNNEL_KEY).call(Helper.mapLookup)
  code.jumpIf('r0', '==', 0, 'pass')
}
