/**
 * A BGP peer over the kernel's TCP, for tests of what peers may do to a speaker: it says OPEN and KEEPALIVE, sends what it is
 * given and counts what it gets, or behaves badly.
 */

import { EventEmitter, once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { FAMILY, families } from '../../wire/bgp/family.ts'
import { BGP_HEADER_BYTES, MESSAGE, messageOf } from '../../wire/bgp/message.ts'
import { encodeOpen } from '../../wire/bgp/open.ts'
import { UpdateBuilder } from '../../wire/bgp/update-builder.ts'

const UPDATES_BYTES = 1 << 22
const PREFIXES_PER_UPDATE = 200

export interface PlainPeerOptions {
  readonly local: string
  readonly port: number
  readonly as: number
  readonly holdTime_s?: number
}

export class PlainPeer {
  readonly #as: number
  readonly #socket: Socket
  readonly #news = new EventEmitter<{ message: []; closed: [] }>().setMaxListeners(0)
  #rest = Buffer.alloc(0)
  /** Messages that came, by type. */
  readonly #came = new Map<number, number>()
  /** Of routes that came, IPv4 alone. */
  #routes = 0
  /** That came, as `code.subcode`. */
  readonly notifications: string[] = []
  isClosed = false

  constructor({ local, port, as, holdTime_s = 90 }: PlainPeerOptions) {
    this.#as = as
    this.#socket = connect({ host: '127.0.0.1', port, localAddress: local })
    this.#socket.on('data', (data) => this.#take(data as Buffer))
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      this.isClosed = true
      this.#news.emit('closed')
    })
    const { afi, safi } = families[FAMILY.ipv4Unicast]!
    const capabilities = [{ kind: 'multiprotocol', afi, safi } as const, { kind: 'four-octet-as', as } as const]
    this.write(encodeOpen({ as, holdTime_s, identifier: Number(local.split('.')[3]), capabilities }))
  }

  /** Resolves when the session is up, of which it has said its part. */
  async established(): Promise<void> {
    await this.#until(() => (this.#came.get(MESSAGE.open) ?? 0) > 0)
    this.keepalive()
    await this.#until(() => (this.#came.get(MESSAGE.keepalive) ?? 0) > 0)
  }

  async closed(): Promise<void> {
    if (!this.isClosed) await once(this.#news, 'closed')
  }

  /** Resolves when so many routes have come. */
  async received(routes: number): Promise<void> {
    await this.#until(() => this.#routes >= routes)
  }

  get routes(): number {
    return this.#routes
  }

  keepalive(): void {
    this.write(messageOf(MESSAGE.keepalive, new Uint8Array(0)))
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** Takes nothing from the connection any more. */
  stopReading(): void {
    this.#socket.pause()
  }

  close(): void {
    this.#socket.destroy()
  }

  /** So many prefixes from 10.0.0.0 on, whose paths begin with its AS and are others with every `version`. */
  announce(count: number, version: number): void {
    const builder = new UpdateBuilder()
    const out = new Uint8Array(UPDATES_BYTES)
    builder.target(out)
    let end = 0
    for (let i = 0; i < count; i += PREFIXES_PER_UPDATE) {
      const path = [0, 0, this.#as >>> 8, this.#as & 255, 1 + version, 0, (i >>> 8) & 255, i & 255]
      const attributes = Uint8Array.from([0x40, 1, 1, 0, 0x40, 2, 10, 2, 2, ...path, 0x40, 3, 4, 127, 0, 0, 2])
      builder.begin(end, FAMILY.ipv4Unicast, attributes)
      for (let j = i; j < Math.min(count, i + PREFIXES_PER_UPDATE); j++)
        builder.addPrefix4((0x0a000000 + (j << 4)) >>> 0, 28)
      end = builder.finish()
    }
    this.write(out.slice(0, end))
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.isClosed) throw new Error('the speaker closed the connection')
      await Promise.race([once(this.#news, 'message'), once(this.#news, 'closed')])
    }
  }

  #take(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data])
    let at = 0
    while (this.#rest.length >= at + BGP_HEADER_BYTES) {
      const length = this.#rest.readUInt16BE(at + 16)
      if (this.#rest.length < at + length) break
      this.#message(this.#rest.subarray(at, at + length))
      at += length
    }
    this.#rest = this.#rest.subarray(at)
    this.#news.emit('message')
  }

  #message(message: Buffer): void {
    const type = message[18]!
    this.#came.set(type, (this.#came.get(type) ?? 0) + 1)
    if (type === MESSAGE.notification) this.notifications.push(`${message[19]}.${message[20]}`)
    if (type !== MESSAGE.update) return
    const withdrawn = message.readUInt16BE(19)
    const attributes = message.readUInt16BE(21 + withdrawn)
    for (let at = 23 + withdrawn + attributes; at < message.length; at += 1 + ((message[at]! + 7) >> 3)) this.#routes++
  }
}
