import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { Batch, FORWARD } from '../dataplane/batch.ts'
import { Drop } from '../dataplane/drop.ts'
import { createFrameMemory, FramePool, Frames } from '../dataplane/frames.ts'
import { MemoryPort } from '../dataplane/memory-port.ts'
import { ethernet, ipv4, udp, vxlan } from '../wire/build.ts'
import { Classifier, Columns } from './classify.ts'

test('what its port dropped stays dropped, however sound it looks', () => {
  const frames = new Frames(createFrameMemory(8))
  const pool = new FramePool(frames, 0, 8)
  const port = new MemoryPort('port', frames, pool)
  const inner = ethernet({}, ipv4({}, udp({})))
  for (let i = 0; i < 2; i++)
    port.inject(ethernet({}, ipv4({}, udp({ destinationPort: 4789 }, vxlan({ vni: 7 }, inner)))))
  const batch = new Batch()
  port.receive(batch, 0, 2)
  batch.verdict[0] = Drop['injected-loss']
  new Classifier(frames, pool, new Columns()).classify(batch)
  deepEqual([...batch.verdict.subarray(0, 2)], [Drop['injected-loss'], FORWARD])
})
