/**
 * The speaker in a process of its own that asks it, while routes load, what an operator would: its sessions and how many
 * routes it has. Told to by its parent, it says how long the answers took.
 */

import { parseSite } from '../../src/config/load.ts'
import { Speaker } from '../../src/routing/bgp/speaker.ts'
import { quantile } from '../measure.ts'

const EVERY_ms = 10

export interface Asked {
  readonly kind: 'asked'
  readonly questions: number
  readonly p99_ms: number
  readonly longest_ms: number
}

export type FromAsked = { readonly kind: 'ready' } | Asked

async function run(text: string): Promise<void> {
  const { site } = parseSite(text)
  const speaker = await Speaker.start({
    routing: site!.routing!,
    event: () => {},
    onDeath(error) {
      console.error(error.message)
      process.exit(1)
    },
  })
  let took: number[] = []
  let isAsking = false
  setInterval(async () => {
    if (isAsking) return
    isAsking = true
    const from = performance.now()
    await Promise.all([speaker.sessions(), speaker.counts()])
    took.push(performance.now() - from)
    isAsking = false
  }, EVERY_ms)
  process.on('message', () => {
    const figures = { questions: took.length, p99_ms: quantile(took, 0.99), longest_ms: Math.max(...took) }
    process.send!({ kind: 'asked', ...figures } satisfies Asked)
    took = []
  })
  process.send!({ kind: 'ready' } satisfies FromAsked)
}

if (import.meta.main) void run(process.argv[2]!)
