import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { PAYLOAD_BYTES_MAX } from '../bus/bus.ts'
import { feedStart } from '../wire/control/report.ts'
import { busHere } from './bus-here.ts'
import { FeedWriter } from './feed-writer.ts'
import { BUCKET } from './names.ts'

const FEED = 'fib-blue'
const LIMITS = { entriesMax: 40, bytesMax: 64 * 1024 * 1024 }

const message = (text: string): Uint8Array => Buffer.from(text)

test('however many small differences there are, the latest snapshot stays on the feed', async (t) => {
  const here = await busHere(t)
  const bus = await here.join('control')
  let { writer } = await FeedWriter.open(bus, FEED, 'first', LIMITS)
  await writer.append(message('snapshot'), true)
  let snapshots = 1
  for (let i = 0; i < 200; i++) {
    await writer.append(message(`${i}`), false)
    if (writer.isSnapshotDue) {
      await writer.append(message(`snapshot ${i}`), true)
      snapshots++
      equal(writer.isSnapshotDue, false)
    }
    // Each control module leads for a while only.
    if (i % 7 === 0) ({ writer } = await FeedWriter.open(bus, FEED, 'other', LIMITS))
  }
  ok(snapshots < 15, `${snapshots} snapshots`)
  const start = feedStart.decode((await bus.bucket(BUCKET.feeds).get(FEED))!.value)
  ok(start.ok)
  equal(start.value.incarnation, 'first')
  const { first } = await bus.stream(FEED, LIMITS).bounds()
  ok(start.value.sequence >= first, 'the stream has forgotten the snapshot')
})

test('who takes a feed over counts what was written before', async (t) => {
  const here = await busHere(t)
  const bus = await here.join('control')
  const { writer } = await FeedWriter.open(bus, FEED, 'first')
  const large = Buffer.alloc(2 * PAYLOAD_BYTES_MAX)
  await writer.append(large, true)
  await writer.append(large, false)
  equal(writer.isSnapshotDue, false)
  const { writer: next, messages } = await FeedWriter.open(bus, FEED, 'other')
  deepEqual(
    messages.map(({ length }) => length),
    [large.length, large.length],
  )
  await next.append(message('small'), false)
  equal(next.isSnapshotDue, true)
})
