/** The thread of `sla.ts`: a runner a probe, and responders. */

import { parentPort, workerData } from 'node:worker_threads'
import { parseAddress } from '../../base/address.ts'
import { assert } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { freshSeed, Random } from '../../base/random.ts'
import { stopWatching } from '../../linux/poll.ts'
import { LIVENESS_PRIORITY, setScheduling } from '../../linux/thread.ts'
import { Openings } from './openings.ts'
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
const runners = new Openings<ProbeRunner>(systemClock)
for (const probe of probes) {
  const runner = () =>
    new ProbeRunner({
      rules: probe,
      clock: systemClock,
      open: (answered) => proberOf(probe, systemClock, random, answered),
      changed: (state) => tell({ kind: 'news', states: [state] }),
    })
  const what = `probe ${probe.name}`
  runners.add(runner, (error) => tell({ kind: 'failed', what, error, probe: probe.name }))
}
const answering = new Openings<UdpResponder>(systemClock)
for (const { address, port } of responders) {
  const responder = () => new UdpResponder({ address: parseAddress(address)!, port }, systemClock)
  const what = `responder ${address} port ${port}`
  answering.add(responder, (error) => tell({ kind: 'failed', what, error, probe: undefined }))
}
agent.on('message', () => {
  // The process goes on, and with it all descriptors that are open.
  for (const openings of [runners, answering]) openings.close()
  stopWatching()
  tell({ kind: 'closed' })
})
systemClock.every(quality_ms, () => tell({ kind: 'news', states: runners.open.map(({ state }) => state) }))
