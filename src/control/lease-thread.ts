/**
 * The thread that keeps a control module's lease: it asks for it, renews it over a connection of its own and says when it
 * is lost. Routes by the hundred thousand keep the module's own thread for longer than its lease lasts, and one that is
 * only busy must not be replaced. One that has not moved for long is stuck, and its lease is let go.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { CONTROL_LEASE } from '../agent/names.ts'
import { systemClock } from '../base/clock.ts'
import { freshSeed, Random } from '../base/random.ts'
import { BusError, type BusErrorCode, campaign, type Lease } from '../bus/bus.ts'
import { type BusPlace, openBus } from '../bus/place.ts'

/** 10 M routes keep the module's own thread for seconds; many times that. */
const STUCK_MS = 60_000
const LOOK_EVERY_MS = 1000

export interface KeeperData {
  readonly place: BusPlace
  readonly holder: string
  readonly ttl_ms: number
  /** The module's own thread counts up here, once a second at least. */
  readonly pulse: Int32Array
}

/** `turn` counts the attempts: what is said of an earlier one is no news. */
export type ToKeeper = { readonly type: 'campaign' | 'release'; readonly turn: number } | { readonly type: 'close' }
export type FromKeeper =
  | { readonly type: 'acquired'; readonly turn: number; readonly epoch: number }
  | { readonly type: 'lost' | 'released'; readonly turn: number }
  | { readonly type: 'failed'; readonly turn: number; readonly code: BusErrorCode; readonly detail: string }

const { place, holder, ttl_ms, pulse } = workerData as KeeperData
const random = new Random(freshSeed())
const bus = await openBus(place, { name: `${holder}-lease`, clock: systemClock, random })
let trying = new AbortController()
let lease: Lease | undefined
let beats = 0
let beat_us = systemClock.now_us()

const say = (message: FromKeeper): void => parentPort!.postMessage(message)

async function take(turn: number): Promise<void> {
  trying = new AbortController()
  const { signal } = trying
  try {
    const taken = await campaign(bus, CONTROL_LEASE, { holder, ttl_ms }, signal)
    // It may have been on its way when nobody wanted it any more.
    if (signal.aborted) return await taken.release()
    lease = taken
    say({ type: 'acquired', turn, epoch: taken.epoch })
    void taken.lost.then(() => say({ type: 'lost', turn }))
  } catch (error) {
    if (!(error instanceof BusError)) throw error
    say({ type: 'failed', turn, code: error.code, detail: error.detail })
  }
}

async function letGo(): Promise<void> {
  trying.abort()
  try {
    await lease?.release()
  } catch (error) {
    if (!(error instanceof BusError)) throw error
  }
  lease = undefined
}

parentPort!.on('message', async (message: ToKeeper) => {
  if (message.type === 'campaign') return take(message.turn)
  if (message.type === 'release') {
    await letGo()
    return say({ type: 'released', turn: message.turn })
  }
  looking.cancel()
  trying.abort()
  await bus.close()
  parentPort!.close()
})

const looking = systemClock.every(LOOK_EVERY_MS, () => {
  const now_us = systemClock.now_us()
  const latest = Atomics.load(pulse, 0)
  if (latest !== beats) beat_us = now_us
  beats = latest
  if (now_us - beat_us > STUCK_MS * 1000) void letGo()
})
