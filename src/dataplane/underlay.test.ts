import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatAddress, formatMac, formatPrefix, parseAddress } from '../base/address.ts'
import { systemClock } from '../base/clock.ts'
import { interfaceIndex } from '../linux/libc.ts'
import { enterNamespace } from '../linux/namespace.ts'
import { manageNeighbour } from '../linux/neighbour.ts'
import { Netlink } from '../linux/netlink.ts'
import { ip, ScratchNetwork, unprivileged } from '../linux/scratch.ts'
import { Underlay, type UnderlayOptions } from './underlay.ts'

const options = { skip: unprivileged }
const REMOTE = parseAddress('192.0.2.1')!
const TIMEOUT_ms = 5000

/** Told within this, once the command that changed something is back: a busy machine's scheduler included. */
const SOON_ms = 300

/** A host with two routers, one behind eth1 (10.1.0.2) and one behind eth2 (10.2.0.2, fd00::2). */
class Scene {
  readonly net = new ScratchNetwork()
  readonly here = this.net.namespace()
  readonly a = this.net.namespace()
  readonly b = this.net.namespace()
  underlay: Underlay
  changes = 0
  #wake = (): void => {}

  constructor(more: Partial<UnderlayOptions> = {}) {
    const { net, here, a, b } = this
    // Another interface first, so that the ends of a wire differ in index: the kernel tells of a carrier at once then.
    ip('-n', a, 'link', 'add', 'spare', 'type', 'bridge')
    ip('-n', b, 'link', 'add', 'spare', 'type', 'bridge')
    net.wire(
      { namespace: here, name: 'eth1', addresses: ['10.1.0.1/30'] },
      { namespace: a, name: 'peer', addresses: ['10.1.0.2/30'] },
    )
    net.wire(
      { namespace: here, name: 'eth2', addresses: ['10.2.0.1/24', 'fd00::1/64'] },
      { namespace: b, name: 'peer', addresses: ['10.2.0.2/24', 'fd00::2/64'] },
    )
    enterNamespace(here) // for good: the next test enters another
    this.underlay = this.open(more)
  }

  open(more: Partial<UnderlayOptions> = {}): Underlay {
    const onChange = (): void => {
      this.changes++
      this.#wake()
    }
    return Underlay.open({ ports: ['eth1', 'eth2'], clock: systemClock, onChange, ...more })
  }

  ip(...words: string[]): void {
    ip('-n', this.here, ...words)
  }

  mac(namespace: string): string {
    return /link\/ether (\S+)/.exec(ip('-n', namespace, 'link', 'show', 'peer'))![1]!
  }

  /** Port and MAC address of each adjacency, or why there is none. */
  leads(to = REMOTE): string {
    const resolution = this.underlay.resolve(to)
    if (resolution.status === 'unresolved') return resolution.why
    return this.underlay
      .adjacencies(to)
      .map(({ port, destination }) => `${port} ${formatMac(destination)}`)
      .join(', ')
  }

  /** Waits for the change after which it holds; returns how long that took, in milliseconds. */
  async until(holds: () => boolean, what = () => this.leads()): Promise<number> {
    const start_us = systemClock.now_us()
    const signal = AbortSignal.timeout(TIMEOUT_ms)
    while (!holds()) {
      await new Promise<void>((wake) => {
        this.#wake = wake
        signal.addEventListener('abort', () => wake())
      })
      ok(!signal.aborted, `at last: ${what()}`)
    }
    return (systemClock.now_us() - start_us) / 1000
  }

  [Symbol.dispose](): void {
    this.underlay.close()
    this.net[Symbol.dispose]()
  }
}

test(
  'a watched destination is resolved without any traffic, and changes with routes, links and neighbours',
  options,
  async () => {
    using scene = new Scene()
    const { underlay } = scene
    let told = 0
    const watch = underlay.watch(REMOTE, () => told++)
    equal(scene.leads(), 'the kernel has no route to it')

    scene.ip('route', 'add', '192.0.2.0/24', 'via', '10.1.0.2')
    const a = `0 ${scene.mac(scene.a)}`
    const b = `1 ${scene.mac(scene.b)}`
    await scene.until(() => scene.leads() === a)
    ok(told >= 2, 'a route, then a neighbour')

    scene.ip('route', 'replace', '192.0.2.0/24', 'nexthop', 'via', '10.1.0.2', 'nexthop', 'via', '10.2.0.2')
    await scene.until(() => scene.leads() === `${a}, ${b}`)

    told = 0
    ip('-n', scene.a, 'link', 'set', 'peer', 'down')
    const down_ms = await scene.until(() => scene.leads() === b)
    ok(down_ms < SOON_ms, `a lost carrier was told after ${down_ms} ms`)
    ok(told > 0)
    equal(underlay.isUp(0), false)
    equal(underlay.isUp(1), true)

    ip('-n', scene.a, 'link', 'set', 'peer', 'up')
    await scene.until(() => scene.leads() === `${a}, ${b}`)
    equal(underlay.isUp(0), true)

    ip('-n', scene.b, 'link', 'set', 'peer', 'address', '02:00:00:00:00:99')
    ip('-n', scene.b, 'neighbour', 'flush', 'all')
    scene.ip('neighbour', 'replace', '10.2.0.2', 'lladdr', '02:00:00:00:00:99', 'dev', 'eth2', 'nud', 'reachable')
    const mac_ms = await scene.until(() => scene.leads() === `${a}, 1 02:00:00:00:00:99`)
    ok(mac_ms < SOON_ms, `a new MAC address was told after ${mac_ms} ms`)

    watch.close()
    told = 0
    scene.ip('route', 'delete', '192.0.2.0/24')
    await scene.until(() => scene.leads() === 'the kernel has no route to it')
    equal(told, 0)
  },
)

test('IPv6, and destinations on the link', options, async () => {
  using scene = new Scene()
  const onLink = parseAddress('fd00::2')!
  const remote = parseAddress('2001:db8::1')!
  scene.ip('route', 'add', '2001:db8::/32', 'via', 'fd00::2')
  scene.underlay.watch(remote, () => {})
  scene.underlay.watch(onLink, () => {})
  const b = `1 ${scene.mac(scene.b)}`
  await scene.until(() => scene.leads(onLink) === b && scene.leads(remote) === b)
})

test('a neighbour that is not there is said to be missing, and found when it comes', options, async () => {
  using scene = new Scene()
  scene.ip('route', 'add', '192.0.2.0/24', 'via', '10.2.0.77')
  await scene.until(() => scene.leads() === '10.2.0.77 on eth2 has not answered')
  scene.underlay.watch(REMOTE, () => {})
  ip('-n', scene.b, 'address', 'add', '10.2.0.77/24', 'dev', 'peer')
  const found_ms = await scene.until(() => scene.leads() === `1 ${scene.mac(scene.b)}`)
  ok(found_ms < 2500, `found after ${found_ms} ms`)
})

test('a port whose device is removed, and made again, leads nowhere', options, async () => {
  using scene = new Scene()
  scene.ip('route', 'add', '192.0.2.0/24', 'via', '10.1.0.2')
  scene.underlay.watch(REMOTE, () => {})
  await scene.until(() => scene.leads() === `0 ${scene.mac(scene.a)}`)
  scene.ip('link', 'delete', 'eth1')
  await scene.until(() => scene.leads() === 'the kernel has no route to it')
  equal(scene.underlay.isUp(0), false)
  scene.net.wire(
    { namespace: scene.here, name: 'eth1', addresses: ['10.1.0.1/30'] },
    { namespace: scene.a, name: 'peer', addresses: ['10.1.0.2/30'] },
  )
  scene.ip('route', 'add', '192.0.2.0/24', 'via', '10.1.0.2')
  await scene.until(() => scene.leads() === 'its route leads over eth1, which is no port of ours')
})

test('who follows all routes finds their neighbours and those at the other end of its links', options, async () => {
  using scene = new Scene({ followRoutes: true })
  scene.ip('route', 'add', '192.0.2.0/24', 'via', '10.2.0.2')
  const table = (): Map<string, string> =>
    new Map(Array.from(scene.underlay.routes(), ({ prefix, resolution }) => [formatPrefix(prefix), resolution.status]))
  await scene.until(
    () => table().get('192.0.2.0/24') === 'resolved' && table().get('10.1.0.2/32') === 'resolved',
    () => JSON.stringify([...table()]),
  )
  const own = scene.underlay.localAddresses().map(formatAddress)
  for (const address of ['10.1.0.1', '10.2.0.1', 'fd00::1', '127.0.0.1']) ok(own.includes(address), address)
  scene.ip('address', 'add', '198.51.100.1/32', 'dev', 'lo')
  const before = scene.changes
  await scene.until(() => scene.underlay.localAddresses().map(formatAddress).includes('198.51.100.1'))
  ok(scene.changes > before)
})

test('a destination that becomes an address of this host leads nowhere, until it is none again', options, async () => {
  using scene = new Scene()
  scene.ip('route', 'add', '192.0.2.0/24', 'via', '10.1.0.2')
  let told = 0
  scene.underlay.watch(REMOTE, () => told++)
  const a = `0 ${scene.mac(scene.a)}`
  await scene.until(() => scene.leads() === a)
  told = 0
  scene.ip('address', 'add', '192.0.2.1/32', 'dev', 'lo')
  await scene.until(() => scene.leads() === 'it is an address of this host')
  scene.ip('address', 'delete', '192.0.2.1/32', 'dev', 'lo')
  await scene.until(() => scene.leads() === a)
  ok(told >= 2, `told ${told} times`)
})

test('neighbours that nobody needs any more are left to the kernel', options, async () => {
  using scene = new Scene()
  scene.ip('route', 'add', '192.0.2.0/24', 'via', '10.1.0.2')
  const watch = scene.underlay.watch(REMOTE, () => {})
  await scene.until(() => scene.leads() === `0 ${scene.mac(scene.a)}`)
  match(ip('-n', scene.here, 'neighbour', 'show'), /10\.1\.0\.2 dev eth1 lladdr \S+ managed/)
  watch.close()
  await scene.until(() => scene.leads() === '10.1.0.2 on eth1 has not answered')
  deepEqual(ip('-n', scene.here, 'neighbour', 'show').includes('managed'), false)
})

for (const state of ['permanent', 'noarp'])
  test(`a neighbour that somebody has entered by hand as ${state} stays as it is`, options, async () => {
    const entered = () => ip('-n', scene.here, 'neighbour', 'show', '10.1.0.2', 'dev', 'eth1', 'nud', 'all')
    const byHand = new RegExp(`^10.1.0.2 lladdr 02:00:00:00:00:77 ${state.toUpperCase()} `)
    using scene = new Scene()
    const enter = () =>
      scene.ip('neighbour', 'replace', '10.1.0.2', 'lladdr', '02:00:00:00:00:77', 'dev', 'eth1', 'nud', state)
    enter()
    scene.ip('route', 'add', '192.0.2.0/24', 'via', '10.1.0.2')
    await scene.until(() => scene.leads() === '0 02:00:00:00:00:77')
    scene.underlay.watch(REMOTE, () => {}).close()
    // Also one that was ours until then.
    scene.ip('neighbour', 'delete', '10.1.0.2', 'dev', 'eth1')
    const watch = scene.underlay.watch(REMOTE, () => {})
    await scene.until(() => scene.leads() === `0 ${scene.mac(scene.a)}`)
    enter()
    await scene.until(() => scene.leads() === '0 02:00:00:00:00:77')
    match(entered(), byHand)
    watch.close()
    // After the next change it is looked who is needed no more.
    scene.ip('address', 'add', '198.51.100.1/32', 'dev', 'lo')
    await scene.until(() => scene.underlay.localAddresses().map(formatAddress).includes('198.51.100.1'))
    match(entered(), byHand)
  })

test('what a killed process had the kernel keep is kept while it is needed, and then no longer', options, async () => {
  using scene = new Scene()
  scene.underlay.close()
  const isKept = (address: string): boolean => ip('-n', scene.here, 'neighbour', 'show', address).includes('managed')
  const ours = [
    ['eth1', '10.1.0.2'],
    ['eth2', '10.2.0.2'],
  ] as const
  const netlink = new Netlink()
  for (const [device, address] of ours)
    manageNeighbour(netlink, { interfaceIndex: interfaceIndex(device), address: parseAddress(address)! })
  netlink.close()
  scene.ip('neighbour', 'add', '10.2.0.9', 'dev', 'eth2', 'managed') // somebody else's
  scene.ip('route', 'add', '192.0.2.0/24', 'via', '10.1.0.2')
  scene.underlay = scene.open()
  scene.underlay.watch(REMOTE, () => {})
  const kept = () => ['10.1.0.2', '10.2.0.2', '10.2.0.9'].map(isKept)
  const signal = AbortSignal.timeout(TIMEOUT_ms)
  while (kept()[1]) {
    ok(!signal.aborted, 'never let go')
    await sleep(20) // who listens is not told of a neighbour that nothing leads over
  }
  deepEqual(kept(), [true, false, true])
})

test('a port that is not there is refused', options, () => {
  using scene = new Scene()
  throws(() => Underlay.open({ ports: ['eth7'], clock: systemClock }), /there is no interface eth7 here/)
  ok(scene)
})
