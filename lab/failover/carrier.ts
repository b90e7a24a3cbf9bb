/**
 * A thread that sees when a wire has lost its carrier. The other end is closed for that, and before the kernel takes the
 * carrier away it waits for whoever still sends there, milliseconds of which no switch can know.
 *
 *   parent --{ }--> thread      the carrier is about to go
 *   parent <-- at_ms -- thread  when it was first seen to be gone, since 1970
 */

import { parentPort, workerData } from 'node:worker_threads'
import { CarrierReader } from '../../src/linux/ethtool.ts'
import { enterNamespace } from '../../src/linux/namespace.ts'
import { LIVENESS_PRIORITY, setScheduling } from '../../src/linux/thread.ts'
import type { WireSetup } from './wire.ts'

const LOOK_ms = 0.2
const PATIENCE_ms = 5000

const { namespace, interface: name } = workerData as WireSetup
enterNamespace(namespace)
// It takes microseconds each time, and is not to be late itself.
setScheduling('round-robin', LIVENESS_PRIORITY)
const carrier = new CarrierReader()
const nobody = new Int32Array(new SharedArrayBuffer(4))

parentPort!.on('message', () => {
  const until_ms = performance.now() + PATIENCE_ms
  while (carrier.of(name) && performance.now() < until_ms) Atomics.wait(nobody, 0, 0, LOOK_ms)
  parentPort!.postMessage(performance.timeOrigin + performance.now())
})
