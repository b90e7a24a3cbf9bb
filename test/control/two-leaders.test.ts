/** Two control modules that both believe to lead: what the older one still writes counts nowhere. */

import { test } from 'node:test'
import { stopAt } from './kill-points.ts'

/** Where it stands still, about to write. */
const POINTS = [
  'before append fib-green 3',
  'before append switch-edge 3',
  'before put feeds/switch-edge 3',
  'before put hosts/h1 4',
  'before append routes-kept 2',
  'before put control/routes 2',
] as const

for (const point of POINTS) test(`a control module that stood still ${point} and goes on`, (t) => stopAt(t, point))
