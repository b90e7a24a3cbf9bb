/**
 * The agent of a switch between a control module, a kernel and nodes that the tests play: what it makes of their news.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatAddress, parseAddress, parseMac, parsePrefix } from '../base/address.ts'
import type { ManualClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { Random } from '../base/random.ts'
import { defaultBfdTimers } from '../bfd/session.ts'
import { BfdSpeaker } from '../bfd/speaker.ts'
import type { BfdTransport } from '../bfd/transport.ts'
import type { ForwardingRoute } from '../dataplane/route-choice.ts'
import type { Adjacency } from '../dataplane/template.ts'
import { bfd, ethernet, ipv4, ipv6, tcp, text, udp, vxlan } from '../wire/build.ts'
import type { SwitchBatch } from '../wire/control/switch.ts'
import { SwitchAgent, type SwitchUnderlay } from './agent.ts'
import { MemorySwitch } from './memory-switch.ts'

const address = (value: string) => parseAddress(value)!
const OWN = '10.0.0.1'
const VIP = '10.255.0.1'
const OTHER_VIP = '10.255.0.2'
const NODES = { 'fn-1': '10.0.1.1', 'fn-2': '10.0.1.2', 'fn-3': '10.0.1.3' } as const
type NodeName = keyof typeof NODES

const CUSTOMERS = ['acme', 'trunk']
const UPLINKS = ['path-a', 'path-b', 'fn-1', 'fn-2', 'fn-3']
/** As MemorySwitch numbers them. */
const PORTS = [...CUSTOMERS, ...UPLINKS]

function over(...ports: string[]): Adjacency[] {
  return ports.map((name) => {
    const port = PORTS.indexOf(name)
    return {
      port,
      source: parseMac(`02:00:00:00:01:0${port}`)!,
      destination: parseMac(`02:00:00:00:02:0${port}`)!,
      mtu: 1600,
    }
  })
}

/** What the kernel says, as the test wants it. */
class Kernel implements SwitchUnderlay {
  readonly #routes = new Map<string, readonly string[]>()
  readonly #watches = new Map<string, Set<() => void>>()
  readonly down = new Set<string>()
  changed: () => void = () => {}

  /** A route over ports; without any it is gone. */
  route(prefix: string, ...ports: string[]): void {
    if (ports.length === 0) this.#routes.delete(prefix)
    else this.#routes.set(prefix, ports)
    this.tell()
  }

  tell(): void {
    for (const listeners of this.#watches.values()) for (const listener of listeners) listener()
    this.changed()
  }

  #over(ports: readonly string[]): Adjacency[] {
    return over(...ports.filter((port) => !this.down.has(port)))
  }

  adjacencies(destination: Uint8Array): Adjacency[] {
    return this.#over(this.#routes.get(`${formatAddress(destination)}/32`) ?? [])
  }

  watch(destination: Uint8Array, changed: () => void) {
    const key = formatAddress(destination)
    const listeners = this.#watches.get(key) ?? new Set()
    this.#watches.set(key, listeners.add(changed))
    return { close: () => void listeners.delete(changed) }
  }

  *routes(): Iterable<ForwardingRoute> {
    for (const [prefix, ports] of this.#routes) {
      const adjacencies = this.#over(ports)
      const resolution =
        adjacencies.length > 0
          ? ({ status: 'resolved', adjacencies, mtu: 1600, neighbours: [] } as const)
          : ({ status: 'unresolved', why: 'down', neighbours: [] } as const)
      yield { prefix: parsePrefix(prefix)!, resolution }
    }
  }

  localAddresses(): Uint8Array[] {
    return ['127.0.0.1', '::1', 'fe80::1', OWN, '10.7.0.1', 'fd00:7::1'].map(address)
  }

  isUp(port: number): boolean {
    return !this.down.has(PORTS[port]!)
  }
}

/** The wires between the switch's kernel and its nodes', for BFD. */
class Wires {
  readonly clock: ManualClock
  readonly dead = new Set<string>()
  readonly #transports = new Map<string, BfdTransport>()

  constructor(clock: ManualClock) {
    this.clock = clock
  }

  transport(own: string): BfdTransport {
    const transport: BfdTransport = {
      onPacket: () => {},
      sender: (from, to) => ({
        send: (packet) => {
          const copy = packet.slice()
          if (this.dead.has(formatAddress(from)) || this.dead.has(formatAddress(to))) return
          this.clock.after(1, () => this.#transports.get(formatAddress(to))?.onPacket(copy, from, to))
        },
        close: () => {},
      }),
      drain: () => {},
      close: () => {},
    }
    this.#transports.set(own, transport)
    return transport
  }
}

class Site {
  readonly switch: MemorySwitch
  readonly kernel = new Kernel()
  readonly wires: Wires
  readonly agent: SwitchAgent
  readonly nodes = new Map<NodeName, BfdSpeaker>()
  steered: { host: string[]; tunnel: string[] } = { host: [], tunnel: [] }
  broken: string[] = []
  readonly #random = new Random(5)

  constructor() {
    this.switch = new MemorySwitch({ customers: CUSTOMERS, uplinks: UPLINKS })
    this.wires = new Wires(this.switch.clock)
    for (const path of ['10.255.0.0/24', `${VIP}/32`, `${OTHER_VIP}/32`]) this.kernel.route(path, 'path-a', 'path-b')
    for (const [name, own] of Object.entries(NODES)) this.kernel.route(`${own}/32`, name)
    this.agent = new SwitchAgent({
      ports: PORTS.map((name) => ({ name, isCustomer: CUSTOMERS.includes(name) })),
      writers: this.switch.writers,
      counters: this.switch.counters,
      underlay: this.kernel,
      clock: this.switch.clock,
      log: silent,
      bfd: (news) =>
        new BfdSpeaker({
          transport: this.wires.transport(OWN),
          clock: this.switch.clock,
          random: this.#random,
          enabled: true,
          news,
        }),
      mtuOf: () => 1500,
      broken: (paths) => {
        this.broken = paths.map(({ vni, remote }) => `${vni} behind ${formatAddress(remote!)}`)
      },
      steer: ({ host, tunnel }) => {
        this.steered = { host: host.map(formatAddress), tunnel: tunnel.map(formatAddress) }
      },
    })
    this.kernel.changed = () => this.agent.underlayChanged()
  }

  /** A node's end of BFD. */
  startNode(name: NodeName): void {
    const speaker = new BfdSpeaker({
      transport: this.wires.transport(NODES[name]),
      clock: this.switch.clock,
      random: this.#random,
      enabled: true,
      news: () => {},
      accept: { ...defaultBfdTimers, role: 'passive' },
    })
    this.nodes.set(name, speaker)
  }

  async pass(by_ms: number): Promise<void> {
    this.switch.advance(by_ms)
    await Promise.resolve()
  }

  /** The ports that flows to the VIP leave by. */
  portsOf(vip = VIP, port = 'path-a'): string[] {
    return Array.from({ length: 40 }, (_, i) => {
      const inner = ipv4({ source: '192.168.1.2', destination: '172.16.0.5' }, tcp({ sourcePort: 1024 + i }))
      const tunnel = udp({ sourcePort: 50_000, destinationPort: 4789 }, vxlan({ vni: 5 }, ethernet({}, inner)))
      return portOf(this.switch.send(port, ethernet({}, ipv4({ source: '10.9.0.1', destination: vip }, tunnel))))
    })
  }
}

const portOf = (sent: Record<string, Uint8Array[]>): string => Object.keys(sent).join() || 'none'
const hello = ethernet({}, ipv4({ source: '192.168.1.2', destination: '172.16.0.5' }, tcp({})))
const tagged = (vlan: number) => ethernet({ vlan }, ipv4({ source: '192.168.1.2', destination: '172.16.0.5' }, tcp({})))

/** Where a frame went in VXLAN: outer destination and VNI. */
function tunnelOf(sent: Record<string, Uint8Array[]>): string {
  const [frame] = Object.values(sent).flat()
  if (!frame) return 'nowhere'
  const view = new DataView(frame.buffer)
  return `${frame.subarray(30, 34).join('.')} ${view.getUint32(46) >>> 8}`
}

const empty: SwitchBatch = {
  switch: 'edge-1',
  epoch: 1,
  generation: 1,
  address: address(OWN),
  vips: [],
  attachments: [],
  balances: [],
}
const attachment = (port: string, vlan: number, vni: number, vip = VIP) => ({ port, vlan, vni, vip: address(vip) })
const edge: SwitchBatch = {
  ...empty,
  vips: [address(VIP)],
  attachments: [attachment('acme', 0, 1001), attachment('trunk', 200, 1002)],
}
const nodesOf = (...names: NodeName[]) => names.map((name) => ({ name, address: address(NODES[name]), weight: 1 }))
const rack = (...names: NodeName[]): SwitchBatch => ({
  ...empty,
  balances: [{ vip: address(VIP), selection: 'resilient', nodes: nodesOf(...names) }],
})

suite('a switch at the edge', () => {
  test('attaches what it is told to, and detaches what it is not told any more', () => {
    const site = new Site()
    equal(site.agent.apply(edge), undefined)
    equal(tunnelOf(site.switch.send('acme', hello)), `${VIP} 1001`)
    equal(tunnelOf(site.switch.send('trunk', tagged(200))), `${VIP} 1002`)
    equal(site.agent.apply({ ...edge, attachments: edge.attachments.slice(1) }), undefined)
    equal(tunnelOf(site.switch.send('acme', hello)), 'nowhere')
    equal(tunnelOf(site.switch.send('trunk', tagged(200))), `${VIP} 1002`)
    deepEqual(site.switch.drops(), { 'unknown-vlan': 1 })
  })

  test('takes a tenant to another VIP between two frames', () => {
    const site = new Site()
    site.agent.apply(edge)
    site.switch.send('acme', hello)
    const moved = [attachment('acme', 0, 1001, OTHER_VIP), attachment('trunk', 200, 1002)]
    equal(site.agent.apply({ ...edge, vips: [address(VIP), address(OTHER_VIP)], attachments: moved }), undefined)
    equal(tunnelOf(site.switch.send('acme', hello)), `${OTHER_VIP} 1001`)
    equal(tunnelOf(site.switch.send('trunk', tagged(200))), `${VIP} 1002`)
    equal(site.agent.attachments().find(({ port }) => port === 'acme')!.totals.sent, 2)
    deepEqual(site.switch.drops(), {})
  })

  test('says which segments have no wire with a carrier, and when they have one again', () => {
    const site = new Site()
    const twice = [...edge.attachments, attachment('acme', 7, 1003), attachment('trunk', 7, 1003)]
    site.agent.apply({ ...edge, attachments: twice })
    const cut = (...ports: string[]): string[] => {
      site.kernel.down.clear()
      for (const port of ports) site.kernel.down.add(port)
      site.kernel.tell()
      return site.broken
    }
    deepEqual(cut('acme'), [`1001 behind ${OWN}`])
    deepEqual(cut('path-a'), [])
    deepEqual(cut('acme', 'trunk'), [`1001 behind ${OWN}`, `1002 behind ${OWN}`, `1003 behind ${OWN}`])
    site.agent.apply(edge)
    deepEqual(site.broken, [`1001 behind ${OWN}`, `1002 behind ${OWN}`])
    deepEqual(cut(), [])
  })

  test('gives a wire to another tenant with counters of its own', () => {
    const site = new Site()
    site.agent.apply(edge)
    site.switch.send('acme', hello, hello)
    equal(site.agent.apply({ ...edge, attachments: [attachment('acme', 0, 2001)] }), undefined)
    equal(tunnelOf(site.switch.send('acme', hello)), `${VIP} 2001`)
    deepEqual(
      site.agent.attachments().map(({ vni, totals }) => [vni, totals.received]),
      [[2001, 1]],
    )
  })

  test('believes the tunnel endpoints that it was told last', () => {
    const site = new Site()
    const from = (vip: string) =>
      ethernet({}, ipv4({ source: vip, destination: OWN }, udp({ destinationPort: 4789 }, vxlan({ vni: 1001 }, hello))))
    site.agent.apply(edge)
    equal(portOf(site.switch.send('path-a', from(VIP))), 'acme')
    equal(portOf(site.switch.send('path-a', from(OTHER_VIP))), 'none')
    site.agent.apply({ ...edge, vips: [address(OTHER_VIP)] })
    equal(portOf(site.switch.send('path-a', from(VIP))), 'none')
    equal(portOf(site.switch.send('path-a', from(OTHER_VIP))), 'acme')
    deepEqual(site.switch.drops(), { 'unknown-remote': 2 })
  })

  test('leaves a path whose carrier is lost at once, and comes back to it', () => {
    const site = new Site()
    site.agent.apply(edge)
    const pathsUsed = () =>
      new Set(
        Array.from({ length: 40 }, (_, i) => {
          const packet = ipv4({ source: '192.168.1.2', destination: '172.16.0.5' }, tcp({ sourcePort: 1024 + i }))
          return portOf(site.switch.send('acme', ethernet({}, packet)))
        }),
      )
    deepEqual(pathsUsed(), new Set(['path-a', 'path-b']))
    site.kernel.down.add('path-a')
    site.kernel.tell()
    deepEqual(pathsUsed(), new Set(['path-b']))
    site.kernel.down.clear()
    site.kernel.tell()
    deepEqual(pathsUsed(), new Set(['path-a', 'path-b']))
  })

  test('counts what is for a customer whose port is down', () => {
    const site = new Site()
    site.agent.apply(edge)
    site.kernel.down.add('acme')
    site.kernel.tell()
    const tunnel = udp({ destinationPort: 4789 }, vxlan({ vni: 1001 }, hello))
    site.switch.send('path-a', ethernet({}, ipv4({ source: VIP, destination: OWN }, tunnel)))
    deepEqual(site.switch.drops(), { 'port-down': 1 })
  })

  for (const [what, attachments, why] of [
    ['a port that is none', [attachment('nowhere', 0, 5)], /nowhere is no customer port/],
    ['a routed port', [attachment('path-a', 0, 5)], /path-a is no customer port/],
    ['a VLAN out of range', [attachment('trunk', 4095, 5)], /trunk VLAN 4095: a VLAN is at most 4094/],
    ['a VNI out of range', [attachment('trunk', 5, 2 ** 24)], /a VNI is 1 to 16777215/],
    ['VNI 0', [attachment('trunk', 5, 0)], /a VNI is 1 to/],
    ['a VIP of the other kind', [attachment('trunk', 5, 5, 'fd00::1')], /not both of IPv4 or of IPv6/],
    ['a wire twice', [attachment('acme', 0, 5), attachment('acme', 0, 6)], /acme is attached twice/],
  ] as const)
    test(`refuses a batch with ${what}, and goes on as before`, () => {
      const site = new Site()
      site.agent.apply(edge)
      match(site.agent.apply({ ...edge, attachments }) ?? '', why)
      equal(tunnelOf(site.switch.send('acme', hello)), `${VIP} 1001`)
    })
})

suite('a switch in the rack', () => {
  test('sends to a node once BFD has it up, and no more when it is silent', async () => {
    const site = new Site()
    equal(site.agent.apply(rack('fn-1', 'fn-2')), undefined)
    deepEqual(new Set(site.portsOf()), new Set(['none']))
    site.startNode('fn-1')
    await site.pass(2500)
    deepEqual(new Set(site.portsOf()), new Set(['fn-1']))
    site.startNode('fn-2')
    await site.pass(2500)
    deepEqual(new Set(site.portsOf()), new Set(['fn-1', 'fn-2']))
    const before = site.portsOf()
    site.wires.dead.add(NODES['fn-2'])
    await site.pass(155)
    deepEqual(new Set(site.portsOf()), new Set(['fn-1']))
    site.wires.dead.clear()
    await site.pass(2500)
    deepEqual(site.portsOf(), before)
  })

  test('moves the flows of the node that died, and no others', async () => {
    const site = new Site()
    for (const name of ['fn-1', 'fn-2', 'fn-3'] as const) site.startNode(name)
    for (const selection of ['resilient', 'modulo'] as const) {
      const [balance] = rack('fn-1', 'fn-2', 'fn-3').balances
      equal(site.agent.apply({ ...empty, balances: [{ ...balance!, selection }] }), undefined)
      await site.pass(2500)
      const before = site.portsOf()
      deepEqual(new Set(before), new Set(['fn-1', 'fn-2', 'fn-3']))
      site.nodes.get('fn-2')!.setEnabled(false)
      await site.pass(5)
      const after = site.portsOf()
      for (const [i, port] of before.entries()) if (port !== 'fn-2') equal(after[i], port, selection)
      ok(!after.includes('fn-2'))
      site.nodes.get('fn-2')!.setEnabled(true)
      await site.pass(1500)
    }
  })

  test('does not wait for BFD when the wire to a node is cut', async () => {
    const site = new Site()
    for (const name of ['fn-1', 'fn-2'] as const) site.startNode(name)
    site.agent.apply(rack('fn-1', 'fn-2'))
    await site.pass(2500)
    site.kernel.down.add('fn-1')
    site.kernel.tell()
    await Promise.resolve()
    deepEqual(new Set(site.portsOf()), new Set(['fn-2']))
    deepEqual(
      site.agent.nodes().map(({ node, bfd, alive }) => [node, bfd, alive]),
      [
        ['fn-1', 'up', false],
        ['fn-2', 'up', true],
      ],
    )
  })

  test('spreads over the nodes that it was told last, and forgets the VIP when it is told so', async () => {
    const site = new Site()
    for (const name of ['fn-1', 'fn-2', 'fn-3'] as const) site.startNode(name)
    site.agent.apply(rack('fn-1', 'fn-2'))
    await site.pass(2500)
    const before = site.portsOf()
    site.agent.apply(rack('fn-1', 'fn-2', 'fn-3'))
    await site.pass(2500)
    const after = site.portsOf()
    ok(after.includes('fn-3'))
    for (const [i, port] of after.entries()) if (port !== 'fn-3') equal(port, before[i])
    site.agent.apply(empty)
    ok(
      site.portsOf(VIP, 'fn-1').every((port) => port.startsWith('path-')),
      'the kernel’s route is left',
    )
    deepEqual(site.agent.nodes(), [])
  })

  test('refuses weights that no group can hold, and a node that stands twice', () => {
    const site = new Site()
    const [balance] = rack('fn-1').balances
    const [node] = balance!.nodes
    const heavy = { ...balance!, nodes: [{ ...node!, weight: 257 }] }
    match(site.agent.apply({ ...empty, balances: [heavy] }) ?? '', /node fn-1 has a weight of 257/)
    match(site.agent.apply(rack('fn-1', 'fn-1')) ?? '', /a node stands twice/)
  })

  test('chooses the same node for its own customers as for everybody else', async () => {
    const site = new Site()
    for (const name of ['fn-1', 'fn-2', 'fn-3'] as const) site.startNode(name)
    equal(site.agent.apply({ ...edge, balances: rack('fn-1', 'fn-2', 'fn-3').balances }), undefined)
    await site.pass(2500)
    const fromCustomer = Array.from({ length: 40 }, (_, i) => {
      const inner = ipv4({ source: '192.168.1.2', destination: '172.16.0.5' }, tcp({ sourcePort: 1024 + i }))
      const sent = site.switch.send('acme', ethernet({}, inner))
      equal(tunnelOf(sent), `${VIP} 1001`)
      return portOf(sent)
    })
    deepEqual(fromCustomer, site.portsOf())
    equal(new Set(fromCustomer).size, 3)
  })

  test('sends all BFD packets of a session to one node, whatever path they take', async () => {
    const site = new Site()
    for (const name of ['fn-1', 'fn-2', 'fn-3'] as const) site.startNode(name)
    site.agent.apply({ ...edge, balances: rack('fn-1', 'fn-2', 'fn-3').balances })
    await site.pass(2500)
    const ports = Array.from({ length: 40 }, (_, id) => {
      const probe = udp({ sourcePort: 50_000, destinationPort: 3784 }, bfd())
      const packet = ipv4({ source: '192.168.1.2', destination: '192.168.1.1', ttl: 255, id: id + 1 }, probe)
      return portOf(site.switch.send('acme', ethernet({}, packet)))
    })
    equal(new Set(ports).size, 1)
  })

  test('gives all back: VIPs, nodes and tenants may come and go for ever', () => {
    const site = new Site()
    const both = { ...edge, balances: rack('fn-1', 'fn-2').balances }
    for (let i = 0; i < 300; i++) {
      equal(site.agent.apply(both), undefined, `round ${i}`)
      equal(site.agent.apply(empty), undefined, `round ${i}`)
      site.switch.run()
      site.switch.writers.qsbr.reclaim()
    }
  })
})

suite('a switch in the fabric', () => {
  /** From nobody who could be told of an error. */
  const to = (destination: string) => ethernet({}, ipv4({ source: '127.0.0.9', destination }, udp({}, text('hello'))))

  test('routes as the kernel’s table says, as it changes', () => {
    const site = new Site()
    equal(portOf(site.switch.send('fn-1', to('10.8.1.1'))), 'none')
    site.kernel.route('10.8.0.0/16', 'path-a')
    equal(portOf(site.switch.send('fn-1', to('10.8.1.1'))), 'path-a')
    site.kernel.route('10.8.1.0/24', 'path-b')
    equal(portOf(site.switch.send('fn-1', to('10.8.1.1'))), 'path-b')
    site.kernel.route('10.8.1.0/24')
    equal(portOf(site.switch.send('fn-1', to('10.8.1.1'))), 'path-a')
    site.kernel.down.add('path-a')
    site.kernel.tell()
    equal(portOf(site.switch.send('fn-1', to('10.8.1.1'))), 'none')
    deepEqual(site.switch.drops(), { 'no-route': 1, 'underlay-unresolved': 1 })
  })

  test('spreads over several next hops, in proportion to their weights', () => {
    const site = new Site()
    site.kernel.route('10.8.0.0/16', 'path-a', 'path-b', 'path-b', 'path-b')
    const ports = Array.from({ length: 400 }, (_, i) =>
      portOf(site.switch.send('fn-1', to(`10.8.${i >> 8}.${i & 255}`))),
    )
    const share = ports.filter((port) => port === 'path-b').length / ports.length
    ok(Math.abs(share - 0.75) < 0.08, `${share}`)
  })

  test('sends nothing out of a customer’s port, whatever the kernel routes there', () => {
    const site = new Site()
    site.kernel.route('10.8.0.0/16', 'acme')
    equal(portOf(site.switch.send('fn-1', to('10.8.1.1'))), 'none')
    deepEqual(site.switch.drops(), { 'no-route': 1 })
  })

  test('answers what expires from its tunnel endpoint, and from another address where that is of the other kind', () => {
    const site = new Site()
    site.agent.apply(edge)
    for (const prefix of ['10.8.0.0/16', 'fd00:8::/32']) site.kernel.route(prefix, 'path-a')
    const from = (frame: Uint8Array, at: number, bytes: number) => {
      const [error] = Object.values(site.switch.send('fn-1', frame)).flat()
      return formatAddress(error!.slice(at, at + bytes))
    }
    const expired = ipv4({ source: '10.8.0.1', destination: '10.8.1.1', ttl: 1 }, udp({}))
    equal(from(ethernet({}, expired), 26, 4), OWN)
    const expired6 = ipv6({ source: 'fd00:8::1', destination: 'fd00:8::2', hopLimit: 1 }, udp({}))
    equal(from(ethernet({}, expired6), 22, 16), 'fd00:7::1')
  })

  test('leaves the kernel its own addresses, and takes tunnels to the tunnel endpoint', () => {
    const site = new Site()
    site.agent.apply(edge)
    deepEqual(site.steered, { host: ['127.0.0.1', '::1', 'fe80::1', '10.7.0.1', 'fd00:7::1'], tunnel: [OWN] })
    equal(portOf(site.switch.send('fn-1', to('10.7.0.1'))), 'none')
    deepEqual(site.switch.drops(), { 'no-listener': 1 })
  })

  test('routes may come and go for ever', () => {
    const site = new Site()
    for (let i = 0; i < 600; i++) {
      site.kernel.route(`10.8.${i & 255}.0/24`, 'path-a', 'path-b', UPLINKS[2 + (i % 3)]!)
      if (i % 3 === 2) for (let j = i - 2; j <= i; j++) site.kernel.route(`10.8.${j & 255}.0/24`)
      site.switch.run()
      site.switch.writers.qsbr.reclaim()
    }
    site.kernel.route('10.8.0.0/16', 'path-a', 'fn-3')
    ok(portOf(site.switch.send('fn-1', to('10.8.1.1'))) !== 'none')
  })
})
