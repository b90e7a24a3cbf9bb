import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { ATTACHMENTS_MAX } from '../src/access/attachments.ts'
import { busSocket } from '../src/bus/embedded/main.ts'
import {
  CLUSTER_POLICIES_MAX,
  CLUSTER_RULES_MAX,
  MODULE_PORTS_MAX,
  MODULE_QUEUES_MAX,
  RESILIENT_PLACES,
  RUN_DIRECTORY_BYTES_MAX,
  SWITCH_ATTACHMENTS_MAX,
  SWITCH_PLACES_MAX,
  SWITCH_SLOTS_MAX,
  VIPS_MAX,
  WEIGHT_MAX,
  WORKERS_MAX,
} from '../src/config/limits.ts'
import { createActionMemory } from '../src/dataplane/action.ts'
import { PORTS_MAX } from '../src/dataplane/batch.ts'
import { layFrames } from '../src/dataplane/frame-layout.ts'
import * as group from '../src/dataplane/group.ts'
import { NODE_POLICY_LIMITS } from '../src/dataplane/policy.ts'
import { ADDRESSES_MAX } from '../src/linux/steering.ts'

test('what a site file may ask for fits into the tables of nodes and switches', () => {
  equal(MODULE_PORTS_MAX, PORTS_MAX)
  equal(WEIGHT_MAX, group.WEIGHT_MAX)
  equal(RESILIENT_PLACES, group.PLACES)
  const { members, slots } = createActionMemory()
  equal(SWITCH_PLACES_MAX, (members.byteLength / 4) * 0.75)
  equal(SWITCH_SLOTS_MAX, (slots.byteLength / 4) * 0.75)
  equal(SWITCH_ATTACHMENTS_MAX, ATTACHMENTS_MAX * 0.75)
  ok(1 + VIPS_MAX <= ADDRESSES_MAX)
  deepEqual(NODE_POLICY_LIMITS, { rules: 2 * CLUSTER_RULES_MAX, policies: 2 * CLUSTER_POLICIES_MAX })
  for (let workers = 1; workers <= WORKERS_MAX; workers++) {
    const ports = Math.min(MODULE_PORTS_MAX, Math.floor(MODULE_QUEUES_MAX / workers))
    for (const queues of [1, workers]) layFrames(workers, new Array<number>(ports).fill(queues))
  }
  equal(Buffer.byteLength(busSocket('x'.repeat(RUN_DIRECTORY_BYTES_MAX))), 107)
})
