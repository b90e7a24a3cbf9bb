/** The thread of `service.ts`: a speaker, what it is told, and the pulse that it looks at. */

import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '../base/assert.ts'
import { systemClock } from '../base/clock.ts'
import { freshSeed, Random } from '../base/random.ts'
import { LIVENESS_PRIORITY, setScheduling } from '../linux/thread.ts'
import { type BfdThreadNews, type BfdThreadSetup, type FromBfdThread, PULSE_ms, type ToBfdThread } from './service.ts'
import { type BfdHandle, type BfdNews, type BfdPeer, BfdSpeaker } from './speaker.ts'
import { UdpBfdTransport } from './transport.ts'

class BfdThread {
  readonly #tell: (message: FromBfdThread) => void
  readonly #speaker: BfdSpeaker
  readonly #pulse: Pulse | undefined
  /** What the agent has opened, by its number and by what the speaker calls it. */
  readonly #handles = new Map<number, BfdHandle & { readonly peer: BfdPeer }>()
  readonly #ids = new Map<BfdPeer, number>()
  #news: BfdThreadNews[] = []
  #isWanted: boolean

  constructor(setup: BfdThreadSetup, tell: (message: FromBfdThread) => void) {
    const { enabled, accept, standstill_ms, neighbours, pulse } = setup
    this.#tell = tell
    this.#isWanted = enabled
    this.#speaker = new BfdSpeaker({
      transport: new UdpBfdTransport({ neighbours }),
      clock: systemClock,
      random: new Random(freshSeed()),
      ...{ enabled, accept },
      news: (news) => this.#note(news),
    })
    if (standstill_ms !== undefined) this.#pulse = new Pulse(pulse, standstill_ms, () => this.#enable())
  }

  /** False once it is to end. */
  obey(message: ToBfdThread): boolean {
    if (message.kind === 'open') this.#open(message)
    else if (message.kind === 'close') this.#close(message.id)
    else if (message.kind === 'stop') {
      this.#pulse?.stop()
      this.#speaker.stop()
      return false
    } else {
      if (message.kind === 'enable') {
        this.#isWanted = message.enabled
        this.#pulse?.startOver()
        this.#enable()
      }
      const sessions = this.#speaker.sessions().map(({ peer, state }) => ({ peer, state }))
      this.#tell({ kind: 'answer', question: message.question, sessions })
    }
    return true
  }

  #open({ id, peer, options }: Extract<ToBfdThread, { kind: 'open' }>): void {
    const held = this.#speaker.open(peer, options)
    this.#handles.set(id, held)
    this.#ids.set(held.peer, id)
    // The peer has asked for it before: what has happened since then is news to who opens it.
    const { diagnostic, isPeerDown } = held.session
    if (held.state !== 'down') this.#note({ peer: held.peer, state: held.state, diagnostic, isPeerDown })
  }

  #close(id: number): void {
    const handle = this.#handles.get(id)
    if (!handle) return
    this.#handles.delete(id)
    this.#ids.delete(handle.peer)
    handle.close()
  }

  #enable(): void {
    this.#speaker.setEnabled(this.#isWanted && !this.#pulse?.standsStill)
  }

  // Many sessions may change at once: one message.
  #note(news: BfdNews): void {
    this.#news.push({ id: this.#ids.get(news.peer), ...news })
    if (this.#news.length > 1) return
    queueMicrotask(() => {
      this.#tell({ kind: 'news', news: this.#news })
      this.#news = []
    })
  }
}

/** Looks whether a word moves. Looks are counted, and not time: when the whole machine was stopped, nobody stood still. */
class Pulse {
  standsStill = false
  readonly #word: Int32Array
  readonly #timer
  #last = 0
  #looks = 0

  constructor(memory: SharedArrayBuffer, standstill_ms: number, changed: () => void) {
    this.#word = new Int32Array(memory)
    this.#timer = systemClock.every(PULSE_ms, () => {
      const now = Atomics.load(this.#word, 0)
      this.#looks = now === this.#last ? this.#looks + 1 : 0
      this.#last = now
      const standsStill = this.#looks * PULSE_ms >= standstill_ms
      if (standsStill === this.standsStill) return
      this.standsStill = standsStill
      changed()
    })
  }

  /** Whatever was before, it is well now. */
  startOver(): void {
    this.standsStill = false
    this.#looks = 0
  }

  stop(): void {
    this.#timer.cancel()
  }
}

function main(setup: BfdThreadSetup): void {
  assert(parentPort !== null, 'BFD is a thread of its own')
  const agent = parentPort
  setScheduling('round-robin', LIVENESS_PRIORITY)
  const thread = new BfdThread(setup, (message) => agent.postMessage(message))
  agent.on('message', (message: ToBfdThread) => {
    if (!thread.obey(message)) agent.close()
  })
}

main(workerData as BfdThreadSetup)
