/**
 * The two ends of a measurement, as processes of their own: a sender with a table in memory, encoded beforehand, and a
 * receiver that only counts. Both speak BGP as far as a session needs it and do nothing with a route, so that what is
 * measured is the daemon in between.
 *
 *   parent --{ kind }--> child        `announce`, `withdraw`
 *   parent <--{ ... }-- child         `up`, `started` (first byte is about to leave), `sent`, `counted` (at so many prefixes)
 */

import { connect, type Socket } from 'node:net'
import { Random } from '../../src/base/random.ts'
import { FAMILY, families } from '../../src/wire/bgp/family.ts'
import { BGP_HEADER_BYTES, KEEPALIVE, MESSAGE } from '../../src/wire/bgp/message.ts'
import { encodeOpen } from '../../src/wire/bgp/open.ts'
import { UpdateBuilder } from '../../src/wire/bgp/update-builder.ts'
import { internetRoutes4 } from '../fib/internet.ts'
import { PrefixCounts } from './prefix-counts.ts'
import { type VpnLoad, vpnUpdates } from './vpn-routes.ts'

export interface PeerSetup {
  readonly role: 'sender' | 'receiver'
  readonly local: string
  readonly remote: string
  readonly port: number
  readonly as: number
  /** Of all routes: an address of nobody's, since daemons take none of their own host's. */
  readonly nextHop: string
  readonly routes: number
  readonly seed: number
  /** VPN routes, and these. A receiver of them counts messages. */
  readonly vpn?: VpnLoad
}

export type ToPeer =
  | { readonly kind: 'announce' | 'withdraw' }
  | { readonly kind: 'expect'; readonly announced: number; readonly withdrawn: number }
export type FromPeer =
  | { readonly kind: 'up' }
  | { readonly kind: 'down' }
  | { readonly kind: 'started'; readonly at_ms: number }
  | { readonly kind: 'sent'; readonly at_ms: number }
  | { readonly kind: 'complete'; readonly at_ms: number }

const PREFIXES_PER_SET = 5
const HOLD_TIME_S = 90
const KEEPALIVE_ms = 10_000

function now_ms(): number {
  return performance.timeOrigin + performance.now()
}

/** Attributes as in a full table: paths of three to six, a community or two; every five routes others. */
function attributesOf(i: number, as: number, nextHop: readonly number[]): Uint8Array {
  const word = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
  const path = [as, ...Array.from({ length: 2 + (i % 4) }, (_, hop) => 1 + ((i * 7919 + hop * 104_729) % 60_000))]
  const communities = [(as << 16) | (i & 0xff), (as << 16) | ((i >>> 8) & 0xffff)]
  return Uint8Array.from([
    ...[0x40, 1, 1, 0],
    ...[0x40, 2, 2 + 4 * path.length, 2, path.length, ...path.flatMap(word)],
    ...[0x40, 3, 4, ...nextHop],
    ...[0xc0, 8, 4 * communities.length, ...communities.flatMap((value) => word(value >>> 0))],
  ])
}

/** As in the Internet, but for 127/8, which daemons do not take. */
function tableOf(seed: number, routes: number): { addresses: Uint32Array; lengths: Uint8Array } {
  const drawn = internetRoutes4(new Random(seed), Math.ceil(routes * 1.02) + 100)
  let kept = 0
  for (let i = 0; i < drawn.count; i++) {
    if (drawn.addresses[i]! >>> 24 === 127) continue
    drawn.addresses[kept] = drawn.addresses[i]!
    drawn.lengths[kept++] = drawn.lengths[i]!
  }
  return drawn
}

interface Table {
  readonly announce: Uint8Array
  readonly withdraw: Uint8Array
}

/** Every route in an UPDATE with those that share its attributes; and their withdrawals, as many as fit a message. */
function encodeTable({ routes, seed, as, nextHop: hop, vpn }: PeerSetup): Table {
  if (vpn) {
    const [announce, withdraw] = [false, true].map((withdraws) => Buffer.concat(vpnUpdates(vpn, withdraws)))
    return { announce: announce!, withdraw: withdraw! }
  }
  const { addresses, lengths } = tableOf(seed, routes)
  const builder = new UpdateBuilder()
  const announce = new Uint8Array(routes * 32 + 4096)
  const nextHop = hop.split('.').map(Number)
  builder.target(announce)
  let end = 0
  for (let i = 0; i < routes; i += PREFIXES_PER_SET) {
    builder.begin(end, FAMILY.ipv4Unicast, attributesOf(i / PREFIXES_PER_SET, as, nextHop))
    for (let j = i; j < Math.min(i + PREFIXES_PER_SET, routes); j++) builder.addPrefix4(addresses[j]!, lengths[j]!)
    end = builder.finish()
  }
  const withdraw = new Uint8Array(routes * 6 + 4096)
  builder.target(withdraw)
  builder.begin(0, FAMILY.ipv4Unicast, undefined)
  for (let i = 0; i < routes; i++) builder.addPrefix4(addresses[i]!, lengths[i]!)
  return { announce: announce.subarray(0, end), withdraw: withdraw.subarray(0, builder.finish()) }
}

/** Counts the prefixes of a stream of messages, which it takes to be well-formed. */
class Counter extends PrefixCounts {
  onMessage: (type: number) => void = () => {}
  #rest: Uint8Array = new Uint8Array(0)

  take(bytes: Uint8Array): void {
    let buffer = bytes
    if (this.#rest.length > 0) {
      buffer = new Uint8Array(this.#rest.length + bytes.length)
      buffer.set(this.#rest)
      buffer.set(bytes, this.#rest.length)
    }
    let at = 0
    while (buffer.length - at >= BGP_HEADER_BYTES) {
      const length = (buffer[at + 16]! << 8) | buffer[at + 17]!
      if (buffer.length - at < length) break
      if (buffer[at + 18] === MESSAGE.update) {
        if (setup.vpn) this.multiprotocol(buffer, at)
        else this.update(buffer, at, at + length)
      }
      this.onMessage(buffer[at + 18]!)
      at += length
    }
    this.#rest = buffer.slice(at)
  }
}

const setup = JSON.parse(process.argv[2]!) as PeerSetup
const tell = (message: FromPeer): void => void process.send!(message)
const table = setup.role === 'sender' ? encodeTable(setup) : undefined
const counter = new Counter()
let expected: { announced: number; withdrawn: number } | undefined

function start(): void {
  const socket: Socket = connect({ host: setup.remote, port: setup.port, localAddress: setup.local })
  socket.setNoDelay()
  socket.on('error', () => {})
  socket.on('close', () => {
    tell({ kind: 'down' })
    setTimeout(start, 200)
  })
  socket.on('connect', () => {
    const identifier = setup.local.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
    const capabilities = [
      { kind: 'multiprotocol', ...families[setup.vpn ? FAMILY.vpnv4 : FAMILY.ipv4Unicast]! },
      { kind: 'four-octet-as', as: setup.as },
    ] as const
    socket.write(encodeOpen({ as: setup.as, holdTime_s: HOLD_TIME_S, identifier, capabilities }))
  })
  const keepalive = setInterval(() => socket.write(KEEPALIVE), KEEPALIVE_ms)
  socket.on('close', () => clearInterval(keepalive))
  let isUp = false
  counter.onMessage = (type) => {
    if (type === MESSAGE.open) socket.write(KEEPALIVE)
    if (type === MESSAGE.keepalive && !isUp) {
      isUp = true
      tell({ kind: 'up' })
    }
  }
  socket.on('data', (bytes) => {
    counter.take(bytes as Uint8Array)
    if (!expected || counter.announced < expected.announced || counter.withdrawn < expected.withdrawn) return
    expected = undefined
    tell({ kind: 'complete', at_ms: now_ms() })
  })
  process.removeAllListeners('message')
  process.on('message', (message: ToPeer) => {
    if (message.kind === 'expect') {
      expected = message
      counter.announced = counter.withdrawn = 0
      return
    }
    tell({ kind: 'started', at_ms: now_ms() })
    socket.write(table![message.kind], () => tell({ kind: 'sent', at_ms: now_ms() }))
  })
}

process.on('disconnect', () => process.exit(0))
start()
