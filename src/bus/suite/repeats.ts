/** What is tried again, by whoever crashed, was cut off or stood still: it counts once, and what is lost is counted. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { systemClock } from '../../base/clock.ts'
import { appendOnce, bytes, codeOf, collect, limits, PATIENCE_ms, type SuiteCases, text } from './site.ts'

export const repeats: SuiteCases = {
  'a server killed amid appends loses none and doubles none, if whoever appends repeats what was not answered': async (
    site,
  ) => {
    const [writer, reader] = [await site.join('writer'), await site.join('reader')]
    const stream = writer.stream('killed-amid', limits)
    let restarting = Promise.resolve()
    let unknown = 0
    for (let i = 1; i <= 300; i++) {
      // In the middle of what is under way: nobody waits for it.
      if (i % 100 === 50) restarting = site.harness.kill().then(() => site.harness.start())
      unknown += await appendOnce(writer, stream, bytes(String(i)), i - 1)
      if (i % 100 === 99) await restarting
    }
    ok(unknown >= 3, `${unknown} appends had an unknown outcome`)
    // It comes back in its own time, which may be after the writer.
    await reader.whenConnected(10_000)
    deepEqual(
      (await collect(reader.stream('killed-amid', limits), 300)).map(
        ({ sequence, payload }) => `${sequence} ${text(payload)}`,
      ),
      Array.from({ length: 300 }, (_, i) => `${i + 1} ${i + 1}`),
    )
  },

  'an append that stands although its writer never heard so is refused when it is repeated': async (site) => {
    const [writer, reader] = [await site.join('writer'), await site.join('reader')]
    const crashing = await site.harness.spawnClient(`
      const stream = bus.stream('unheard', ${JSON.stringify(limits)})
      await stream.append(Buffer.from('first'), { expectLast: 0 })
      console.log('first stands')
      void stream.append(Buffer.from('second'), { expectLast: 1 })
      await new Promise(() => {})`)
    equal(await crashing.line(), 'first stands')
    await crashing.kill()
    // The second may have left before its writer was killed. Either way it stands once in the end.
    const stream = writer.stream('unheard', limits)
    await stream.append(bytes('second'), { expectLast: 1 }).catch((error) => equal(codeOf(error), 'wrong-sequence'))
    await stream.append(bytes('third'), { expectLast: 2 })
    deepEqual(
      (await collect(reader.stream('unheard', limits), 3)).map(({ payload }) => text(payload)),
      ['first', 'second', 'third'],
    )
  },

  'readers killed anywhere, each going on from what the one before stored, have every entry count once': async (
    site,
  ) => {
    const bus = await site.join('writer')
    const stream = bus.stream('summed', limits)
    const count = 400
    await Promise.all(Array.from({ length: count }, (_, i) => stream.append(bytes(String(i + 1)))))
    // The position is stored in one write with what came of it.
    const source = `
      const state = bus.bucket('summed')
      const entry = await state.get('state')
      let { last, sum } = entry ? JSON.parse(Buffer.from(entry.value)) : { last: 0, sum: 0 }
      let revision = entry?.revision ?? 0
      const stream = bus.stream('summed', ${JSON.stringify(limits)})
      for await (const { sequence, payload } of stream.consume(last + 1, { signal: new AbortController().signal })) {
        sum += Number(Buffer.from(payload))
        revision = await state.put('state', Buffer.from(JSON.stringify({ last: sequence, sum })), { revision })
        if (sequence % 100 === 0) console.log(sequence, sum)
      }`
    for (const said of ['100 5050', '200 20100', '300 45150']) {
      const reader = await site.harness.spawnClient(source)
      let line = await reader.line()
      // The one before may have come further than it said.
      while (Number(line.split(' ')[0]) < Number(said.split(' ')[0])) line = await reader.line()
      await reader.kill()
      const [last, sum] = line.split(' ').map(Number)
      equal(sum, (last! * (last! + 1)) / 2)
    }
    const ending = await site.harness.spawnClient(source)
    const state = await bus.bucket('summed').get('state')
    if (JSON.parse(text(state?.value)!).last < count) while ((await ending.line()) !== `${count} 80200`);
    await ending.kill()
    deepEqual(JSON.parse(text((await bus.bucket('summed').get('state'))?.value)!), { last: count, sum: 80_200 })
  },

  'a watcher that stood still while the server went and came back learns what changed meanwhile': async (site) => {
    const bus = await site.join('writer')
    const bucket = bus.bucket('silent')
    for (const key of ['changed', 'deleted', 'kept']) await bucket.put(key, bytes('1'))
    const watcher = await site.harness.spawnClient(`
      const known = new Map()
      await bus.bucket('silent').watch('>', ({ key, value }) => {
        known.set(key, value ? Buffer.from(value).toString() : 'gone')
        if (key === 'end') console.log([...known].map((pair) => pair.join(' ')).toSorted().join())
      }).ready
      console.log('ready')`)
    equal(await watcher.line(), 'ready')
    watcher.pause()
    const back = new Promise<void>((resolve) => bus.onConnection((connected) => connected && resolve()))
    await site.harness.kill()
    await site.harness.start()
    await back
    await bucket.put('changed', bytes('2'))
    await bucket.delete('deleted')
    await bucket.put('new', bytes('1'))
    await bucket.put('end', bytes('1'))
    watcher.resume()
    equal(await watcher.line(), 'changed 2,deleted gone,end 1,kept 1,new 1')
    await watcher.kill()
  },

  'a subscriber that stood still lost messages, and knows how many': async (site) => {
    const [publisher, quick] = [await site.join('publisher'), await site.join('quick')]
    const slow = await site.harness.spawnClient(`
      await bus.subscribe('stalled', () => {}).ready
      await bus.respond('stalled.counts', () => Buffer.from(JSON.stringify(bus.counters))).ready
      console.log('ready')
      await new Promise(() => {})`)
    equal(await slow.line(), 'ready')
    let arrived = Promise.withResolvers<void>()
    await quick.subscribe('stalled', () => arrived.resolve()).ready
    let sent = 0
    const send = async (size: number): Promise<void> => {
      arrived = Promise.withResolvers()
      publisher.publish('stalled', new Uint8Array(size))
      sent++
      await arrived.promise
    }
    await send(1)
    slow.pause()
    for (let i = 0; i < 300; i++) await send(100_000)
    slow.resume()
    const end_us = systemClock.now_us() + PATIENCE_ms * 1000
    for (let told = 0; told !== sent; ) {
      ok(systemClock.now_us() < end_us, `${told} of ${sent} are accounted for`)
      await send(1)
      try {
        const answer = await publisher.request('stalled.counts', bytes(''), { timeout_ms: 1000 })
        const { received, missed } = JSON.parse(text(answer)!)
        told = missed > 0 ? received + missed : 0
      } catch (error) {
        // It is on its way back, or has not read all that is on the way to it.
        const code = codeOf(error)
        ok(['no-responders', 'timeout', 'overloaded'].includes(code), code)
      }
    }
    await slow.kill()
  },
}
