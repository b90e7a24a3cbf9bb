/**
 * The packet generator, a process of its own that has both ends: an AF_XDP socket that sends prepared frames on an interface of
 * the sender's namespace, and the counting receiver on one of the receiver's. It does one thing at a time, as told by its
 * parent over the process channel.
 *
 * Two kinds of load. With a window, no more packets are on their way than that, so the device is always busy, nothing is lost
 * and the device's own speed is what is measured; how long the sender had to wait says who was the slower. At a rate, packets
 * leave by the clock, whatever becomes of those before.
 */

import { assert } from '../../src/base/assert.ts'
import { systemClock } from '../../src/base/clock.ts'
import { whileBusy } from '../../src/dataplane/while-busy.ts'
import { interfaceIndex } from '../../src/linux/libc.ts'
import { countersOf } from '../../src/linux/link.ts'
import { withNamespace } from '../../src/linux/namespace.ts'
import { Netlink } from '../../src/linux/netlink.ts'
import { PacketSocket } from '../../src/linux/socket.ts'
import { pinTo, setScheduling } from '../../src/linux/thread.ts'
import { Umem, XdpSocket } from '../../src/linux/xdp-socket.ts'
import { answerParent } from './child.ts'
import { arrived, type Flow, flowOf, flowsOf, type Rare, rareFrame, SENT_AT, type Work, wrong } from './frames.ts'
import { busySince_s, processorTime } from './processor-time.ts'
import { type Latency, Receiver } from './receiver.ts'
import type { Size, Tunnel } from './site.ts'

/** Frames of one kick: enough that the call costs little, few enough that latency is the device's and not the burst's. */
const BURST = 64
const RING = 1024
const CHUNK_BYTES = 2048
const CACHE_LINE_BYTES = 64

/** A sender that waits sleeps about so long, with the kernel's slack of 50 us. The window holds more than is sent meanwhile. */
const NAP_ms = 0.05

/** Nothing has arrived for so long: what is on its way is lost. */
const LOST_AFTER_ms = 50

/** A sender that is so far behind its rate leaves packets out: to catch up would be a burst, which no steady stream has. */
const BEHIND_MAX = 128

/** What does not arrive for so long will not: a worker may have been off its core for most of it. */
const SETTLE_ms = 300
const SETTLE_LOOK_ms = 5

/** Between the last frame of a round and the look at what arrived. */
const VERIFY_PAUSE_ms = 50

export interface Ends {
  readonly senderNamespace: string
  readonly receiverNamespace: string
  readonly core: number
}

export type Load =
  | { readonly kind: 'window'; readonly packets: number }
  /** `calm`: sleeps between packets, which then come in small bursts; otherwise it spins and each comes on time. */
  | { readonly kind: 'rate'; readonly packets_per_s: number; readonly calm: boolean }

export interface Traffic {
  readonly from: string
  readonly to: string
  readonly size: Size
  readonly tunnel: Tunnel
  readonly bytes: number
  readonly flows: number
  readonly work: Work
}

export type Order =
  | { readonly kind: 'open'; readonly ends: Ends }
  /** Sends every flow's frame once and looks at what arrives. */
  | { readonly kind: 'verify'; readonly traffic: Traffic; readonly within_ms: number }
  | {
      readonly kind: 'run'
      readonly traffic: Traffic
      readonly load: Load
      readonly warmUp_s: number
      readonly seconds: number
      /** One such frame among the others, this long after the warm-up. */
      readonly rare?: { readonly kind: Rare; readonly after_s: number }
    }

export interface Verified {
  readonly right: number
  readonly flows: number
  readonly firstWrong: string | undefined
}

export interface Run {
  readonly seconds: number
  /** Of the measured time, without the warm-up. */
  readonly sent: number
  readonly received: number
  /** Part of the time that the sender had nothing to do because the window was full, 0 to 1. */
  readonly waited: number
  /** Of the whole machine. */
  readonly busy_s: number
  readonly latency: Latency | undefined
  /** From the first packet of the warm-up to the last one's arrival; `dropped` by the wire, which was full. */
  readonly total: { readonly sent: number; readonly dropped: number; readonly received: number }
}

class Sender {
  readonly #socket: XdpSocket
  readonly #view: DataView
  readonly #addresses: Uint32Array
  readonly #lengths: Uint32Array
  readonly #options: Uint32Array
  readonly #completed = new Uint32Array(RING)
  readonly #flows: number
  /** From performance.now() to the kernel's monotonic clock, in nanoseconds. */
  readonly #clockOffset_ns: number
  #next = 0
  sent = 0

  /** In the calling thread's namespace. */
  constructor(interfaceName: string, frames: readonly Uint8Array[], rare?: Uint8Array) {
    const all = rare ? [...frames, rare] : frames
    this.#flows = frames.length
    this.#addresses = Uint32Array.from(all, ({ length }, i) => i * CHUNK_BYTES + stagger(i, length))
    this.#lengths = Uint32Array.from(all, ({ length }) => length)
    this.#options = new Uint32Array(all.length)
    const umem = new Umem(new SharedArrayBuffer((all.length + 1) * CHUNK_BYTES + 4096), { chunkBytes: CHUNK_BYTES })
    const bytes = new Uint8Array(umem.memory, umem.base)
    all.forEach((frame, i) => void bytes.set(frame, this.#addresses[i]))
    this.#view = new DataView(umem.memory, umem.base)
    const rings = { receiveSize: RING, sendSize: RING, fillSize: RING, completionSize: RING }
    this.#socket = XdpSocket.open({
      umem,
      interfaceIndex: interfaceIndex(interfaceName),
      queue: 0,
      copy: true,
      ...rings,
    })
    this.#clockOffset_ns = clockOffset_ns()
  }

  /** The next `count` flows, at most a burst, stamped with the time. Returns when the kernel has taken them. */
  send(count: number, now_ms: number): void {
    const batch = Math.min(count, BURST, this.#flows - this.#next)
    this.#sendFrom(this.#next, batch, now_ms)
    this.#next = this.#next + batch < this.#flows ? this.#next + batch : 0
    this.sent += batch
  }

  sendRare(now_ms: number, arrives: boolean): void {
    this.#sendFrom(this.#flows, 1, now_ms)
    if (arrives) this.sent++
  }

  #sendFrom(first: number, count: number, now_ms: number): void {
    const now = (now_ms * 1e6 + this.#clockOffset_ns) % 2 ** 32
    for (let i = first; i < first + count; i++) this.#view.setUint32(this.#addresses[i]! + SENT_AT.vxlan, now, true)
    let placed = this.#socket.send(this.#addresses, this.#lengths, this.#options, first, count)
    // In copy mode a frame is the kernel's for the length of the call only, so it may be stamped again afterwards.
    while (placed < count || this.#socket.tx.pending() > 0) {
      this.#socket.kick()
      this.#socket.complete(this.#completed, 0, RING)
      placed += this.#socket.send(this.#addresses, this.#lengths, this.#options, first + placed, count - placed)
    }
    this.#socket.complete(this.#completed, 0, RING)
  }

  close(): void {
    this.#socket.close()
  }
}

/** Where in its chunk a frame begins: if all began alike, they would share a few sets of the caches and miss the rest. */
function stagger(place: number, bytes: number): number {
  const places = Math.floor((CHUNK_BYTES - bytes) / CACHE_LINE_BYTES)
  return (place % places) * CACHE_LINE_BYTES
}

/** Of many readings that with the least time between the two clocks. */
function clockOffset_ns(): number {
  let offset = Number.NEGATIVE_INFINITY
  for (let i = 0; i < 1000; i++) offset = Math.max(offset, Number(process.hrtime.bigint()) - performance.now() * 1e6)
  return offset
}

const sleeper = new Int32Array(new SharedArrayBuffer(4))

function sleep(ms: number): void {
  Atomics.wait(sleeper, 0, 0, ms)
}

/** Sends by a load's rule; `turn` is one look at the clock and what is to be done then. */
interface Pacer {
  turn(now_ms: number): void
  /** How long it has waited for the device. */
  readonly waited_ms: number
}

class WindowPacer implements Pacer {
  readonly #sender: Sender
  readonly #receiver: Receiver
  readonly #window: number
  /** Sent before the window began, less what had arrived; and what was given up since. */
  #gone: number
  #seen = 0
  #seen_ms = 0
  waited_ms = 0

  constructor(sender: Sender, receiver: Receiver, window: number) {
    this.#sender = sender
    this.#receiver = receiver
    this.#window = window
    this.#gone = this.#behind()
  }

  #behind(): number {
    return (this.#sender.sent - this.#receiver.packets32) | 0
  }

  turn(now_ms: number): void {
    const room = this.#window - this.#behind() + this.#gone
    if (room >= BURST) {
      this.#sender.send(BURST, now_ms)
      return
    }
    const seen = this.#receiver.packets32
    if (seen !== this.#seen) {
      this.#seen = seen
      this.#seen_ms = now_ms
    } else if (now_ms - this.#seen_ms > LOST_AFTER_ms) {
      this.#gone = this.#behind()
      this.#seen_ms = now_ms
    }
    sleep(NAP_ms)
    this.waited_ms += performance.now() - now_ms
  }
}

class RatePacer implements Pacer {
  readonly #sender: Sender
  readonly #perMs: number
  readonly #calm: boolean
  readonly waited_ms = 0
  #from_ms: number
  #from: number

  constructor(sender: Sender, packets_per_s: number, calm: boolean) {
    this.#sender = sender
    this.#perMs = packets_per_s / 1000
    this.#calm = calm
    this.#from_ms = performance.now()
    this.#from = sender.sent
  }

  turn(now_ms: number): void {
    const due = Math.floor((now_ms - this.#from_ms) * this.#perMs) - (this.#sender.sent - this.#from)
    if (due > BEHIND_MAX) {
      this.#from_ms = now_ms
      this.#from = this.#sender.sent
    } else if (due > 0) this.#sender.send(due, now_ms)
    else if (this.#calm) sleep(NAP_ms)
  }
}

class Generator {
  readonly #ends: Ends

  constructor(ends: Ends) {
    this.#ends = ends
    pinTo([ends.core])
  }

  async verify(traffic: Traffic, within_ms: number): Promise<Verified> {
    const { from, to, work } = traffic
    const flows = flowsIn(traffic)
    const sender = await this.#sender(from, flows)
    const socket = withNamespace(this.#ends.receiverNamespace, () => {
      return new PacketSocket(to, { receiveBufferBytes: 16 << 20 })
    })
    const right = new Set<number>()
    let firstWrong: string | undefined
    const until_ms = performance.now() + within_ms
    // A round may be for nothing: the first packets have neighbours resolved.
    while (right.size < flows.length && firstWrong === undefined && performance.now() < until_ms) {
      for (let sent = 0; sent < flows.length; sent += BURST) {
        sender.send(BURST, performance.now())
        sleep(1)
      }
      sleep(VERIFY_PAUSE_ms)
      for (let found = socket.receive(); found; found = socket.receive()) {
        const packet = arrived(found.bytes)
        const flow = packet ? flows[flowOf(packet)] : undefined
        if (!packet || !flow) continue
        const why = wrong(flow, packet, work)
        if (why === undefined) right.add(flowOf(packet))
        else firstWrong ??= `a packet to ${flow.destination} of tenant ${flow.tenant} arrived ${why}`
      }
    }
    socket.close()
    sender.close()
    return { right: right.size, flows: flows.length, firstWrong }
  }

  async run({ traffic, load, warmUp_s, seconds, rare }: Extract<Order, { kind: 'run' }>): Promise<Run> {
    const { from, to, tunnel, work } = traffic
    const sender = await this.#sender(from, flowsIn(traffic), rare && rareFrame(rare.kind))
    const droppedBefore = this.#dropped(from)
    const sentAt = SENT_AT[work.kind === 'pass' ? 'vxlan' : tunnel]
    const receiver = withNamespace(this.#ends.receiverNamespace, () => new Receiver(interfaceIndex(to), sentAt))
    // Beside others of the node that want its core, a sender that keeps time must come first.
    const calm = load.kind === 'rate' && load.calm
    if (calm) setScheduling('round-robin')
    try {
      const pacer =
        load.kind === 'window'
          ? new WindowPacer(sender, receiver, load.packets)
          : new RatePacer(sender, load.packets_per_s, calm)
      sendFor(pacer, warmUp_s)
      const start = { sent: sender.sent, waited_ms: pacer.waited_ms, snapshot: receiver.snapshot() }
      receiver.forgetLongest()
      const before = processorTime()
      if (rare) {
        sendFor(pacer, rare.after_s)
        sender.sendRare(performance.now(), rare.kind === 'ipv6')
      }
      sendFor(pacer, seconds - (rare?.after_s ?? 0))
      const took_ms = performance.now() - before.at_ms
      const busy_s = busySince_s(before)
      const received = receiver.snapshot().packets - start.snapshot.packets
      const sent = sender.sent - start.sent
      settle(sender, receiver)
      return {
        seconds: took_ms / 1000,
        sent,
        received,
        waited: (pacer.waited_ms - start.waited_ms) / took_ms,
        busy_s,
        latency: receiver.latencySince(start.snapshot),
        total: {
          sent: sender.sent,
          dropped: this.#dropped(from) - droppedBefore,
          received: receiver.snapshot().packets,
        },
      }
    } finally {
      if (calm) setScheduling('other')
      receiver.close()
      sender.close()
    }
  }

  /** Frames that the interface could not pass on since it was made. */
  #dropped(interfaceName: string): number {
    return withNamespace(this.#ends.senderNamespace, () => {
      const netlink = new Netlink()
      const counters = countersOf(netlink, interfaceIndex(interfaceName))
      netlink.close()
      return counters?.sendDropped ?? 0
    })
  }

  #sender(from: string, flows: readonly Flow[], rare?: Uint8Array): Promise<Sender> {
    const frames = flows.map(({ frame }) => frame)
    const open = (): Sender => withNamespace(this.#ends.senderNamespace, () => new Sender(from, frames, rare))
    return whileBusy(systemClock, open) // the socket before may still be on its way out
  }
}

/** Waits until all has arrived, or nothing more does. */
function settle(sender: Sender, receiver: Receiver): void {
  let before = receiver.packets32
  for (let still_ms = 0; still_ms < SETTLE_ms && before !== sender.sent; still_ms += SETTLE_LOOK_ms) {
    sleep(SETTLE_LOOK_ms)
    const now = receiver.packets32
    if (now !== before) still_ms = 0
    before = now
  }
}

function flowsIn({ size, tunnel, bytes, flows }: Traffic): Flow[] {
  return flowsOf(size, tunnel, bytes, flows)
}

function sendFor(pacer: Pacer, seconds: number): void {
  let now_ms = performance.now()
  for (const until_ms = now_ms + seconds * 1000; now_ms < until_ms; now_ms = performance.now()) pacer.turn(now_ms)
}

let generator: Generator | undefined

function obey(order: Order): Promise<Verified | Run> | undefined {
  if (order.kind === 'open') {
    generator = new Generator(order.ends)
    return undefined
  }
  assert(generator !== undefined, 'a generator has its ends before it is to send')
  return order.kind === 'verify' ? generator.verify(order.traffic, order.within_ms) : generator.run(order)
}

if (import.meta.main) answerParent(obey)
