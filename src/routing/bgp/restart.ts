/**
 * The first while of a speaker that may have been here before (RFC 4724 section 4.1): peers keep what it told them in its
 * life before until it says that it has told them everything (End-of-RIB). It can say so once it knows itself, which is when
 * those that told it things before have told it everything again, and at the latest after a time.
 *
 * What it learns meanwhile is told as it comes. VRFs that exchange routes wait for the same peers: they are one scope.
 */

import type { Clock, Timer } from '../../base/clock.ts'
import { familyBit } from '../../wire/bgp/family.ts'
import type { Expected, SessionUp } from './messages.ts'

/** RFC 4724: the Selection_Deferral_Timer. Peers that come back do so within the restart time. */
const DEFERRAL_ms = 120_000

export class Restart {
  readonly #clock: Clock
  readonly #scopeOf: (vrf: number) => number
  readonly #wake: () => void
  /** By the names of peers that have not told everything: their scopes. */
  readonly #awaited = new Map<string, number>()
  /** By scope: how many of them there are, and what is to be done when there are none any more. */
  readonly #left = new Map<number, number>()
  readonly #then = new Map<number, Set<() => void>>()
  /** By peer: families that it has told everything of, in its session. */
  readonly #ended = new Map<string, number>()
  /** Peers that are not waited for any more. */
  readonly #done = new Set<string>()
  #timer: Timer | undefined
  #isOver = false

  /** `wake`: there is something to do that no message is the cause of. */
  constructor(clock: Clock, scopeOf: (vrf: number) => number, wake: () => void) {
    this.#clock = clock
    this.#scopeOf = scopeOf
    this.#wake = wake
  }

  /** Whose sessions are to come up here. Before the first time nobody is waited for, and from then on for so long. */
  expect({ peers }: Expected): void {
    if (this.#isOver) return
    this.#timer ??= this.#clock.after(DEFERRAL_ms, () => this.#giveUp())
    const names = new Set(peers.map(({ peer }) => peer))
    for (const { peer, vrf } of peers) if (!this.#done.has(peer)) this.#wait(peer, this.#scopeOf(vrf))
    for (const peer of this.#awaited.keys()) if (!names.has(peer)) this.#finish(peer)
  }

  /** True when the VRF's routes are all here, as far as that can be known; else `then` is called once they are. */
  isWhole(vrf: number, then: () => void): boolean {
    const scope = this.#scopeOf(vrf)
    if (!this.#left.has(scope)) return true
    this.#then.set(scope, (this.#then.get(scope) ?? new Set()).add(then))
    return false
  }

  /** A peer that says nothing of restarts may never say that it is through, and one that restarts itself waits for us. */
  up(up: SessionUp): void {
    this.#ended.delete(up.peer)
    if (up.negotiated.gracefulRestart?.restarting || familiesOf(up) === 0) this.#finish(up.peer)
  }

  endOfRib(up: SessionUp, family: number): void {
    if (!this.#awaited.has(up.peer)) return
    const ended = (this.#ended.get(up.peer) ?? 0) | familyBit(family)
    this.#ended.set(up.peer, ended)
    if ((familiesOf(up) & ~ended) === 0) this.#finish(up.peer)
  }

  #wait(peer: string, scope: number): void {
    if (this.#awaited.has(peer)) return
    this.#awaited.set(peer, scope)
    this.#left.set(scope, (this.#left.get(scope) ?? 0) + 1)
  }

  #finish(peer: string): void {
    this.#done.add(peer)
    const scope = this.#awaited.get(peer)
    if (scope === undefined) return
    this.#awaited.delete(peer)
    this.#ended.delete(peer)
    const left = this.#left.get(scope)! - 1
    if (left > 0) {
      this.#left.set(scope, left)
      return
    }
    this.#left.delete(scope)
    for (const then of this.#then.get(scope) ?? []) then()
    this.#then.delete(scope)
  }

  #giveUp(): void {
    this.#isOver = true
    for (const peer of [...this.#awaited.keys()]) this.#finish(peer)
    this.#wake()
  }
}

/** Of those that were agreed on, the ones whose end the peer says. */
function familiesOf({ negotiated: { families, gracefulRestart } }: SessionUp): number {
  return families & (gracefulRestart?.families ?? 0)
}
