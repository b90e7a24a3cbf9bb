/**
 * A bus on which a process can be ended at a point with a name. Every call that a control module makes has three: `before`
 * it is made, `sent` while its outcome is on the way, and `done` once it is known; with what is called, on what, and the how
 * manieth it is: `sent append fib-blue 2`. The module itself knows nothing of them.
 */

import type { Bucket, Bus, Stream } from '../../src/bus/bus.ts'

export function watchedBus(bus: Bus, reached: (point: string) => void): Bus {
  const counts = new Map<string, number>()
  const watch = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
    const count = (counts.get(what) ?? 0) + 1
    counts.set(what, count)
    reached(`before ${what} ${count}`)
    const outcome = call()
    reached(`sent ${what} ${count}`)
    const result = await outcome
    reached(`done ${what} ${count}`)
    return result
  }
  return new Proxy(bus, {
    get(_, property) {
      if (property === 'stream')
        return (...of: Parameters<Bus['stream']>) => watchedStream(bus.stream(...of), of[0], watch)
      if (property === 'bucket') return (name: string) => watchedBucket(bus.bucket(name), name, watch)
      if (property === 'acquireLease') {
        return (...of: Parameters<Bus['acquireLease']>) => watch(`acquire ${of[0]}`, () => bus.acquireLease(...of))
      }
      const value = bus[property as keyof Bus] as unknown
      return typeof value === 'function' ? value.bind(bus) : value
    },
  })
}

type Watch = <T>(what: string, call: () => Promise<T>) => Promise<T>

function watchedStream(stream: Stream, name: string, watch: Watch): Stream {
  return {
    append: (...of) => watch(`append ${name}`, () => stream.append(...of)),
    read: (from) => watch(`read ${name}`, () => stream.read(from)),
    consume: (...of) => stream.consume(...of),
    bounds: () => watch(`bounds ${name}`, () => stream.bounds()),
  }
}

function watchedBucket(bucket: Bucket, name: string, watch: Watch): Bucket {
  return {
    get: (key) => watch(`get ${name}/${key}`, () => bucket.get(key)),
    put: (key, ...of) => watch(`put ${name}/${key}`, () => bucket.put(key, ...of)),
    delete: (key, ...of) => watch(`delete ${name}/${key}`, () => bucket.delete(key, ...of)),
    entries: (pattern) => watch(`entries ${name}`, () => bucket.entries(pattern)),
    watch: (...of) => bucket.watch(...of),
  }
}
