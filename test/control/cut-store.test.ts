/** A few of the cuts of cut-store.long.ts. */

import { test } from 'node:test'
import { cutStore } from './cut-store.ts'

for (const stream of ['fib-blue', 'switch-edge', 'routes', 'routes-kept']) {
  for (const restarts of [false, true]) {
    const who = restarts ? 'another control module' : 'the same control module'
    test(`the stream ${stream} loses its end, and ${who} goes on`, (t) =>
      cutStore(t, { stream, restarts, lefts: (length) => [0, 15, length - 1] }))
  }
}
