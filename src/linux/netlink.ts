/**
 * rtnetlink(7): how the kernel is asked about, told to change, and tells of links, addresses, routes and neighbours.
 * This file is the envelope: the socket, messages, attributes, acknowledgements. What is inside is link.ts's,
 * address.ts's, route.ts's and neighbour.ts's.
 *
 *   nlmsghdr | family's structure | attribute | attribute ...        attribute: length, type, value, padding to 4 bytes
 *
 * The kernel works on a request while it is sent, so `request` is synchronous and finds its answer waiting.
 */

import { assert } from '../base/assert.ts'
import { LinuxError } from './error.ts'
import { closeDescriptor, errno, libc, must } from './libc.ts'
import { SOL_SOCKET, setOption } from './option.ts'
import { i32, struct, textOf, u16, u32 } from './struct.ts'

const AF_NETLINK = 16
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0o2004000
const NETLINK_ROUTE = 0
const SOL_NETLINK = 270
const Option = { addMembership: 1, capAck: 10, extendedAck: 11, strictCheck: 12 } as const
const SO_RCVBUFFORCE = 33

/** Multicast groups, linux/rtnetlink.h. */
export const Group = { link: 1, neighbour: 3, address4: 5, route4: 7, address6: 9, route6: 11 } as const

const Kind = { error: 2, done: 3 } as const

export const Flag = { replace: 0x100, exclusive: 0x200, create: 0x400 } as const
const REQUEST = 1
const ACK = 4
const DUMP_INTERRUPTED = 0x10
const DUMP = 0x300
const ACK_HAS_ATTRIBUTES = 0x200
const ACK_MESSAGE = 1
const NESTED = 0x8000
const TYPE_MASK = 0x3fff

/** The kernel cuts dumps at 32 KB; events are one message each. */
const BUFFER_BYTES = 128 << 10

/** Events that wait while this thread is busy: 4 MB are some 10,000 route changes. */
const EVENT_BUFFER_BYTES = 4 << 20

/** A table that changes all the time interrupts its own dump; then we take what we got. */
const DUMP_TRIES = 5

const sockaddrNl = struct('struct sockaddr_nl', { family: u16, pad: u16, port: u32, groups: u32 })
const nlmsghdr = struct('struct nlmsghdr', { bytes: u32, type: u16, flags: u16, sequence: u32, port: u32 })
const HEADER_BYTES = nlmsghdr.BYTES
const nlmsgerr = struct('struct nlmsgerr', { error: i32 })

export interface Message {
  readonly type: number
  /** The family's structure and its attributes. A copy. */
  readonly payload: Uint8Array
}

export class Netlink {
  readonly fd: number
  readonly #buffer = new Uint8Array(BUFFER_BYTES)
  #sequence = 0

  /** With groups, a socket for events; without, one for requests. */
  constructor(groups: readonly number[] = []) {
    this.fd = must('socket(AF_NETLINK)', libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC_NONBLOCK, NETLINK_ROUTE))
    try {
      for (const option of [Option.capAck, Option.extendedAck, Option.strictCheck])
        setOption(this.fd, SOL_NETLINK, option, 1)
      const address = sockaddrNl.make({ family: AF_NETLINK })
      must('bind(AF_NETLINK)', libc.bind(this.fd, address, address.length))
      if (groups.length > 0) setOption(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, EVENT_BUFFER_BYTES)
      for (const group of groups) setOption(this.fd, SOL_NETLINK, Option.addMembership, group)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Everything that the kernel has of a kind. */
  dump(type: number, body: Uint8Array): Message[] {
    for (let tries = 1; ; tries++) {
      const messages = this.#exchange(type, DUMP, body)
      if (!messages.interrupted || tries === DUMP_TRIES) return messages.found
    }
  }

  /**
   * A change, or a question with one answer. Throws what the kernel says is wrong, in its own words where it has some.
   */
  request(type: number, flags: number, body: Uint8Array): Message[] {
    return this.#exchange(type, flags | ACK, body).found
  }

  #exchange(type: number, flags: number, body: Uint8Array): { found: Message[]; interrupted: boolean } {
    const sequence = ++this.#sequence
    const header = nlmsghdr.make({ bytes: HEADER_BYTES + body.length, type, flags: flags | REQUEST, sequence })
    const out = Buffer.concat([header, body])
    must('sendto(AF_NETLINK)', libc.sendto(this.fd, out, out.length, 0, null, 0))
    const found: Message[] = []
    let interrupted = false
    for (;;) {
      const part = this.#read()
      assert(part !== undefined, 'netlink gave no answer')
      for (const { type, flags, sequence: answered, payload } of messagesIn(part)) {
        if (answered !== sequence) continue
        if (flags & DUMP_INTERRUPTED) interrupted = true
        if (type === Kind.done || type === Kind.error) {
          const { error } = nlmsgerr.read(payload)
          if (error !== 0)
            throw new LinuxError(`netlink(${nameOf(out)})`, -error, {}, explanation(type, flags, payload))
          return { found, interrupted }
        }
        found.push({ type, payload: payload.slice() })
      }
    }
  }

  /** Events that wait, oldest first; 'overrun' if some were lost, after which only dumps tell the truth. */
  events(): Message[] | 'overrun' {
    const found: Message[] = []
    let overrun = false
    for (;;) {
      try {
        const part = this.#read()
        if (!part) break
        for (const { type, payload } of messagesIn(part)) found.push({ type, payload: payload.slice() })
      } catch (error) {
        // What still waits is older than what was lost: read it all, for nothing of it may follow a dump.
        if (!(error instanceof LinuxError) || error.code !== 'ENOBUFS') throw error
        overrun = true
      }
    }
    return overrun ? 'overrun' : found
  }

  #read(): Uint8Array | undefined {
    const length = libc.recvfrom(this.fd, this.#buffer, BUFFER_BYTES, 0, null, null)
    if (length >= 0) return this.#buffer.subarray(0, length)
    if (errno() === LinuxError.numberOf('EAGAIN')) return undefined
    if (errno() === LinuxError.numberOf('EINTR')) return this.#read()
    must('recvfrom(AF_NETLINK)', length)
    return undefined
  }

  close(): void {
    closeDescriptor(this.fd)
  }
}

type Envelope = ReturnType<typeof nlmsghdr.read> & { payload: Uint8Array }

function messagesIn(part: Uint8Array): Envelope[] {
  const found: Envelope[] = []
  for (let at = 0; at + HEADER_BYTES <= part.length; ) {
    const header = nlmsghdr.read(part, at)
    if (header.bytes < HEADER_BYTES || at + header.bytes > part.length) break
    found.push({ ...header, payload: part.subarray(at + HEADER_BYTES, at + header.bytes) })
    at += align(header.bytes)
  }
  return found
}

function explanation(type: number, flags: number, payload: Uint8Array): string {
  if (!(flags & ACK_HAS_ATTRIBUTES)) return ''
  // Of the request only its header is repeated (NETLINK_CAP_ACK).
  const skip = nlmsgerr.BYTES + (type === Kind.error ? HEADER_BYTES : 0)
  const message = parseAttributes(payload, skip).get(ACK_MESSAGE)
  return message ? textOf(message) : ''
}

const REQUEST_NAMES = ['new', 'delete', 'get', 'set']
const OBJECT_NAMES = ['link', 'address', 'route', 'neighbour', 'rule', 'qdisc', 'class', 'filter']

function nameOf(request: Uint8Array): string {
  const kind = nlmsghdr.read(request).type - 16
  return `${REQUEST_NAMES[kind & 3]} ${OBJECT_NAMES[kind >> 2]}`
}

function align(length: number): number {
  return (length + 3) & ~3
}

export type Attributes = Map<number, Uint8Array>

/** What follows the family's structure, up to the first attribute that is malformed. The last of a type wins. */
export function parseAttributes(payload: Uint8Array, from: number): Attributes {
  const found: Attributes = new Map()
  for (let at = align(from); at + 4 <= payload.length; ) {
    const length = payload[at]! | (payload[at + 1]! << 8)
    if (length < 4 || at + length > payload.length) break
    found.set((payload[at + 2]! | (payload[at + 3]! << 8)) & TYPE_MASK, payload.subarray(at + 4, at + length))
    at += align(length)
  }
  return found
}

/** A 32-bit attribute in the machine's order. */
export function numberIn(attributes: Attributes, type: number): number | undefined {
  const value = attributes.get(type)
  if (!value || value.length < 4) return undefined
  return new DataView(value.buffer, value.byteOffset, 4).getUint32(0, true)
}

/** A request's body. Numbers become 32 bits; what is undefined is left out; an array is nested. */
type AttributeValue = Uint8Array | number | string | undefined | readonly (readonly [number, AttributeValue])[]

export function encodeBody(
  structure: Uint8Array,
  attributes: readonly (readonly [number, AttributeValue])[],
): Uint8Array {
  const parts: Uint8Array[] = [structure]
  for (const [type, value] of attributes) {
    if (value === undefined) continue
    const nested = typeof value === 'object' && !(value instanceof Uint8Array)
    const raw = nested ? encodeBody(new Uint8Array(0), value) : bytesOf(value as Uint8Array | number | string)
    const attribute = new Uint8Array(align(4 + raw.length))
    const view = new DataView(attribute.buffer)
    view.setUint16(0, 4 + raw.length, true)
    view.setUint16(2, nested ? type | NESTED : type, true)
    attribute.set(raw, 4)
    parts.push(attribute)
  }
  return Buffer.concat(parts)
}

function bytesOf(value: Uint8Array | number | string): Uint8Array {
  if (typeof value === 'number') return new Uint8Array(Uint32Array.of(value).buffer)
  return typeof value === 'string' ? Buffer.from(`${value}\0`) : value
}
