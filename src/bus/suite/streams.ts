/** Streams: replay, limits, expected ends, and readers that crash. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import type { StreamEntry } from '../bus.ts'
import { bytes, limits, type SuiteCases, text, withCode } from './site.ts'

const never = new AbortController().signal

async function take(source: AsyncIterable<StreamEntry>, count: number): Promise<string[]> {
  const found: string[] = []
  for await (const { sequence, payload } of source) {
    found.push(`${sequence} ${text(payload)}`)
    if (found.length === count) break
  }
  return found
}

export const streams: SuiteCases = {
  'a stream replays from any position and goes on with what is appended meanwhile': async (site) => {
    const [writer, reader] = [await site.join('writer'), await site.join('reader')]
    const stream = writer.stream('replay', limits)
    for (const one of ['a', 'b', 'c']) await stream.append(bytes(one))
    const consumed = take(reader.stream('replay', limits).consume(2, { signal: never }), 4)
    equal(await stream.append(bytes('d')), 4)
    equal(await stream.append(bytes('e')), 5)
    deepEqual(await consumed, ['2 b', '3 c', '4 d', '5 e'])
    deepEqual(await stream.bounds(), { first: 1, last: 5 })
  },

  'a stream longer than a page is read whole, in order, while it grows': async (site) => {
    const [writer, reader] = [await site.join('writer'), await site.join('reader')]
    const stream = writer.stream('long', limits)
    const filler = 'x'.repeat(1000)
    const count = 2000
    const appends: Promise<number>[] = []
    const consumed = take(reader.stream('long', limits).consume(1, { signal: never }), count)
    for (let i = 1; i <= count; i++) appends.push(stream.append(bytes(`${i}${filler}`)))
    deepEqual(
      await Promise.all(appends),
      Array.from({ length: count }, (_, i) => i + 1),
    )
    deepEqual(
      await consumed,
      Array.from({ length: count }, (_, i) => `${i + 1} ${i + 1}${filler}`),
    )
  },

  'the limits remove the oldest entries, and a late reader sees the gap': async (site) => {
    const bus = await site.join('limited')
    const counted = bus.stream('limited-count', { entriesMax: 3, bytesMax: 1e6 })
    for (let i = 1; i <= 10; i++) await counted.append(bytes(String(i)))
    deepEqual(await counted.bounds(), { first: 8, last: 10 })
    deepEqual(await take(counted.consume(1, { signal: never }), 3), ['8 8', '9 9', '10 10'])
    const sized = bus.stream('limited-bytes', { entriesMax: 1e6, bytesMax: 100_000 })
    for (let i = 1; i <= 50; i++) await sized.append(new Uint8Array(10_000))
    const { first, last } = await sized.bounds()
    equal(last, 50)
    ok(first > 40 && first <= 42, `first is ${first}`)
    equal((await sized.read(first))[0]?.sequence, first)
  },

  'an append that expects another end is refused, so one writer can repeat itself safely': async (site) => {
    const bus = await site.join('expecting')
    const stream = bus.stream('expecting', limits)
    equal(await stream.append(bytes('a'), { expectLast: 0 }), 1)
    await rejects(stream.append(bytes('a'), { expectLast: 0 }), withCode('wrong-sequence'))
    equal(await stream.append(bytes('b'), { expectLast: 1 }), 2)
    deepEqual(
      (await stream.read(1)).map(({ payload }) => text(payload)),
      ['a', 'b'],
    )
  },

  'a position that the stream never reached is an error, the end is not': async (site) => {
    const bus = await site.join('beyond')
    const stream = bus.stream('beyond', limits)
    await stream.append(bytes('a'))
    deepEqual(await stream.read(2), [])
    await rejects(stream.read(3), withCode('wrong-sequence'))
    await rejects(take(stream.consume(9, { signal: never }), 1), withCode('wrong-sequence'))
  },

  'a consumer stops at its signal': async (site) => {
    const bus = await site.join('stopping')
    const abort = new AbortController()
    const found: number[] = []
    const stream = bus.stream('stopping', limits)
    await stream.append(bytes('a'))
    for await (const { sequence } of stream.consume(1, { signal: abort.signal })) {
      found.push(sequence)
      setImmediate(() => abort.abort())
    }
    deepEqual(found, [1])
  },

  'a consumer that crashes goes on from the position that it stored': async (site) => {
    const bus = await site.join('writer')
    const stream = bus.stream('crashing', limits)
    for (let i = 1; i <= 20; i++) await stream.append(bytes(String(i)))
    const source = `
      const position = bus.bucket('crashing-position')
      const from = Number(Buffer.from((await position.get('reader'))?.value ?? Buffer.from('0'))) + 1
      const stream = bus.stream('crashing', ${JSON.stringify(limits)})
      for await (const { sequence } of stream.consume(from, { signal: new AbortController().signal })) {
        await bus.bucket('crashing-done').put(String(sequence), Buffer.from('x'), { revision: 0 })
        await position.put('reader', Buffer.from(String(sequence)))
        if (sequence === 7 || sequence === 20) console.log(sequence)
        if (sequence === 7) await new Promise(() => {})
      }`
    const first = await site.harness.spawnClient(source)
    equal(await first.line(), '7')
    await first.kill()
    const second = await site.harness.spawnClient(source)
    equal(await second.line(), '20')
    await second.kill()
    equal((await bus.bucket('crashing-done').entries('>')).length, 20)
  },
}
