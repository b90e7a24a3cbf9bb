/**
 * Sessions that are older than the history that is kept: what they told before it begins went with old segments, and holds
 * perhaps still. Of a prefix that has not been mentioned since, nothing is known, which is not the same as no route.
 */

import { FAMILY, familyBit } from '../../wire/bgp/family.ts'
import type { Agreed } from './note.ts'
import type { HistoryPeer } from './prefix-history.ts'

const FAMILIES4 = familyBit(FAMILY.ipv4Unicast) | familyBit(FAMILY.vpnv4)

export interface OlderSession {
  readonly peer: HistoryPeer
  /** Before this, what it told is not known. */
  readonly before_us: number
  /** The prefix was mentioned since, or the session is over: what holds is known. */
  isSettled: boolean
}

export class OlderSessions {
  /** By peer; those that are over among them. */
  readonly #older = new Map<string, OlderSession>()
  readonly #up = new Set<string>()
  readonly #is4: boolean
  /** Were up when the segment began that is being read, and since when. */
  #heads: { readonly peer: HistoryPeer; readonly up_us: number; readonly agreed: Agreed | undefined }[] = []

  /** Of a prefix of IPv4, or of IPv6. */
  constructor(is4: boolean) {
    this.#is4 = is4
  }

  get list(): readonly OlderSession[] {
    return [...this.#older.values()]
  }

  segmentBegins(): void {
    this.#heads = []
  }

  wasUp(peer: HistoryPeer, up_us: number, agreed: Agreed | undefined): void {
    this.#heads.push({ peer, up_us, agreed })
  }

  /** The first of the segment. */
  firstRecord(at_us: number): void {
    for (const { peer, up_us, agreed } of this.#heads) {
      const key = keyOf(peer)
      // How it came up is told in this segment, or was in one before it.
      if (up_us >= at_us || this.#up.has(key)) continue
      this.#up.add(key)
      if (agreed && !this.#concerns(agreed.families)) continue
      this.#older.set(key, { peer, before_us: at_us, isSettled: false })
    }
    this.#heads = []
  }

  up(peer: HistoryPeer): void {
    this.#up.add(keyOf(peer))
  }

  /** Where its routes are kept over the end, what is not known of them may hold still. */
  down(peer: HistoryPeer, isKept: boolean): void {
    this.#up.delete(keyOf(peer))
    if (!isKept) this.#settle(peer)
  }

  /** All routes of the family. */
  toldAll(peer: HistoryPeer, family: number): void {
    if (family === (this.#is4 ? FAMILY.ipv4Unicast : FAMILY.ipv6Unicast)) this.#settle(peer)
  }

  /** The speaker: no session is up. */
  started(): void {
    this.#up.clear()
    for (const session of this.#older.values()) session.isSettled = true
  }

  /** The prefix. Where one path is known, of several that are told apart, others may have been there before. */
  mentioned(peer: HistoryPeer, isOneOfMany: boolean): void {
    if (!isOneOfMany) this.#settle(peer)
  }

  #settle(peer: HistoryPeer): void {
    const session = this.#older.get(keyOf(peer))
    if (session) session.isSettled = true
  }

  #concerns(families: number): boolean {
    return (families & (this.#is4 ? FAMILIES4 : ~FAMILIES4)) !== 0
  }
}

export function keyOf({ name, remote }: HistoryPeer): string {
  return `${name} ${remote}`
}
