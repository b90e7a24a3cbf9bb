import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { parseAddress } from '../base/address.ts'
import { systemClock } from '../base/clock.ts'
import { withNamespace } from '../linux/namespace.ts'
import { ip, ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import type { Reach } from './bgp/rib/next-hops.ts'
import { NextHopWatch } from './next-hop-watch.ts'

test('a next hop is told of at once, and whenever the kernel reaches it in another way', {
  skip: unprivileged,
}, async () => {
  using network = new ScratchNetwork()
  const namespace = network.namespace()
  ip('-n', namespace, 'link', 'add', 'left', 'type', 'veth', 'peer', 'name', 'right')
  for (const name of ['left', 'right']) ip('-n', namespace, 'link', 'set', name, 'up')
  ip('-n', namespace, 'address', 'add', '192.0.2.1/24', 'dev', 'left')
  const said: (Reach | string)[] = []
  let heard = (): void => {}
  const next = (): Promise<void> => new Promise((resolve) => (heard = resolve))
  const watch = withNamespace(
    namespace,
    () =>
      new NextHopWatch(systemClock, (_, reach) => {
        said.push(reach)
        heard()
      }),
  )
  try {
    watch.watch(parseAddress('192.0.2.9')!)
    watch.watch(parseAddress('198.51.100.1')!)
    deepEqual(said, [{ metric: 0 }, undefined])
    let news = next()
    ip('-n', namespace, 'route', 'add', '198.51.100.0/24', 'via', '192.0.2.9', 'metric', '30')
    await news
    deepEqual(said.slice(2), [{ metric: 30 }])
    news = next()
    ip('-n', namespace, 'route', 'del', '198.51.100.0/24')
    await news
    deepEqual(said.slice(3), [undefined])
  } finally {
    watch.close()
  }
})
