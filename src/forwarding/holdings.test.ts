/** How batches are taken over; what packets then do is `program.test.ts`'s. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { formatPrefix, parseAddress } from '../base/address.ts'
import { atOnce } from '../base/slices.ts'
import { RouteColumnsBuilder } from '../wire/control/columns.ts'
import type { FibBatch } from '../wire/control/fib.ts'
import { MemoryNode } from './memory-node.ts'
import { ACME, GLOBEX, sampleBatch } from './sample-site.ts'

const ROUTES = 500_000
/** Of tenant ACME, in the sample site. */
const PEER = 101
const DISCARD = 107

/** So many routes of ACME besides those of the sample site: /32 out of 11.0.0.0/8. */
function many(count: number, nextHop: number, more: Partial<FibBatch> = {}): FibBatch {
  const sample = sampleBatch([ACME, GLOBEX])
  const routes4 = new RouteColumnsBuilder(1)
  const { tables, addresses, lengths, nextHops } = sample.routes4
  for (let i = 0; i < tables.length; i++) routes4.add4(tables[i]!, addresses[i]!, lengths[i]!, nextHops[i]!)
  for (let i = 0; i < count; i++) routes4.add4(ACME.id, (11 << 24) + i, 32, nextHop)
  return { ...sample, routes4: routes4.build(), ...more }
}

const large = (): MemoryNode => new MemoryNode({ chunks: 64, tenants: 64, fibWords: 1 << 25 })
const tableOf = (node: MemoryNode, id: number): string[] => {
  const { row } = node.holdings.tenant(id)!
  return Array.from(node.fib.routes(row), ({ prefix, slot }) => `${formatPrefix(prefix)} ${slot}`)
}

/** The agent's own time for each step, the longest first. */
function steps_ms(node: MemoryNode, batch: FibBatch): number[] {
  const work = node.holdings.take(batch)
  const steps: number[] = []
  for (let done = false; !done; ) {
    const before = process.threadCpuUsage()
    done = work.next().done === true
    steps.push(process.threadCpuUsage(before).user / 1000)
  }
  return steps.sort((a, b) => b - a)
}

test('half a million routes, the same again as a snapshot, and one without them: in many short steps', () => {
  const node = large()
  equal(node.apply(sampleBatch([ACME, GLOBEX])), undefined)
  const before = tableOf(node, ACME.id)
  const batches = [many(ROUTES, PEER), many(ROUTES, DISCARD, { generation: 2 }), sampleBatch([ACME, GLOBEX])]
  for (const batch of batches) {
    const steps = steps_ms(node, batch)
    ok(steps.length > 400, `${steps.length} steps`)
    // One step reads a tenant's whole table out of the FIB, and one may meet the collection of garbage.
    ok(steps[2]! < 20, `the longest are ${steps.slice(0, 5).join(', ')} ms`)
  }
  deepEqual(tableOf(node, ACME.id), before)
})

test('a snapshot takes away what it does not name, of each tenant and family, and leaves what the node found out', () => {
  const node = large()
  const sample = sampleBatch([ACME, GLOBEX])
  equal(node.apply(sample), undefined)
  const before = [ACME, GLOBEX].map(({ id }) => tableOf(node, id))
  const routes4 = new RouteColumnsBuilder(1)
  const routes6 = new RouteColumnsBuilder(4)
  // The same prefixes in both tenants, and one that differs from them by its length alone.
  for (const { id } of [ACME, GLOBEX]) {
    for (const length of [24, 25, 32]) routes4.add4(id, 0x0b000000, length, id * 100 + 1)
    for (const length of [48, 64]) routes6.add6(id, [0x20010db8, 0x00990000, 0, 0], length, id * 100 + 9)
  }
  const difference = { snapshot: false, tenants: [], nextHops: [] }
  equal(node.apply({ ...sample, ...difference, routes4: routes4.build(), routes6: routes6.build() }), undefined)
  equal(tableOf(node, ACME.id).length, before[0]!.length + 5)
  const found = { address: parseAddress('192.168.1.77')!, length: 32 }
  const { row } = node.holdings.tenant(ACME.id)!
  node.fib.insert(row, found, 4000)
  equal(node.apply(sample), undefined)
  node.fib.remove(row, found)
  deepEqual(
    [ACME, GLOBEX].map(({ id }) => tableOf(node, id)),
    before,
  )
})

test('what others do between two slices finds the node whole', () => {
  const node = large()
  equal(node.apply(sampleBatch([ACME, GLOBEX])), undefined)
  const work = node.holdings.take(many(20_000, PEER, { generation: 2 }))
  let turn = 0
  for (let step = work.next(); !step.done; step = work.next()) {
    node.underlay.change(turn++ % 2 === 0 ? undefined : { ...node.underlay.adjacencies()[0]!, port: 0 })
    node.underlay.change({ port: 0, source: new Uint8Array(6), destination: new Uint8Array(6), mtu: 1600 })
  }
  equal(atOnce(node.holdings.take(sampleBatch([ACME, GLOBEX]))), undefined)
  ok(turn > 20)
})
