/** Leases: one holder at a time, epochs, expiry, turns. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { campaign } from '../bus.ts'
import { Seen, type SuiteCases, withCode } from './site.ts'

const ttl_ms = 400

export const leases: SuiteCases = {
  'one holder at a time, and each new one has a higher epoch': async (site) => {
    const [a, b] = [await site.join('a'), await site.join('b')]
    const first = await a.acquireLease('leader', { holder: 'a', ttl_ms })
    await rejects(b.acquireLease('leader', { holder: 'b', ttl_ms }), withCode('lease-held'))
    ok(first.held)
    await first.release()
    ok(!first.held)
    await first.lost
    const second = await b.acquireLease('leader', { holder: 'b', ttl_ms })
    ok(second.epoch > first.epoch)
    await second.release()
  },

  'it is renewed as long as its holder lives, and expires after it was killed': async (site) => {
    const bus = await site.join('heir')
    const holder = await site.harness.spawnClient(`
      const lease = await bus.acquireLease('mortal', { holder: 'mortal', ttl_ms: ${ttl_ms} })
      console.log(lease.epoch)
      await new Promise((resolve) => clock.after(${3 * ttl_ms}, resolve))
      console.log(lease.held)`)
    const epoch = Number(await holder.line())
    await rejects(bus.acquireLease('mortal', { holder: 'heir', ttl_ms }), withCode('lease-held'))
    equal(await holder.line(), 'true')
    await rejects(bus.acquireLease('mortal', { holder: 'heir', ttl_ms }), withCode('lease-held'))
    await holder.kill()
    const lease = await campaign(bus, 'mortal', { holder: 'heir', ttl_ms }, new AbortController().signal)
    ok(lease.epoch > epoch)
    await lease.release()
  },

  'the same holder takes it from its former self, which learns of it': async (site) => {
    const [before, again] = [await site.join('before'), await site.join('again')]
    const old = await before.acquireLease('self', { holder: 'me', ttl_ms })
    const young = await again.acquireLease('self', { holder: 'me', ttl_ms })
    ok(young.epoch > old.epoch)
    await old.lost
    ok(young.held)
    await old.release()
    ok(young.held)
    await young.release()
  },

  'a watch tells the holder, its end, and the next': async (site) => {
    const [a, watcher] = [await site.join('a'), await site.join('watcher')]
    const seen = new Seen<string>()
    watcher.watchLease('shown', (holder) => seen.add(holder ? holder.holder : 'nobody'))
    await seen.count(1)
    const lease = await a.acquireLease('shown', { holder: 'one', ttl_ms })
    await seen.count(2)
    await lease.release()
    await seen.count(3)
    const next = await a.acquireLease('shown', { holder: 'two', ttl_ms })
    await seen.count(4)
    await next.release()
    await seen.count(5)
    deepEqual(seen.list, ['nobody', 'one', 'nobody', 'two', 'nobody'])
  },

  'campaigners take turns, and one that is stopped gives up': async (site) => {
    const [a, b, c] = [await site.join('a'), await site.join('b'), await site.join('c')]
    const { signal } = new AbortController()
    const first = await campaign(a, 'turns', { holder: 'a', ttl_ms }, signal)
    const abort = new AbortController()
    const third = rejects(campaign(c, 'turns', { holder: 'c', ttl_ms }, abort.signal), withCode('closed'))
    abort.abort()
    await third
    const second = campaign(b, 'turns', { holder: 'b', ttl_ms }, signal)
    await first.release()
    ok((await second).held)
    await (await second).release()
  },
}
