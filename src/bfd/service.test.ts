/** BFD in its thread, over a real wire between two namespaces; the thread of the test is the agent of both. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseAddress } from '../base/address.ts'
import { withNamespace } from '../linux/namespace.ts'
import { ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import { BfdService, PULSE_ms } from './service.ts'
import { defaultBfdTimers } from './session.ts'
import type { BfdNews, BfdPeer } from './speaker.ts'

const address = (text: string) => parseAddress(text)!
const RACK = address('10.9.0.1')
const NODE = address('10.9.0.2')
const TO_NODE: BfdPeer = { local: RACK, remote: NODE }
const active = { ...defaultBfdTimers, role: 'active' } as const
const passive = { ...defaultBfdTimers, role: 'passive' } as const
const STANDSTILL_ms = 2 * PULSE_ms

class Scene {
  readonly net = new ScratchNetwork()
  readonly rack: BfdService
  readonly node: BfdService
  /** What the rack was told. */
  readonly told: string[] = []
  readonly deaths: Error[] = []
  #wake = (): void => {}
  readonly #heart: NodeJS.Timeout
  beats = true

  constructor() {
    const [left, right] = [this.net.namespace(), this.net.namespace()]
    this.net.wire(
      { namespace: left, name: 'wire', addresses: ['10.9.0.1/24'] },
      { namespace: right, name: 'wire', addresses: ['10.9.0.2/24'] },
    )
    const note = ({ state, diagnostic }: BfdNews): void => {
      this.told.push(`${state} ${diagnostic}`)
      this.#wake()
    }
    const onDeath = (error: Error): void => void this.deaths.push(error)
    this.rack = withNamespace(left, () => new BfdService({ enabled: true, news: note, onDeath }))
    const options = { enabled: true, accept: passive, standstill_ms: STANDSTILL_ms, news: () => {}, onDeath }
    this.node = withNamespace(right, () => new BfdService(options))
    this.#heart = setInterval(() => this.beats && this.node.beat(), PULSE_ms / 2)
  }

  async until(wanted: string): Promise<void> {
    const signal = AbortSignal.timeout(15_000)
    while (this.told.at(-1) !== wanted) {
      await new Promise<void>((wake) => {
        this.#wake = wake
        signal.addEventListener('abort', () => wake())
      })
      ok(!signal.aborted, `told: ${this.told.join(', ')}`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#heart)
    await Promise.all([this.rack.stop(), this.node.stop()])
    this.net[Symbol.dispose]()
    deepEqual(this.deaths, [])
  }
}

suite('BFD in a thread of its own', { skip: unprivileged }, () => {
  test('comes up, tells, lists and takes leave', async () => {
    await using scene = new Scene()
    const session = scene.rack.open(TO_NODE, active)
    equal(session.state, 'down')
    await scene.until('up none')
    equal(session.state, 'up')
    // The node comes up by the very packet that tells it that the rack is.
    let [accepted] = await scene.node.sessions()
    while (accepted?.state === 'init') [accepted] = await scene.node.sessions()
    deepEqual([[...accepted!.peer.remote], accepted!.state], [[...RACK], 'up'])
    await scene.node.setEnabled(false)
    await scene.until('down neighbourSignalledDown')
    await scene.node.setEnabled(true)
    await scene.until('up none')
    session.close()
    deepEqual(await scene.rack.sessions(), [])
    scene.told.length = 0
    scene.rack.open(TO_NODE, active)
    await scene.until('up none')
  })

  test('stays up while the agent is busy for far longer than the detection time', async () => {
    await using scene = new Scene()
    scene.rack.open(TO_NODE, active)
    await scene.until('up none')
    // The new pace has been agreed on, of which the state says nothing.
    await sleep(200)
    scene.told.length = 0
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STANDSTILL_ms / 2)
    await scene.rack.sessions()
    deepEqual(scene.told, [])
  })

  test('goes down when the agent stands still, and comes back with it', async () => {
    await using scene = new Scene()
    scene.rack.open(TO_NODE, active)
    await scene.until('up none')
    scene.beats = false
    await scene.until('down neighbourSignalledDown')
    scene.beats = true
    await scene.until('up none')
  })

  test('has a deadline of its own, above the agent’s', async () => {
    const threads = (): string[] => readdirSync('/proc/self/task')
    // Fields 40 and 41 of proc(5)'s stat: priority and policy.
    const scheduling = (thread: string): string[] =>
      readFileSync(`/proc/self/task/${thread}/stat`, 'utf8').split(') ')[1]!.split(' ').slice(37, 39)
    const before = threads()
    await using scene = new Scene()
    await scene.rack.sessions()
    const started = threads().filter((thread) => !before.includes(thread))
    ok(
      started.some((thread) => scheduling(thread).join() === '20,2'),
      started.map(scheduling).join('; '),
    )
  })
})
