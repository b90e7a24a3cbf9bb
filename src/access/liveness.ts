/**
 * Which nodes are alive: those that BFD has up and that the underlay leads to. Either says no faster than any timer of
 * routing could: the link within 10 ms of its carrier's loss, BFD within its detection time. Where a supervisor says
 * over the bus that a node's process has ended, that is believed at once (kill -9 takes no carrier). A node that is
 * watched for several VIPs is watched once.
 */

import { formatAddress, type IpAddress } from '../base/address.ts'
import type { Logger } from '../base/log.ts'
import { type BfdStateName, defaultBfdTimers } from '../bfd/session.ts'
import type { Bfd, BfdHandle, BfdNews, BfdPeer } from '../bfd/speaker.ts'
import type { Underlay } from '../dataplane/ways.ts'

interface Watched {
  readonly peer: BfdPeer | undefined
  session: BfdHandle | undefined
  readonly link: { close(): void }
  watchers: number
}

export interface LivenessParts {
  readonly bfd: Bfd
  readonly underlay: Underlay
  /** The address of ours that BFD with the node comes from. */
  ownFor(node: IpAddress): IpAddress | undefined
  readonly log: Logger
  /** A node may be alive or dead now: ask. */
  changed(): void
}

export class Liveness {
  readonly #parts: LivenessParts
  readonly #watched = new Map<string, Watched>()

  constructor(parts: LivenessParts) {
    this.#parts = parts
  }

  /** As often as it is watched it must be left. */
  watch(address: IpAddress): void {
    const key = formatAddress(address)
    const known = this.#watched.get(key)
    if (known) {
      known.watchers++
      return
    }
    const { underlay, ownFor, log, changed } = this.#parts
    const local = ownFor(address)
    const peer = local && { local, remote: address }
    if (!peer) log.error({ node: key }, 'a node cannot be watched: this switch has no address of its kind')
    const link = underlay.watch(address, changed)
    this.#watched.set(key, { peer, session: this.#open(peer), link, watchers: 1 })
  }

  leave(address: IpAddress): void {
    const key = formatAddress(address)
    const watched = this.#watched.get(key)
    if (!watched || --watched.watchers > 0) return
    this.#watched.delete(key)
    watched.link.close()
    watched.session?.close()
  }

  isAlive(address: IpAddress): boolean {
    const watched = this.#watched.get(formatAddress(address))
    return watched?.session?.state === 'up' && this.#parts.underlay.adjacencies(address).length > 0
  }

  /** Its process has ended: the session starts over, and the node is dead until it answers again. */
  died(address: IpAddress): void {
    const watched = this.#watched.get(formatAddress(address))
    if (!watched) return
    watched.session?.close()
    watched.session = this.#open(watched.peer)
    this.#parts.changed()
  }

  #open(peer: BfdPeer | undefined): BfdHandle | undefined {
    return peer && this.#parts.bfd.open(peer, { ...defaultBfdTimers, role: 'active' })
  }

  /** What BFD says of a node, for people. */
  stateOf(address: IpAddress): BfdStateName | 'unwatched' {
    return this.#watched.get(formatAddress(address))?.session?.state ?? 'unwatched'
  }

  /** From BFD. */
  heard({ peer, state, diagnostic }: BfdNews): void {
    const node = formatAddress(peer.remote)
    if (state === 'up') this.#parts.log.info({ node }, 'a node is up')
    else if (state === 'down') this.#parts.log.warn({ node, diagnostic }, 'a node is down')
    this.#parts.changed()
  }
}
