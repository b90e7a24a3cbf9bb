/** A stream of the bus loses its end at every byte of its last record, and at random ones of the whole. */

import { test } from 'node:test'
import { freshSeed, Random } from '../../src/base/random.ts'
import { cutStore } from './cut-store.ts'

const RANDOM_CUTS = 20

for (const stream of ['fib-blue', 'switch-edge', 'routes', 'routes-kept']) {
  test(`the stream ${stream} loses its end at every byte of its last record`, (t) =>
    cutStore(t, { stream, restarts: true, lefts: (length) => Array.from({ length }, (_, left) => left) }))
}

for (const stream of ['fib-blue', 'switch-edge', 'routes-kept']) {
  test(`the stream ${stream} is cut anywhere`, (t) => {
    const seed = freshSeed()
    t.diagnostic(`seed ${seed}`)
    const random = new Random(seed)
    const lefts = (): number[] => Array.from({ length: RANDOM_CUTS }, (_, i) => i)
    return cutStore(t, { stream, restarts: true, lefts, anywhere: (length) => random.below(length) })
  })
}
