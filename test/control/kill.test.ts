/** Some of the points of kill.long.ts: one of each kind. */

import { test } from 'node:test'
import { endAt } from './kill-points.ts'

const POINTS = [
  'sent append fib-blue 1',
  'before put feeds/fib-green 1',
  'done append switch-edge 2',
  'done append routes-kept 1',
  'sent append fib-green 4',
] as const

for (const point of POINTS) test(`a control module that dies ${point}`, (t) => endAt(t, point))
