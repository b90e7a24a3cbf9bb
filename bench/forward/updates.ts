/**
 * Forwarding while the FIB changes (DSR section 7.1): the packet rate with updates at several rates over that without, in turn.
 *
 * Three threads are busy then: sender, worker and agent. On a machine of fewer cores the agent's time is taken from the
 * others', whatever the FIB does; there the promise is held against what the worker forwards a second of its own time.
 */

import { availableParallelism } from 'node:os'
import { median } from '../measure.ts'
import { type BenchRow, benchRow } from '../report.ts'
import type { Pace, TestBed, Way } from './bed.ts'
import type { GatehouseNode } from './devices.ts'

/** DSR's rate, and ours. */
const RATES = [64_000, 500_000] as const
const PROMISED = RATES[1]

/** Sender, worker, agent, and one for all else. */
const CORES_FOR_ALL = 4

const WAY: Way = { tunnel: 'vxlan', bytes: 64 }

interface Outcome {
  readonly packets_per_s: number
  /** A second of the worker's thread. */
  readonly packets_per_worker_s: number
  readonly updates_per_s: number
}

export interface UpdateFigures {
  readonly without: Outcome
  readonly withUpdates: ReadonlyMap<number, Outcome>
}

export async function measureUpdates(
  bed: TestBed,
  node: GatehouseNode,
  rounds: number,
  pace: Pace,
): Promise<UpdateFigures> {
  const outcomes = new Map<number, Outcome[]>([0, ...RATES].map((rate) => [rate, []]))
  for (let round = 0; round < rounds; round++)
    for (const [rate, of] of outcomes) of.push(await forwardWhile(bed, node, rate, pace))
  const of = (rate: number): Outcome => middle(outcomes.get(rate)!)
  return { without: of(0), withUpdates: new Map(RATES.map((rate) => [rate, of(rate)])) }
}

async function forwardWhile(bed: TestBed, node: GatehouseNode, rate: number, pace: Pace): Promise<Outcome> {
  const seconds = pace.warmUp_s + pace.seconds
  const before = await node.counters()
  const updating = rate > 0 ? node.ask<number>({ kind: 'update', routes_per_s: rate, seconds }) : undefined
  const run = await bed.fill(node, WAY, pace)
  const updates_per_s = (await updating) ?? 0
  const after = await node.counters()
  return {
    packets_per_s: run.received / run.seconds,
    packets_per_worker_s: (after.totals.sent - before.totals.sent) / (after.worker_s - before.worker_s),
    updates_per_s,
  }
}

function middle(outcomes: readonly Outcome[]): Outcome {
  const of = (key: keyof Outcome): number => median(outcomes.map((outcome) => outcome[key]))
  return {
    packets_per_s: of('packets_per_s'),
    packets_per_worker_s: of('packets_per_worker_s'),
    updates_per_s: of('updates_per_s'),
  }
}

export function updateRows({ without, withUpdates }: UpdateFigures): BenchRow[] {
  const hasCores = availableParallelism() >= CORES_FOR_ALL
  return Array.from(withUpdates, ([rate, outcome]) => {
    const bound = { bar: 0.98, aim: 0.99 }
    const title = `with ${rate.toLocaleString('en-US')} FIB updates/s`
    const isPromised = rate === PROMISED
    return [
      benchRow({
        what: `FIB updates while forwarding, asked for ${rate.toLocaleString('en-US')}/s`,
        ...{ value: outcome.updates_per_s, unit: 'updates/s' },
        ...(isPromised && { bar: PROMISED * 0.99 }),
      }),
      benchRow({
        what: `forwarding at full load ${title}`,
        ...{ value: outcome.packets_per_s, unit: 'packets/s', peer: 'without', peerValue: without.packets_per_s },
        ...(isPromised && hasCores && bound),
      }),
      benchRow({
        what: `forwarding at full load ${title}, per CPU-second of the worker`,
        ...{ value: outcome.packets_per_worker_s, unit: 'packets/CPU-s', peer: 'without' },
        peerValue: without.packets_per_worker_s,
        ...(isPromised && !hasCores && bound),
      }),
    ]
  }).flat()
}
