import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { formatPrefix, parseAddress, parseMac, parsePrefix } from '../base/address.ts'
import type { Link } from '../linux/link.ts'
import type { Route } from '../linux/route.ts'
import { isSameResolution, type Network, neighbourName, type Resolution, RouteChoice } from './route-choice.ts'

const MAIN = 254
const DEFAULT = 253

type Hop = [port: string, gateway?: string, more?: { weight?: number; usable?: boolean }]

/** Interfaces 1 to 9 are eth1 to eth9, of which eth1 to eth4 are ports 0 to 3. */
class Kernel implements Network {
  readonly links = new Map<number, Link>()
  readonly addresses = new Map()
  readonly routes = new Map<string, Route>()
  readonly neighbours = new Map()

  constructor() {
    for (let index = 1; index <= 9; index++)
      this.links.set(index, {
        ...{ index, name: `eth${index}`, mac: parseMac(`02:00:00:00:00:0${index}`)!, mtu: 1500, up: true },
        ...{ carrier: true, operState: 'up', loopback: false, kind: undefined, master: 0 },
        ...{ receiveQueues: 1, transmitQueues: 1 },
      })
  }

  route(prefix: string, hops: Hop[], more: Partial<Route> = {}): this {
    const nextHops = hops.map(([name, gateway, { weight = 1, usable = true } = {}]) => ({
      ...{ interfaceIndex: Number(name.slice(3)), weight, usable },
      gateway: gateway === undefined ? undefined : parseAddress(gateway)!,
    }))
    const rest = { type: 'unicast', table: MAIN, priority: 0, preferredSource: undefined, mtu: undefined } as const
    this.routes.set(`${this.routes.size}`, { destination: parsePrefix(prefix)!, ...rest, nextHops, ...more })
    return this
  }

  neighbour(name: string, text: string, mac: string | undefined): this {
    const interfaceIndex = Number(name.slice(3))
    const address = parseAddress(text)!
    const state = mac ? 'reachable' : 'failed'
    this.neighbours.set(neighbourName({ interfaceIndex, address }), {
      ...{ interfaceIndex, address, state, mac: mac && parseMac(mac) },
    })
    return this
  }

  address(name: string, text: string): this {
    const entry = {
      interfaceIndex: Number(name.slice(3)),
      address: parseAddress(text)!,
      prefixLength: 24,
      usable: true,
    }
    this.addresses.set(text, entry)
    return this
  }

  change(name: string, more: Partial<Link>): this {
    const index = Number(name.slice(3))
    this.links.set(index, { ...this.links.get(index)!, ...more })
    return this
  }

  get choice(): RouteChoice {
    return new RouteChoice(this, new Map([1, 2, 3, 4].map((index) => [index, index - 1])))
  }

  /** `port:last byte of the MAC` of each adjacency, or why there is none. */
  leads(to: string): string {
    return brief(this.choice.resolve(parseAddress(to)!))
  }
}

function brief(resolution: Resolution): string {
  if (resolution.status === 'unresolved') return resolution.why
  return resolution.adjacencies.map(({ port, destination }) => `${port}:${destination[5]!.toString(16)}`).join(' ')
}

/** Two routers, a on eth1 and b on eth2, both known. */
const twoRouters = (): Kernel =>
  new Kernel().neighbour('eth1', '10.1.0.1', '02:00:00:00:00:aa').neighbour('eth2', '10.2.0.1', '02:00:00:00:00:bb')

test('the longest prefix wins, then the lowest priority number', () => {
  const kernel = twoRouters()
    .route('0.0.0.0/0', [['eth1', '10.1.0.1']])
    .route('192.0.2.0/24', [['eth2', '10.2.0.1']], { priority: 20 })
    .route('192.0.2.0/24', [['eth1', '10.1.0.1']], { priority: 10 })
    .route('192.0.2.128/25', [['eth2', '10.2.0.1']], { priority: 99 })
  equal(kernel.leads('198.51.100.1'), '0:aa')
  equal(kernel.leads('192.0.2.1'), '0:aa')
  equal(kernel.leads('192.0.2.200'), '1:bb')
})

test('the main table goes before the default table, and others are not looked at', () => {
  const kernel = twoRouters()
    .route('0.0.0.0/0', [['eth2', '10.2.0.1']], { table: DEFAULT })
    .route('192.0.2.0/24', [['eth1', '10.1.0.1']])
    .route('192.0.2.1/32', [['eth2', '10.2.0.1']], { table: DEFAULT })
    .route('192.0.2.2/32', [['eth2', '10.2.0.1']], { table: 100 })
  equal(kernel.leads('192.0.2.1'), '0:aa')
  equal(kernel.leads('192.0.2.2'), '0:aa')
  equal(kernel.leads('198.51.100.1'), '1:bb')
})

test('all next hops that work are taken, in proportion to their weights in lowest terms', () => {
  const kernel = twoRouters().route('192.0.2.0/24', [
    ['eth1', '10.1.0.1', { weight: 20 }],
    ['eth2', '10.2.0.1', { weight: 10 }],
  ])
  equal(kernel.leads('192.0.2.1'), '0:aa 0:aa 1:bb')
  equal(kernel.change('eth1', { carrier: false }).leads('192.0.2.1'), '1:bb')
  equal(kernel.change('eth1', { carrier: true }).neighbour('eth2', '10.2.0.1', undefined).leads('192.0.2.1'), '0:aa')
})

test('weights that would make too large a group are evened out', () => {
  const hops: Hop[] = [
    ['eth1', '10.1.0.1', { weight: 255 }],
    ['eth2', '10.2.0.1', { weight: 2 }],
  ]
  equal(twoRouters().route('192.0.2.0/24', hops).leads('192.0.2.1'), '0:aa 1:bb')
})

test('a route over dead links is passed over for the next best', () => {
  const kernel = twoRouters()
    .route('192.0.2.0/24', [['eth1', '10.1.0.1']], { priority: 10 })
    .route('192.0.2.0/24', [['eth2', '10.2.0.1']], { priority: 20 })
  equal(kernel.change('eth1', { up: false }).leads('192.0.2.1'), '1:bb')
  equal(kernel.change('eth2', { carrier: false }).leads('192.0.2.1'), 'its route leads over eth1, which is down')
  equal(
    twoRouters()
      .route('0.0.0.0/0', [['eth2', '10.2.0.1']])
      .route('192.0.2.0/24', [['eth1', '10.1.0.1', { usable: false }]])
      .leads('192.0.2.1'),
    '1:bb',
  )
})

test('a destination on the link is its own neighbour', () => {
  const kernel = new Kernel().route('10.1.0.0/24', [['eth1']]).neighbour('eth1', '10.1.0.7', '02:00:00:00:00:77')
  equal(kernel.leads('10.1.0.7'), '0:77')
  equal(kernel.leads('10.1.0.8'), '10.1.0.8 on eth1 has not answered')
  deepEqual(kernel.choice.resolve(parseAddress('10.1.0.8')!).neighbours, [
    { interfaceIndex: 1, address: parseAddress('10.1.0.8')! },
  ])
})

test('an IPv4 route may lead over an IPv6 neighbour', () => {
  const kernel = new Kernel()
    .route('192.0.2.0/24', [['eth1', 'fe80::1']])
    .route('2001:db8::/32', [['eth2', 'fe80::1']])
    .neighbour('eth1', 'fe80::1', '02:00:00:00:00:aa')
    .neighbour('eth2', 'fe80::1', '02:00:00:00:00:bb')
  equal(kernel.leads('192.0.2.1'), '0:aa')
  equal(kernel.leads('2001:db8::5'), '1:bb')
})

test('why nothing leads there is said in a sentence', () => {
  const kernel = twoRouters()
    .address('eth1', '10.1.0.2')
    .route('10.1.0.0/24', [['eth1']])
    .route('192.0.2.0/24', [], { type: 'blackhole' })
    .route('198.51.100.0/24', [['eth9', '10.9.0.1']])
    .route('203.0.113.0/24', [
      ['eth3', '10.3.0.1'],
      ['eth4', '10.4.0.1'],
    ])
  equal(kernel.leads('10.1.0.2'), 'it is an address of this host')
  equal(kernel.leads('172.16.0.1'), 'the kernel has no route to it')
  equal(kernel.leads('192.0.2.1'), "the kernel's route to it says blackhole")
  equal(kernel.leads('198.51.100.1'), 'its route leads over eth9, which is no port of ours')
  equal(kernel.leads('203.0.113.1'), '10.3.0.1 on eth3 and 10.4.0.1 on eth4 has not answered')
})

test('next hops over interfaces that are no ports are left out, and do not make room for a worse route', () => {
  const kernel = twoRouters()
    .route('192.0.2.0/24', [
      ['eth1', '10.1.0.1'],
      ['eth9', '10.9.0.1'],
    ])
    .route('198.51.100.0/24', [['eth9', '10.9.0.1']])
    .route('0.0.0.0/0', [['eth1', '10.1.0.1']])
  equal(kernel.leads('192.0.2.1'), '0:aa')
  equal(kernel.leads('198.51.100.1'), 'its route leads over eth9, which is no port of ours')
})

test("the MTU is the link's, or the route's where that is smaller, and the smallest of all paths", () => {
  const kernel = twoRouters()
    .change('eth2', { mtu: 9000 })
    .route('192.0.2.0/24', [
      ['eth1', '10.1.0.1'],
      ['eth2', '10.2.0.1'],
    ])
    .route('198.51.100.0/24', [['eth2', '10.2.0.1']], { mtu: 1400 })
  const both = kernel.choice.resolve(parseAddress('192.0.2.1')!)
  deepEqual(both.status === 'resolved' && [both.mtu, ...both.adjacencies.map(({ mtu }) => mtu)], [1500, 1500, 9000])
  const one = kernel.choice.resolve(parseAddress('198.51.100.1')!)
  deepEqual(one.status === 'resolved' && one.adjacencies, [
    { port: 1, source: parseMac('02:00:00:00:00:02'), destination: parseMac('02:00:00:00:00:bb'), mtu: 1400 },
  ])
})

test('the whole table: routes over others, neighbours as host routes, and what is discarded', () => {
  const kernel = twoRouters()
    .route('10.1.0.0/24', [['eth1']])
    .route('10.2.0.0/31', [['eth2']])
    .route('192.0.2.0/24', [
      ['eth1', '10.1.0.1'],
      ['eth2', '10.2.0.1'],
    ])
    .route('192.0.2.64/26', [['eth1', '10.1.0.1']], { priority: 20 })
    .route('192.0.2.64/26', [['eth2', '10.2.0.1']], { priority: 10 })
    .route('192.0.2.128/25', [], { type: 'unreachable' })
    .route('198.51.100.0/24', [['eth1', '10.1.0.1', { usable: false }]])
    .neighbour('eth1', 'fe80::7', '02:00:00:00:00:77')
    .neighbour('eth9', '10.9.0.7', '02:00:00:00:00:77')
  const table = Array.from(
    kernel.choice.routes(),
    ({ prefix, resolution }) => `${formatPrefix(prefix)} ${brief(resolution)}`,
  )
  deepEqual(table.sort(), [
    '10.1.0.0/24 the neighbour has not answered',
    '10.1.0.1/32 0:aa',
    '10.2.0.0/31 the neighbour has not answered',
    '10.2.0.1/32 1:bb',
    '192.0.2.0/24 0:aa 1:bb',
    "192.0.2.128/25 the kernel's route says unreachable",
    '192.0.2.64/26 1:bb',
  ])
})

test('who forwards by the whole table needs its gateways and the other ends of its point-to-point links', () => {
  const kernel = new Kernel()
    .address('eth1', '10.1.0.1')
    .address('eth2', '10.2.0.5')
    .route('10.1.0.0/31', [['eth1']])
    .route('10.2.0.4/30', [['eth2']])
    .route('10.3.0.0/24', [['eth3']])
    .route('2001:db8::2/127', [['eth4']])
    .route('192.0.2.0/24', [
      ['eth3', '10.3.0.9'],
      ['eth9', '10.9.0.9'],
    ])
  const needed = Array.from(kernel.choice.neighbours(), neighbourName).sort()
  deepEqual(needed, ['1 10.1.0.0', '2 10.2.0.6', '3 10.3.0.9', '4 2001:db8::2', '4 2001:db8::3'])
})

test('routes are taken over when they are said to have changed', () => {
  const kernel = twoRouters().route('192.0.2.0/24', [['eth1', '10.1.0.1']])
  const { choice } = kernel
  const to = parseAddress('192.0.2.1')!
  equal(brief(choice.resolve(to)), '0:aa')
  kernel.routes.clear()
  kernel.route('192.0.2.0/24', [['eth2', '10.2.0.1']])
  choice.routesChanged()
  equal(brief(choice.resolve(to)), '1:bb')
})

test('destinations behind the same gateway have one resolution in common, those on a link one each', () => {
  const kernel = new Kernel()
    .route('192.0.2.0/24', [['eth1', '10.0.0.1']])
    .route('10.0.0.0/24', [['eth1']])
    .neighbour('eth1', '10.0.0.1', '02:00:00:00:0a:01')
  const resolve = new RouteChoice(kernel, new Map([[1, 0]])).resolver()
  const to = (text: string) => resolve(parseAddress(text)!)
  equal(to('192.0.2.1'), to('192.0.2.2'))
  notEqual(to('10.0.0.1'), to('10.0.0.2'))
  deepEqual(to('192.0.2.1'), new RouteChoice(kernel, new Map([[1, 0]])).resolve(parseAddress('192.0.2.1')!))
})

test('resolutions that say the same are the same, and any difference makes them others', () => {
  const make = (mtu: number, mac: string, gateway = '10.0.0.1') => {
    const kernel = new Kernel().route('192.0.2.0/24', [['eth1', gateway]], { mtu }).neighbour('eth1', gateway, mac)
    return new RouteChoice(kernel, new Map([[1, 0]])).resolve(parseAddress('192.0.2.1')!)
  }
  const one = make(1400, '02:00:00:00:0a:01')
  ok(isSameResolution(one, make(1400, '02:00:00:00:0a:01')))
  const unresolved = new RouteChoice(new Kernel(), new Map()).resolve(parseAddress('192.0.2.1')!)
  ok(isSameResolution(unresolved, { ...unresolved }))
  const others = [
    make(1399, '02:00:00:00:0a:01'),
    make(1400, '02:00:00:00:0a:02'),
    make(1400, '02:00:00:00:0a:01', '10.0.0.2'),
    unresolved,
  ]
  for (const other of others) {
    equal(isSameResolution(one, other), false)
    equal(isSameResolution(other, one), false)
  }
})
