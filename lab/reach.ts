/** Who reaches whom: pings until each was answered once. The first packets of a path find no neighbours yet. */

import { setTimeout as sleep } from 'node:timers/promises'
import { withNamespace } from '../src/linux/namespace.ts'
import type { Lab } from './namespaces.ts'
import { PingSet } from './traffic/pinger.ts'
import type { Ping } from './traffic/plan.ts'

/** Counted up from here, for several in a namespace must not take each other's answers, nor those of traffic. */
const IDENTIFIER = 0x4000
const INTERVAL_MS = 100

/** Returns those that were never answered. */
export async function reach<P extends Ping>(
  lab: Lab,
  pings: readonly P[],
  { timeout_ms, signal }: { timeout_ms: number; signal?: AbortSignal },
): Promise<P[]> {
  const probes = pings.map((plan, i) => {
    const set = withNamespace(
      lab.fullName(plan.namespace),
      () => new PingSet([{ to: plan.to, identifier: IDENTIFIER + i }]),
    )
    set.start(INTERVAL_MS)
    return { plan, set }
  })
  const silent = (): typeof probes => probes.filter(({ set }) => set.report().latency.length === 0)
  try {
    for (let waited_ms = 0; silent().length > 0 && waited_ms < timeout_ms; waited_ms += INTERVAL_MS)
      await sleep(INTERVAL_MS, undefined, signal && { signal })
    return silent().map(({ plan }) => plan)
  } finally {
    await Promise.all(probes.map(({ set }) => set.stop()))
  }
}
