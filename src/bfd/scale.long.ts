/**
 * BFD at the size that it is meant for: ten thousand sessions at 3 x 300 ms between two namespaces, both ends in threads of
 * this process, and then a few at 3 x 10 ms. All come up, none goes down by itself, and what is cut is noticed in its
 * detection time. What it costs is printed.
 *
 * A hundred addresses on each side make ten thousand pairs.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatAddress, parseAddress } from '../base/address.ts'
import { raiseDescriptorLimit } from '../linux/descriptor-limit.ts'
import { withNamespace } from '../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import { BfdService } from './service.ts'
import type { BfdNews, BfdPeer } from './speaker.ts'

/** Sockets of both ends, and what else a process has. */
const DESCRIPTORS = 10_000
const PATIENCE_ms = 60_000

interface Size {
  readonly addresses: number
  readonly interval_ms: number
  readonly watch_s: number
}

class Scene {
  readonly net = new ScratchNetwork()
  readonly #ends: BfdService[] = []
  readonly #up = new Set<string>()
  /** Sessions that went down, by when. */
  readonly downs: { readonly peer: string; readonly at_ms: number; readonly why: string }[] = []
  readonly right: string
  readonly #size: Size
  #wake = (): void => {}

  constructor(size: Size) {
    this.#size = size
    const [left, right] = [this.net.namespace(), this.net.namespace()]
    this.right = right
    this.net.wire(
      { namespace: left, name: 'wire', addresses: this.#addresses(1).map((address) => `${address}/16`) },
      { namespace: right, name: 'wire', addresses: this.#addresses(2).map((address) => `${address}/16`) },
    )
    this.#ends.push(
      this.#open(left, 1, 2, (news) => this.#heard(news)),
      this.#open(right, 2, 1, () => {}),
    )
  }

  get sessions(): number {
    return this.#size.addresses ** 2
  }

  /** Resolves when so many are up at the same time. */
  async up(count = this.sessions): Promise<void> {
    const late = AbortSignal.timeout(PATIENCE_ms)
    while (this.#up.size < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        late.addEventListener('abort', () => resolve(), { once: true })
      })
      ok(!late.aborted, `${this.#up.size} of ${count} are up`)
    }
  }

  /** Resolves when as many are down. */
  async down(count: number): Promise<void> {
    const late = AbortSignal.timeout(PATIENCE_ms)
    while (this.downs.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        late.addEventListener('abort', () => resolve(), { once: true })
      })
      ok(!late.aborted, `${this.downs.length} of ${count} are down`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#ends.map((end) => end.stop()))
    this.net[Symbol.dispose]()
  }

  #addresses(side: number): string[] {
    return Array.from({ length: this.#size.addresses }, (_, i) => `10.9.${side}.${i + 1}`)
  }

  #open(namespace: string, own: number, other: number, news: (news: BfdNews) => void): BfdService {
    const onDeath = (error: Error): void => {
      throw error
    }
    const service = withNamespace(namespace, () => new BfdService({ enabled: true, news, onDeath }))
    const interval_us = this.#size.interval_ms * 1000
    const timers = { desiredMinTx_us: interval_us, requiredMinRx_us: interval_us, detectMultiplier: 3 }
    for (const local of this.#addresses(own))
      for (const remote of this.#addresses(other)) {
        const peer: BfdPeer = { local: parseAddress(local)!, remote: parseAddress(remote)! }
        service.open(peer, { ...timers, role: 'active' })
      }
    return service
  }

  #heard({ peer, state, diagnostic }: BfdNews): void {
    const key = `${formatAddress(peer.local)} ${formatAddress(peer.remote)}`
    if (state === 'up') this.#up.add(key)
    else if (this.#up.delete(key)) this.downs.push({ peer: key, at_ms: performance.now(), why: diagnostic })
    this.#wake()
  }
}

/** Comes up, is watched, is cut at one address; says what it took. */
async function measure(t: TestContext, size: Size): Promise<void> {
  ok(raiseDescriptorLimit(DESCRIPTORS), 'so many descriptors are not allowed')
  const begin_ms = performance.now()
  await using scene = new Scene(size)
  await scene.up()
  const up_ms = performance.now() - begin_ms
  // The new pace has been agreed on everywhere.
  await sleep(2000)
  const flaps = scene.downs.length
  const before = process.cpuUsage()
  const from_ms = performance.now()
  await sleep(size.watch_s * 1000)
  const { user, system } = process.cpuUsage(before)
  const cores = (user + system) / 1000 / (performance.now() - from_ms)
  deepEqual(scene.downs.slice(flaps), [])
  const detection_ms = 3 * size.interval_ms
  const cut_ms = performance.now()
  ip('-n', scene.right, 'address', 'delete', '10.9.2.1/16', 'dev', 'wire')
  const cut_took_ms = performance.now() - cut_ms
  await scene.down(flaps + size.addresses)
  const late = scene.downs.slice(flaps).map(({ at_ms }) => at_ms - cut_ms)
  equal(new Set(scene.downs.slice(flaps).map(({ why }) => why)).size, 1)
  t.diagnostic(
    `${scene.sessions} sessions at 3 x ${size.interval_ms} ms: up in ${(up_ms / 1000).toFixed(1)} s, ${flaps} flaps then, ` +
      `none in ${size.watch_s} s; both ends ${cores.toFixed(2)} cores; a cut noticed after ${Math.max(...late).toFixed(0)} ms`,
  )
  ok(Math.max(...late) < detection_ms + cut_took_ms + 250, `${Math.max(...late)} ms`)
}

suite('BFD at its size', { skip: unprivileged }, () => {
  test('ten thousand sessions at 3 x 300 ms', (t) => measure(t, { addresses: 100, interval_ms: 300, watch_s: 20 }))
  test('one session at 3 x 10 ms', (t) => measure(t, { addresses: 1, interval_ms: 10, watch_s: 20 }))
  test('nine sessions at 3 x 10 ms', (t) => measure(t, { addresses: 3, interval_ms: 10, watch_s: 20 }))
})
