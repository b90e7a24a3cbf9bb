/** The thread of `sla.ts`: a runner a probe, and responders. */

import { parentPort, workerData } from 'node:worker_threads'
import { parseAddress } from '../../base/address.ts'
import { assert } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { freshSeed, Random } from '../../base/random.ts'
import { stopWatching } from '../../linux/poll.ts'
import { LIVENESS_PRIORITY, setScheduling } from '../../linux/thread.ts'
import { ProbeRunner } from './probe-runner.ts'
import { proberOf } from './probers.ts'
import type { FromSla, SlaSettings } from './sla.ts'
import { UdpResponder } from './udp-responder.ts'

const agent = parentPort
assert(agent !== null, 'this file is a thread')
const { probes, responders, quality_ms } = workerData as SlaSettings
const tell = (message: FromSla): void => agent.postMessage(message)
// A delay that is measured is the path's, and not that of whoever else wants the core.
setScheduling('round-robin', LIVENESS_PRIORITY)

const random = new Random(freshSeed())
const runners = probes.flatMap((probe) =>
  attempt(
    `probe ${probe.name}`,
    () =>
      new ProbeRunner({
        rules: probe,
        clock: systemClock,
        open: (answered) => proberOf(probe, systemClock, random, answered),
        changed: (state) => tell({ kind: 'news', states: [state] }),
      }),
    probe.name,
  ),
)
const answering = responders.flatMap(({ address, port }) =>
  attempt(
    `responder ${address} port ${port}`,
    () => new UdpResponder({ address: parseAddress(address)!, port }, systemClock),
  ),
)
agent.on('message', () => {
  // The process goes on, and with it all descriptors that are open.
  for (const one of [...runners, ...answering]) one.close()
  stopWatching()
  tell({ kind: 'closed' })
})
systemClock.every(quality_ms, () => tell({ kind: 'news', states: runners.map(({ state }) => state) }))

function attempt<T>(what: string, run: () => T, probe?: string): T[] {
  try {
    return [run()]
  } catch (error) {
    tell({ kind: 'failed', what, error: (error as Error).message, probe })
    return []
  }
}
