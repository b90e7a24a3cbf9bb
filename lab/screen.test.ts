import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { acme, moment, node, session, totals } from './sample-moments.ts'
import { lineOf, type Moments, painted, screenOf } from './screen.ts'

const start = moment({ seconds: 0, tenants: [], modules: [node({ totals: totals(), tenants: {} })] })
const later = moment({
  seconds: 3,
  tenants: [acme({ tcp: { bytes: 375e6, failed: 0 }, http: { requests: 125, failed: 1, p50_us: 800, p99_us: 2000 } })],
  modules: [
    node({
      totals: totals({ received: 1012, sent: 1010, sentBytes: 250e6, drops: { 'no-route': 2 } }),
      kernelDrops: 4,
    }),
  ],
})
const moments: Moments = { start, recent: start, before: moment(), now: later }

suite('the screen of a demo', () => {
  test('shows rates of the last second, counts since the start, and drops by reason a tenant and a node', () => {
    const screen = screenOf(moments, ['2 s: fn-2 does not answer']).join('\n')
    match(screen, /^acme +311 us +903 us +0 +1\.000 +0 +25 +1 {2}no-route 2$/m)
    match(screen, /^fn-1 +1,000 +1,000 +1\.000 {2}no-route 2, kernel 4$/m)
    match(screen, /\n2 s: fn-2 does not answer$/)
    match(screen, /^acme-1 +acme +0 {2}established$/m)
    equal(/around/.test(screen), false)
    const outside = { ...moments, now: { ...later, outside: { 'host-1:uplink-full': 1 } } }
    match(screenOf(outside, []).join('\n'), /lost around it: host-1:uplink-full 1/)
  })

  test('shows sessions that are down or that nobody tells of, and none where there are none', () => {
    const sessions = [session({ row: { name: 'acme-1', state: 'idle', flaps: 3 } }), session({ row: undefined })]
    const down = { ...moments, now: { ...later, sessions } }
    match(screenOf(down, []).join('\n'), /^acme-1 +acme +3 {2}idle\nacme-1 +does not answer$/m)
    match(lineOf(down), /BGP: 0 of 2 up, flapped 2/)
    equal(/session|BGP/.test([...screenOf({ ...moments, now: { ...later, sessions: [] } }, [])].join()), false)
  })

  test('leaves what was dropped before the traffic started to the past', () => {
    const quiet = { ...moments, start: moment({ seconds: 0, modules: [node({ kernelDrops: 4 })] }) }
    const screen = screenOf(quiet, []).join('\n')
    match(screen, /^acme .* nothing$/m)
    match(screen, /^fn-1 .* nothing$/m)
  })

  test('is a plain line where there is no terminal, with the same in it', () => {
    equal(
      lineOf(moments),
      '0:03 | acme: ping p50 311 us, p99 903 us, lost 0 of 40; TCP 1.000 Gbit/s, broken 0; HTTP 25/s, failed 1; ' +
        'dropped no-route 2 | fn-1: 1,000/s in, 1,000/s out; dropped no-route 2, kernel 4 | BGP: 1 of 1 up, flapped 0',
    )
  })

  test('says of a module that was started again what it has done since', () => {
    const again = {
      ...moments,
      now: moment({ seconds: 3, modules: [node({ totals: totals({ received: 5, sent: 5 }) })] }),
    }
    match(screenOf(again, []).join('\n'), /fn-1 +5 +5 /)
    const silent = { ...moments, now: moment({ seconds: 3, modules: [node({ totals: undefined })] }) }
    match(screenOf(silent, []).join('\n'), /fn-1 +does not answer/)
    match(lineOf(silent), /fn-1 +does not answer/)
  })

  test('fits into 80 columns while all is well, and sums up tenants beyond a dozen', () => {
    const tenants = Array.from({ length: 14 }, (_, i) => acme({ name: `tenant-${i}` }))
    const crowd = {
      start,
      recent: start,
      before: moment({ tenants }),
      now: moment({ seconds: 3, tenants, modules: start.modules }),
    }
    const screen = screenOf(crowd, [])
    for (const line of screen) ok(line.length <= 80, line)
    match(screen.join('\n'), /tenant-11 .*\n\.\.\. and 2 more; dropped nothing/)
  })

  test('is green where nothing is lost and red where something is', () => {
    const coloured = (drops: string): string => painted(`fn-1   1,000  ${drops}`, 60).replaceAll('\x1b', '')
    equal(coloured('nothing'), '[1mfn-1[0m   1,000[32m  nothing[0m')
    equal(coloured('multicast 2'), '[1mfn-1[0m   1,000[32m  multicast 2[0m')
    equal(coloured('multicast 2, port-full 1'), '[1mfn-1[0m   1,000[31m  multicast 2, port-full 1[0m')
    equal(coloured('established'), '[1mfn-1[0m   1,000[32m  established[0m')
    equal(coloured('idle'), '[1mfn-1[0m   1,000[31m  idle[0m')
    deepEqual(painted('a line that goes on', 6), 'a line')
  })
})
