import { deepEqual, equal, match } from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { Results } from './results.ts'

const passed = (name: string, skip?: string | boolean) => ({
  type: 'test:pass',
  data: { ...{ name, file: '/checkout/src/a.test.ts', nesting: 0, testNumber: 1, details: { duration_ms: 1 } }, skip },
})

const sum = (message: string) => ({ type: 'test:diagnostic', data: { nesting: 0, message, level: 'info' } })

test('sums are added up over runs, and what was skipped is told at the end by its reason', async () => {
  const output = new PassThrough()
  const printed = text(output)
  const results = new Results('/checkout', output)
  for (const event of [passed('one'), passed('two', 'needs root'), sum('pass 1'), sum('skipped 1'), sum('fail 0')])
    results.take(event)
  for (const event of [passed('three', 'needs ip'), passed('four', 'needs root'), passed('five', true), sum('pass 2')])
    results.take(event)
  equal(await results.finish(), true)
  match(await printed, /one.*\n(.*\n)*.*pass 3\n.*skipped 1\n.*fail 0\n/)
  deepEqual(results.skipped(), [
    'skipped, needs root:\n  src/a.test.ts: two\n  src/a.test.ts: four\n',
    'skipped, needs ip:\n  src/a.test.ts: three\n',
    'skipped, no reason given:\n  src/a.test.ts: five\n',
  ])
})

for (const what of ['fail', 'cancelled'])
  test(`one test that counts under ${what} in any of the runs is a failure of all`, async () => {
    const output = new PassThrough()
    const results = new Results('/checkout', output)
    for (const event of [sum(`${what} 1`), sum(`${what} 0`)]) results.take(event)
    output.resume()
    equal(await results.finish(), false)
  })
