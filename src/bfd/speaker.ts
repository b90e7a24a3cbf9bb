/**
 * Many BFD sessions of one system over one transport: it finds the session that a packet is for (RFC 5880 section 6.3)
 * and refuses what belongs to none. A switch opens a session to each node that it watches; a node accepts sessions from
 * whoever watches it, one hop away. `service.ts` runs one in a thread of its own.
 */

import { equalBytes, formatAddress, type IpAddress } from '../base/address.ts'
import type { Clock, Timer } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { bfd, checkBfd } from '../wire/bfd.ts'
import { Fault } from '../wire/fault.ts'
import type { Authentication } from './authentication.ts'
import { echoDiscriminator } from './echo.ts'
import { type BfdDiagnosticName, BfdSession, type BfdStateName, type BfdTimers } from './session.ts'
import type { BfdSender, BfdTransport } from './transport.ts'

export interface BfdPeer {
  readonly local: IpAddress
  readonly remote: IpAddress
  /** Routers lie between (RFC 5883): another session than the one over the wire between the same two. */
  readonly isMultihop?: boolean | undefined
}

export interface BfdPeerOptions extends BfdTimers {
  readonly role: 'active' | 'passive'
  readonly authentication?: Authentication | undefined
  /** How often we would like to send echo packets; absent or 0, never. Not over several hops (RFC 5883 section 3). */
  readonly desiredEchoTx_us?: number | undefined
  /** How often we send the peer's back; absent or 0, never. */
  readonly requiredMinEchoRx_us?: number | undefined
}

export interface BfdNews {
  readonly peer: BfdPeer
  readonly state: BfdStateName
  readonly diagnostic: BfdDiagnosticName
  /** The peer has ended the session on purpose: what is asked of it is not broken (RFC 5882 section 3.2). */
  readonly isPeerDown: boolean
}

/** What those who watch others need of BFD: a speaker's, or that of one in another thread. */
export interface Bfd {
  /** A session to this peer. While it is open there is no other to it. */
  open(peer: BfdPeer, options: BfdPeerOptions): BfdHandle
  /** Ends all sessions. */
  stop(): void | Promise<void>
}

export interface BfdHandle {
  readonly state: BfdStateName
  /** Takes leave: the peer hears that it was on purpose. */
  close(): void
}

/** Last words of a speaker that stops: one of them may be lost. */
const LAST_WORDS = 3

/** What strangers may make us keep: a rack has a few switches. */
const ACCEPTED_MAX = 64

export interface BfdSpeakerParts {
  readonly transport: BfdTransport
  readonly clock: Clock
  readonly random: Random
  /** Sessions may come up. Otherwise they say AdminDown, which keeps the peers Down. */
  readonly enabled: boolean
  /** Every change of every session. */
  readonly news: (news: BfdNews) => void
  /** How a session is to be held that a stranger asks for; absent, there are none. */
  readonly accept?: BfdPeerOptions | undefined
}

interface HeldParts {
  readonly peer: BfdPeer
  readonly session: BfdSession
  readonly sender: BfdSender
  /** The peer's echo packets are sent back. */
  readonly returnsEcho: boolean
  /** Asked for by a stranger, and by nobody else. */
  readonly isAccepted: boolean
  readonly clock: Clock
  closed(held: Held): void
}

class Held implements BfdHandle {
  readonly peer: BfdPeer
  readonly session: BfdSession
  readonly sender: BfdSender
  readonly returnsEcho: boolean
  isAccepted: boolean
  /** It takes leave, and is nobody's any more. */
  isLeaving = false
  readonly #parts: HeldParts
  #leave: Timer | undefined

  constructor(parts: HeldParts) {
    this.peer = parts.peer
    this.session = parts.session
    this.sender = parts.sender
    this.returnsEcho = parts.returnsEcho
    this.isAccepted = parts.isAccepted
    this.#parts = parts
  }

  get state(): BfdStateName {
    return this.session.state
  }

  /** RFC 5880 section 6.8.16: the peer is told for as long as it would take to find out. */
  close(): void {
    if (this.isLeaving) return
    this.isLeaving = true
    const time_us = this.session.patience_us
    this.session.disable()
    if (time_us === 0) this.drop()
    else this.#leave = this.#parts.clock.after(time_us / 1000, () => this.drop())
  }

  /** Without a word. */
  drop(): void {
    this.#leave?.cancel()
    this.session.close()
    this.sender.close()
    this.#parts.closed(this)
  }
}

export class BfdSpeaker implements Bfd {
  /** Packets that were malformed, for no session, or not authentic. */
  discarded = 0
  readonly #parts: BfdSpeakerParts
  readonly #byPeer = new Map<string, Held>()
  readonly #byDiscriminator = new Map<number, Held>()
  #enabled: boolean
  #accepted = 0

  constructor(parts: BfdSpeakerParts) {
    this.#parts = parts
    this.#enabled = parts.enabled
    parts.transport.onPacket = (packet, from, to, isMultihop) => this.#receive(packet, from, to, isMultihop)
    parts.transport.onEcho = (packet, from, to, isFresh) => this.#receiveEcho(packet, from, to, isFresh)
  }

  /** The one that there is if the peer has asked for it before. */
  open(peer: BfdPeer, options: BfdPeerOptions): Held {
    const known = this.#byPeer.get(nameOf(peer))
    if (known?.isLeaving) known.drop()
    if (!known || known.isLeaving) return this.#hold(peer, options, false)
    if (known.isAccepted) this.#accepted--
    known.isAccepted = false
    return known
  }

  /** All sessions, those of strangers too. */
  sessions(): Held[] {
    return [...this.#byPeer.values()].filter(({ isLeaving }) => !isLeaving)
  }

  /** Ready, or not ready any more: lets all sessions come up, or tells all peers to look elsewhere. */
  setEnabled(enabled: boolean): void {
    this.#enabled = enabled
    for (const { session } of this.sessions()) {
      if (enabled) session.enable()
      else session.disable()
    }
  }

  /** Ends all sessions and the transport. */
  stop(): void {
    const all = [...this.#byPeer.values()]
    for (const { session } of all) session.disable()
    for (let words = 1; words < LAST_WORDS; words++) for (const { session } of all) session.repeat()
    for (const held of all) held.drop()
    this.#parts.transport.close()
  }

  #hold(of: BfdPeer, options: BfdPeerOptions, isAccepted: boolean): Held {
    // The addresses of a packet are only valid during the call that hands it over.
    const peer: BfdPeer = { ...of, local: of.local.slice(), remote: of.remote.slice() }
    const { transport, clock, random, news } = this.#parts
    let discriminator = random.u32()
    while (discriminator === 0 || this.#byDiscriminator.has(discriminator)) discriminator = random.u32()
    const sender = transport.sender(peer.local, peer.remote, peer.isMultihop)
    const events = {
      send: (packet: Uint8Array) => sender.send(packet),
      sendEcho: (packet: Uint8Array) => sender.sendEcho?.(packet),
      changed: (state: BfdStateName, diagnostic: BfdDiagnosticName) =>
        news({ peer, state, diagnostic, isPeerDown: session.isPeerDown }),
      drain: () => transport.drain(),
    }
    const session: BfdSession = new BfdSession(
      { ...options, discriminator, enabled: this.#enabled },
      events,
      clock,
      random,
    )
    const returnsEcho = (options.requiredMinEchoRx_us ?? 0) > 0
    const held = new Held({ peer, session, sender, returnsEcho, isAccepted, clock, closed: (one) => this.#forget(one) })
    this.#byPeer.set(nameOf(peer), held)
    this.#byDiscriminator.set(discriminator, held)
    if (isAccepted) this.#accepted++
    return held
  }

  #forget(held: Held): void {
    if (!this.#byDiscriminator.delete(held.session.discriminator)) return
    this.#byPeer.delete(nameOf(held.peer))
    if (held.isAccepted) this.#accepted--
  }

  #receive(packet: Uint8Array, from: IpAddress, to: IpAddress, isMultihop = false): void {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
    const sound = checkBfd(view, 0, packet.length) === Fault.none
    const peer = { local: to, remote: from, isMultihop }
    const held = sound ? this.#find(bfd.yourDiscriminator.get(view, 0), peer) : undefined
    if (!held?.session.receive(view, 0)) this.discarded++
  }

  // One of ours comes back; another's goes back, if it comes from a peer to whom that was promised.
  #receiveEcho(packet: Uint8Array, from: IpAddress, to: IpAddress, isFresh: boolean): void {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
    const own = this.#byDiscriminator.get(echoDiscriminator(packet))
    if (own?.session.receiveEcho(view, 0, packet.length)) return
    const asking = isFresh ? this.#byPeer.get(nameOf({ local: to, remote: from })) : undefined
    if (asking?.session.state === 'up' && asking.returnsEcho) asking.sender.returnEcho?.(packet)
    else this.discarded++
  }

  // RFC 5880 section 6.8.6: by our discriminator, and by the addresses from a peer that does not know it yet. Whoever
  // claims to know it must still be the peer.
  #find(discriminator: number, peer: BfdPeer): Held | undefined {
    if (discriminator === 0) return this.#byPeer.get(nameOf(peer)) ?? this.#accept(peer)
    const held = this.#byDiscriminator.get(discriminator)
    return held && isSame(held.peer, peer) ? held : undefined
  }

  #accept(peer: BfdPeer): Held | undefined {
    const options = this.#parts.accept
    if (!options || peer.isMultihop) return undefined
    if (this.#accepted === ACCEPTED_MAX) {
      const idle = this.sessions().find(({ isAccepted, session }) => isAccepted && session.state !== 'up')
      if (!idle) return undefined
      idle.drop()
    }
    return this.#hold(peer, options, true)
  }
}

function nameOf({ local, remote, isMultihop }: BfdPeer): string {
  return `${formatAddress(local)} ${formatAddress(remote)}${isMultihop ? ' multihop' : ''}`
}

function isSame(one: BfdPeer, other: BfdPeer): boolean {
  if ((one.isMultihop ?? false) !== (other.isMultihop ?? false)) return false
  return equalBytes(one.local, other.local) && equalBytes(one.remote, other.remote)
}
