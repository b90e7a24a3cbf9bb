/** Buckets: revisions, compare-and-set, watches. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { bytes, Seen, type SuiteCases, text, withCode } from './site.ts'

export const buckets: SuiteCases = {
  'put, get, delete; every change has a higher revision; empty values are values': async (site) => {
    const bucket = (await site.join('kv')).bucket('kv')
    equal(await bucket.get('a'), undefined)
    const first = await bucket.put('a', bytes('1'))
    const second = await bucket.put('a', bytes(''))
    ok(second > first)
    const entry = await bucket.get('a')
    deepEqual([entry?.key, text(entry?.value), entry?.revision], ['a', '', second])
    await bucket.delete('a')
    equal(await bucket.get('a'), undefined)
    await bucket.delete('a')
    ok((await bucket.put('a', bytes('2'))) > second + 1)
  },

  'a put that expects another revision loses': async (site) => {
    const bucket = (await site.join('cas')).bucket('cas')
    const first = await bucket.put('a', bytes('1'), { revision: 0 })
    await rejects(bucket.put('a', bytes('2'), { revision: 0 }), withCode('wrong-revision'))
    const second = await bucket.put('a', bytes('2'), { revision: first })
    await rejects(bucket.put('a', bytes('3'), { revision: first }), withCode('wrong-revision'))
    await rejects(bucket.delete('a', { revision: first }), withCode('wrong-revision'))
    await bucket.delete('a', { revision: second })
    await bucket.put('a', bytes('4'), { revision: 0 })
    equal(text((await bucket.get('a'))?.value), '4')
  },

  'of writers that race with compare-and-set each counts once': async (site) => {
    const names = ['a', 'b', 'c', 'd']
    const increments = 50
    await Promise.all(
      names.map(async (name) => {
        const bucket = (await site.join(name)).bucket('race')
        for (let done = 0; done < increments; ) {
          const entry = await bucket.get('n')
          const next = bytes(String(Number(text(entry?.value) ?? 0) + 1))
          await bucket.put('n', next, { revision: entry?.revision ?? 0 }).then(
            () => done++,
            (error) => ok(withCode('wrong-revision')(error)),
          )
        }
      }),
    )
    const bucket = (await site.join('reader')).bucket('race')
    equal(text((await bucket.get('n'))?.value), String(names.length * increments))
  },

  'a watch hands over what is there, is ready, and then every change': async (site) => {
    const [writer, watcher] = [await site.join('writer'), await site.join('watcher')]
    const bucket = writer.bucket('watched')
    for (const key of ['a.1', 'a.2', 'b.1']) await bucket.put(key, bytes(key))
    await bucket.delete('a.2')
    const seen = new Seen<string>()
    const watch = watcher.bucket('watched').watch('a.*', ({ key, value }) => seen.add(`${key} ${text(value)}`))
    await watch.ready
    deepEqual(seen.list, ['a.1 a.1'])
    await bucket.put('b.2', bytes('not ours'))
    await bucket.put('a.3', bytes('new'))
    await seen.count(2)
    await bucket.delete('a.1')
    await seen.count(3)
    watch.close()
    await bucket.put('a.4', bytes('too late'))
    equal(text((await watcher.bucket('watched').get('a.4'))?.value), 'too late')
    deepEqual(seen.list, ['a.1 a.1', 'a.3 new', 'a.1 undefined'])
  },

  'a watch on an empty bucket is ready with nothing': async (site) => {
    const bus = await site.join('empty')
    const seen = new Seen<string>()
    await bus.bucket('empty').watch('>', ({ key }) => seen.add(key)).ready
    deepEqual(seen.list, [])
    await bus.bucket('empty').put('first', bytes('1'))
    await seen.count(1)
  },

  'ten thousand keys are written, listed and watched': async (site) => {
    const [writer, watcher] = [await site.join('writer'), await site.join('watcher')]
    const bucket = writer.bucket('many')
    const keys = Array.from({ length: 10_000 }, (_, i) => `key.${i % 10}.${i}`)
    await Promise.all(keys.map((key) => bucket.put(key, bytes(`value of ${key}`))))
    const seen = new Seen<string>()
    await watcher.bucket('many').watch('>', ({ key }) => seen.add(key)).ready
    deepEqual(seen.list, keys)
    deepEqual(
      (await bucket.entries('key.3.*')).map(({ key }) => key),
      keys.filter((key) => key.startsWith('key.3.')),
    )
    await Promise.all(keys.slice(1000).map((key) => bucket.delete(key)))
    await seen.count(19_000)
    deepEqual((await bucket.entries('>')).length, 1000)
  },

  'a watcher always gets the last value, however quickly it changes': async (site) => {
    const [writer, watcher] = [await site.join('writer'), await site.join('watcher')]
    const seen = new Seen<string>()
    await watcher.bucket('quick').watch('k', ({ value }) => seen.add(text(value)!)).ready
    const puts = Array.from({ length: 3000 }, (_, i) => writer.bucket('quick').put('k', bytes(String(i))))
    await Promise.all(puts)
    await seen.until((list) => list.at(-1) === '2999')
    const numbers = seen.list.map(Number)
    deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    )
  },
}
