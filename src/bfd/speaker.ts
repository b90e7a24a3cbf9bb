/**
 * Many BFD sessions of one system over one transport: it finds the session that a packet is for (RFC 5880 section 6.3)
 * and refuses what belongs to none. A switch opens a session to each node that it watches; a node accepts sessions from
 * whoever watches it, one hop away.
 */

import { formatAddress, type IpAddress } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { bfd, checkBfd } from '../wire/bfd.ts'
import { Fault } from '../wire/fault.ts'
import type { Authentication } from './authentication.ts'
import { type BfdDiagnosticName, BfdSession, type BfdStateName, type BfdTimers } from './session.ts'
import type { BfdTransport } from './transport.ts'

export interface BfdPeer {
  readonly local: IpAddress
  readonly remote: IpAddress
}

export interface BfdPeerOptions extends BfdTimers {
  readonly role: 'active' | 'passive'
  readonly enabled: boolean
  readonly authentication?: Authentication | undefined
}

export interface BfdNews {
  readonly peer: BfdPeer
  readonly state: BfdStateName
  readonly diagnostic: BfdDiagnosticName
}

/** What strangers may make us keep: a rack has a few switches. */
const ACCEPTED_MAX = 64

export interface BfdSpeakerParts {
  readonly transport: BfdTransport
  readonly clock: Clock
  readonly random: Random
  /** Every change of every session. */
  readonly news: (news: BfdNews) => void
  /** How a session is to be held that a stranger asks for; absent, there are none. */
  readonly accept?: (peer: BfdPeer) => BfdPeerOptions | undefined
}

interface Held {
  readonly peer: BfdPeer
  readonly session: BfdSession
  readonly accepted: boolean
}

export class BfdSpeaker {
  /** Packets that were malformed, for no session, or not authentic. */
  discarded = 0
  readonly #parts: BfdSpeakerParts
  readonly #byPeer = new Map<string, Held>()
  readonly #discriminators = new Set<number>()
  #accepted = 0

  constructor(parts: BfdSpeakerParts) {
    this.#parts = parts
    parts.transport.onPacket = (packet, from, to) => this.#receive(packet, from, to)
  }

  /** The session to this peer, opened if it is not yet. */
  open(peer: BfdPeer, options: BfdPeerOptions): BfdSession {
    return (this.#byPeer.get(nameOf(peer)) ?? this.#hold(peer, options, false)).session
  }

  /** Takes leave: the peer hears that it was on purpose. */
  close(peer: BfdPeer): void {
    const held = this.#byPeer.get(nameOf(peer))
    if (!held) return
    held.session.disable()
    this.#drop(held)
  }

  /** All sessions, those of strangers too. */
  sessions(): { peer: BfdPeer; session: BfdSession }[] {
    return [...this.#byPeer.values()].map(({ peer, session }) => ({ peer, session }))
  }

  /** Ready, or not ready any more: lets all sessions come up, or tells all peers to look elsewhere. */
  setEnabled(enabled: boolean): void {
    for (const { session } of this.#byPeer.values()) {
      if (enabled) session.enable()
      else session.disable()
    }
  }

  /** Ends all sessions and the transport. */
  stop(): void {
    for (const { peer } of [...this.#byPeer.values()]) this.close(peer)
    this.#parts.transport.close()
  }

  #hold(peer: BfdPeer, options: BfdPeerOptions, accepted: boolean): Held {
    const { transport, clock, random, news } = this.#parts
    let discriminator = random.u32()
    while (discriminator === 0 || this.#discriminators.has(discriminator)) discriminator = random.u32()
    const events = {
      send: (packet: Uint8Array) => transport.send(packet, peer.local, peer.remote),
      changed: (state: BfdStateName, diagnostic: BfdDiagnosticName) => news({ peer, state, diagnostic }),
      drain: () => transport.drain(),
    }
    const held: Held = { peer, session: new BfdSession({ ...options, discriminator }, events, clock, random), accepted }
    this.#byPeer.set(nameOf(peer), held)
    this.#discriminators.add(discriminator)
    if (accepted) this.#accepted++
    return held
  }
  #drop(held: Held): void {
    held.session.close()
    this.#byPeer.delete(nameOf(held.peer))
    this.#discriminators.delete(held.session.discriminator)
    this.#parts.transport.release(held.peer.local, held.peer.remote)
    if (held.accepted) this.#accepted--
  }

  #receive(packet: Uint8Array, from: IpAddress, to: IpAddress): void {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength)
    const sound = checkBfd(view, 0, packet.length) === Fault.none
    const held = sound ? this.#find(bfd.yourDiscriminator.get(view, 0), { local: to, remote: from }) : undefined
    if (!held?.session.receive(view, 0)) this.discarded++
  }

  // RFC 5880 section 6.8.6: by our discriminator, and by the addresses from a peer that does not know it yet. Whoever
  // claims to know it must still be the peer.
  #find(discriminator: number, peer: BfdPeer): Held | undefined {
    const held = this.#byPeer.get(nameOf(peer))
    if (discriminator !== 0) return held?.session.discriminator === discriminator ? held : undefined
    return held ?? this.#accept(peer)
  }

  #accept(peer: BfdPeer): Held | undefined {
    const options = this.#parts.accept?.(peer)
    if (!options) return undefined
    if (this.#accepted === ACCEPTED_MAX) {
      const idle = [...this.#byPeer.values()].find(({ accepted, session }) => accepted && session.state !== 'up')
      if (!idle) return undefined
      this.#drop(idle)
    }
    return this.#hold(peer, options, true)
  }
}

function nameOf({ local, remote }: BfdPeer): string {
  return `${formatAddress(local)} ${formatAddress(remote)}`
}
