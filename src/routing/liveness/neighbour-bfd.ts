/**
 * BFD beside BGP (RFC 5882 section 10.2): a session for each neighbour that the site file wants one for, as long as the
 * neighbour is held here. When it goes down the neighbour's BGP session ends at once. Not when the peer has ended it on
 * purpose, which says nothing of the path; and a neighbour that never answered BFD is no failure of it either.
 */

import { isDeepStrictEqual } from 'node:util'
import { equalBytes, formatAddress, type IpAddress } from '../../base/address.ts'
import type { BfdStateName } from '../../bfd/session.ts'
import type { Bfd, BfdHandle, BfdNews } from '../../bfd/speaker.ts'
import type { BfdSettings } from '../../config/probe.ts'
import { bfdOptionsOf } from './bfd-options.ts'

export interface WatchedNeighbour {
  /** Of the site file. */
  readonly name: string
  readonly settings: BfdSettings
  /** Both as the kernel knows them. */
  readonly local: IpAddress
  readonly remote: IpAddress
}

export interface WatchNews {
  readonly name: string
  /** `left`: it is not watched here any more. */
  readonly state: BfdStateName | 'left'
  /** Why it is down; empty when it is not. */
  readonly reason: string
  /** The peer has ended it on purpose. */
  readonly isPeerDown?: boolean
  /** The path worked and does not any more. */
  readonly isFailure?: boolean
}

export interface NeighbourBfdParts {
  bfd(news: (news: BfdNews) => void): Bfd
  /** The path to the neighbour at this address is broken. */
  failed(remote: IpAddress, reason: string): void
  told(news: WatchNews): void
}

/** RFC 5880 section 4.1, in words. */
const REASONS: Readonly<Record<BfdNews['diagnostic'], string>> = {
  none: 'no packet has come yet',
  detectionTimeExpired: 'nothing came within the detection time',
  echoFailed: 'echo packets do not come back',
  neighbourSignalledDown: 'the peer says that it hears nothing',
  forwardingPlaneReset: 'the forwarding plane was reset',
  pathDown: 'the path is down',
  concatenatedPathDown: 'a path behind the peer is down',
  administrativelyDown: 'it was ended here',
  reverseConcatenatedPathDown: 'a path behind the peer is down on the way back',
}

interface Watched {
  readonly neighbour: WatchedNeighbour
  readonly handle: BfdHandle
  wasUp: boolean
}

export class NeighbourBfd {
  readonly #parts: NeighbourBfdParts
  /** Once somebody is watched. */
  #bfd: Bfd | undefined
  /** By the neighbour's address. */
  readonly #watched = new Map<string, Watched>()

  constructor(parts: NeighbourBfdParts) {
    this.#parts = parts
  }

  /** From now on, unless it is already: between other addresses or with other settings it begins anew. */
  watch(neighbour: WatchedNeighbour): void {
    const { local, remote, settings } = neighbour
    const key = formatAddress(remote)
    const known = this.#watched.get(key)
    if (known && isDeepStrictEqual(known.neighbour, neighbour)) return
    if (known) this.leave(remote)
    this.#bfd ??= this.#parts.bfd((news) => this.#heard(news))
    const handle = this.#bfd.open({ local, remote, isMultihop: settings.multihop }, bfdOptionsOf(settings))
    this.#watched.set(key, { neighbour, handle, wasUp: false })
    this.#parts.told({ name: neighbour.name, state: handle.state, reason: REASONS.none })
  }

  leave(remote: IpAddress): void {
    const key = formatAddress(remote)
    const watched = this.#watched.get(key)
    if (!watched) return
    this.#watched.delete(key)
    watched.handle.close()
    this.#parts.told({ name: watched.neighbour.name, state: 'left', reason: '' })
  }

  /** For people; undefined when it is not watched. */
  stateOf(remote: IpAddress): BfdStateName | undefined {
    return this.#watched.get(formatAddress(remote))?.handle.state
  }

  async close(): Promise<void> {
    await this.#bfd?.stop()
  }

  #heard({ peer, state, diagnostic, isPeerDown }: BfdNews): void {
    const watched = this.#watched.get(formatAddress(peer.remote))
    // Last words of one that has begun anew from another address are not its.
    if (!watched || !equalBytes(watched.neighbour.local, peer.local)) return
    const { wasUp, neighbour } = watched
    watched.wasUp = state === 'up'
    const reason = isPeerDown ? 'the peer has ended it' : REASONS[diagnostic]
    const isEnded = isPeerDown && state !== 'up'
    const isFailure = wasUp && state === 'down' && !isPeerDown
    this.#parts.told({
      name: neighbour.name,
      state,
      reason: state === 'up' ? '' : reason,
      ...(isEnded && { isPeerDown }),
      ...(isFailure && { isFailure }),
    })
    if (isFailure) this.#parts.failed(peer.remote, reason)
  }
}
