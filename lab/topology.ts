/**
 * The network around a site, worked out from its site file: which namespaces there are, which wires between them, and
 * what each namespace's kernel is to know. Nothing is made here, so a test can look at it without root.
 *
 *   customer --(a trunk box where there are VLANs)-- edge switch ==paths== rack switch -- nodes, routing nodes
 *                                                                                       -- hosts -- virtual machines
 *
 * The underlay is routed: every wire is a subnet of two addresses, the addresses that the site file names are on `lo`,
 * and the routes between them are all the shortest ones. A port of a switch leads to what has the same name: a node or a
 * host, else another switch's port. A customer that the gateway speaks BGP with has a router that does.
 */

import { formatAddress, ipv4Bytes, masked, parseAddress, parseInterface, prefixContains } from '../src/base/address.ts'
import type { Host as HostEntry, Switch } from '../src/config/fabric.ts'
import { type Site, vpcKey } from '../src/config/site.ts'
import type { Connection, Tenant } from '../src/config/tenant.ts'
import { type CustomerRouter, routerOf } from './customer-router.ts'
import { type End, INTERFACE_NAME_MAX, type Link } from './namespaces.ts'

export interface Shape {
  /** Of the underlay's wires; above the tenants' by at least a VXLAN header over IPv6, 70 bytes. */
  readonly underlayMtu: number
  readonly tenantMtu: number
  /** Customers' routers tell their kernels what they learn; otherwise it is told that all is behind the gateway. */
  readonly routersInstall: boolean
  /** Uplinks whose other end is not of this site. */
  readonly outside: readonly string[]
}

export const defaultShape: Shape = { underlayMtu: 1700, tenantMtu: 1500, routersInstall: true, outside: [] }

export interface Customer {
  readonly tenant: string
  readonly namespace: string
  /** Where its traffic starts and ends: inside of what it has routed to it, else its own addresses. */
  readonly addresses: readonly string[]
  /** Undefined where nobody speaks BGP with it. */
  readonly router: CustomerRouter | undefined
}

export interface Machine {
  readonly tenant: string
  readonly name: string
  readonly namespace: string
  readonly addresses: readonly string[]
  readonly mac: string
  readonly host: string
  /** The VPC's GRE key. */
  readonly key: number
  /** The host's end of its wire. */
  readonly interface: string
}

interface Uplink {
  readonly interface: string
  readonly mac: string
  readonly nextHopMac: string
}

export interface Host {
  readonly name: string
  readonly namespace: string
  readonly entry: HostEntry
  readonly uplinks: readonly Uplink[]
  readonly machines: readonly Machine[]
}

/** A namespace that tags frames: its interface `trunk` leads to the switch's port, the others each to a customer. */
export interface TrunkBox {
  readonly namespace: string
  /** VLAN 0 is the port's untagged customer. */
  readonly customers: readonly { readonly interface: string; readonly vlan: number }[]
}

export interface Topology {
  /** Namespaces of switches, nodes and hosts, then those of tenants, then those in between. */
  readonly underlay: readonly string[]
  readonly overlay: readonly string[]
  /** Those of the underlay that are routing nodes: they speak IPv6 with customers whatever the underlay is. */
  readonly speakers: readonly string[]
  readonly boxes: readonly TrunkBox[]
  readonly links: readonly Link[]
  /** For `ip -batch`, once the links are there. */
  readonly commands: ReadonlyMap<string, readonly string[]>
  readonly customers: readonly Customer[]
  readonly hosts: readonly Host[]
  readonly hasIpv6Underlay: boolean
}

/** What virtual machines take for their gateway; the host's vSwitch answers for it. */
export const MACHINE_GATEWAY = { ipv4: '169.254.1.1', ipv6: 'fe80::1' } as const

export function topologyOf(site: Site, shape: Shape): Topology {
  const commands = new Commands()
  const fabric = new Fabric(site, shape)
  fabric.route(commands)
  const machines = machinesOf(site, shape, commands)
  const customers = customersOf(site, shape, commands)
  const hosts = site.hosts.map((entry) => ({
    name: entry.name,
    namespace: entry.name,
    entry,
    uplinks: fabric.uplinksOf(entry.name),
    machines: machines.made.filter((machine) => machine.host === entry.name),
  }))
  return {
    underlay: fabric.members.map((member) => member.name),
    overlay: [...customers.made, ...machines.made].map(({ namespace }) => namespace),
    speakers: (site.routing?.nodes ?? []).map(({ name }) => name),
    boxes: customers.boxes,
    links: [...fabric.links, ...customers.links, ...machines.links],
    commands: commands.byNamespace,
    customers: customers.made,
    hosts,
    hasIpv6Underlay: fabric.hasIpv6,
  }
}

class Commands {
  readonly byNamespace = new Map<string, string[]>()

  add(namespace: string, ...lines: string[]): void {
    const before = this.byNamespace.get(namespace) ?? []
    before.push(...lines)
    this.byNamespace.set(namespace, before)
  }
}

interface Member {
  readonly name: string
  readonly address: string
  /** Only switches forward for others. */
  readonly transit: boolean
  /** Each worker wants a queue of its own on every port. */
  readonly workers: number
  readonly wires: Wire[]
}

/** One end of a link, as the member at that end sees it. */
interface Wire {
  readonly to: Member
  readonly interface: string
  readonly mac: string
  readonly nextHop: { readonly ipv4: string; readonly ipv6: string; readonly mac: string }
}

class Fabric {
  readonly members: readonly Member[]
  readonly links: Link[] = []
  readonly hasIpv6: boolean
  readonly #site: Site
  readonly #shape: Shape

  constructor(site: Site, shape: Shape) {
    this.#site = site
    this.#shape = shape
    const nodes = site.clusters.flatMap((cluster) => cluster.nodes)
    const member = (transit: boolean) => (entry: { name: string; address: string; workers?: number }) => {
      return { name: entry.name, address: entry.address, transit, workers: entry.workers ?? 1, wires: [] }
    }
    const speakers = site.routing?.nodes ?? []
    this.members = [
      ...site.switches.map(member(true)),
      ...[...nodes, ...speakers, ...site.hosts].map((entry) => member(false)(entry)),
    ]
    this.hasIpv6 = [...this.members, ...site.vips].some(({ address }) => isIpv6(address))
    for (const entry of site.switches) for (const port of entry.uplinks) this.#connect(entry, port)
  }

  uplinksOf(name: string): Uplink[] {
    const { wires } = this.#member(name)!
    return wires.map((wire) => ({ interface: wire.interface, mac: wire.mac, nextHopMac: wire.nextHop.mac }))
  }

  #member(name: string): Member | undefined {
    return this.members.find((member) => member.name === name)
  }

  #connect(entry: Switch, port: string): void {
    if (this.#shape.outside.includes(port)) return
    const here = this.#member(entry.name)!
    const there = this.#member(port)
    if (there && !there.transit) {
      this.#wire(here, port, there, this.#portTowards(entry.name, there))
      return
    }
    const index = this.#site.switches.indexOf(entry)
    const others = this.#site.switches.filter((other) => other !== entry && other.uplinks.includes(port))
    if (others.length > 1) throw new Error(`lab: three switches have an uplink ${port}, a wire has two ends`)
    const [other] = others
    if (!other) throw new Error(`lab: ${entry.name}'s uplink ${port} leads to nothing of that name`)
    // The switch that stands first in the file makes the wire.
    if (this.#site.switches.indexOf(other) > index) this.#wire(here, port, this.#member(other.name)!, port)
  }

  /**
   * A node names its ports: one that is called as the switch, else the next in order. A host's is called as the switch.
   */
  #portTowards(switchName: string, member: Member): string {
    const node = this.#site.clusters.flatMap((cluster) => cluster.nodes).find(({ name }) => name === member.name)
    if (!node) return switchName
    const port = node.ports.includes(switchName) ? switchName : node.ports[member.wires.length]
    if (!port) throw new Error(`lab: node ${member.name} has no port for its wire to ${switchName}`)
    return port
  }

  #wire(a: Member, portA: string, b: Member, portB: string): void {
    const number = this.links.length
    const ends = [a, b].map((member, side) => ({
      member,
      interface: side === 0 ? portA : portB,
      mac: macOf('6c', number * 2 + side),
      ipv4: formatAddress(ipv4Bytes(LINKS_IPV4 + number * 2 + side)),
      ipv6: `fd6c:6162:0:${number.toString(16)}::${side}`,
    }))
    const [first, second] = [ends[0]!, ends[1]!]
    for (const [end, other] of [
      [first, second],
      [second, first],
    ] as const)
      end.member.wires.push({ to: other.member, interface: end.interface, mac: end.mac, nextHop: other })
    const [linkA, linkB] = ends.map((end): End => {
      const addresses = [`${end.ipv4}/31`, ...(this.hasIpv6 ? [`${end.ipv6}/127`] : [])]
      return { namespace: end.member.name, interface: checkedName(end.interface), mac: end.mac, addresses }
    })
    this.links.push({ a: linkA!, b: linkB!, mtu: this.#shape.underlayMtu, queues: Math.max(a.workers, b.workers) })
  }

  /** Own addresses on `lo`, and all the shortest routes to everybody else's. */
  route(commands: Commands): void {
    const owners = new Map<string, Member[]>(this.members.map((member) => [member.address, [member]]))
    for (const { name, address } of this.#site.vips) {
      const clusters = this.#site.clusters.filter((cluster) => cluster.vips.includes(name))
      owners.set(
        address,
        clusters.flatMap((cluster) => cluster.nodes.map((node) => this.#member(node.name)!)),
      )
    }
    for (const [address, members] of owners)
      for (const member of members) commands.add(member.name, onLoopback(address))
    for (const [address, members] of owners) {
      const distances = distancesTo(members)
      for (const member of this.members) {
        const nextHops = member.wires.filter(
          ({ to }) =>
            (to.transit || members.includes(to)) && distances.get(to)! === (distances.get(member) ?? Number.NaN) - 1,
        )
        if (nextHops.length > 0) commands.add(member.name, routeLine(member, address, nextHops))
      }
    }
  }
}

/** 169.254.0.0: addresses of wires are nobody's business beyond the wire, so no site's own can meet them. */
const LINKS_IPV4 = 0xa9fe0000

function distancesTo(owners: readonly Member[]): Map<Member, number> {
  const distances = new Map(owners.map((owner) => [owner, 0]))
  const queue = [...owners]
  for (let member = queue.shift(); member; member = queue.shift()) {
    if (!member.transit && !owners.includes(member)) continue
    for (const { to } of member.wires) {
      if (distances.has(to)) continue
      distances.set(to, distances.get(member)! + 1)
      queue.push(to)
    }
  }
  return distances
}

function routeLine(member: Member, address: string, wires: readonly Wire[]): string {
  const family = isIpv6(address) ? 'ipv6' : 'ipv4'
  const hops = wires.map((wire) => `nexthop via ${wire.nextHop[family]} dev ${wire.interface}`)
  const source = isIpv6(address) === isIpv6(member.address) ? ` src ${member.address}` : ''
  return `route add ${hostPrefix(address)}${source} ${hops.join(' ')}`
}

interface Made<T> {
  readonly made: T[]
  readonly links: Link[]
}

function machinesOf(site: Site, shape: Shape, commands: Commands): Made<Machine> {
  const made: Machine[] = []
  const links: Link[] = []
  for (const tenant of site.tenants)
    for (const vpc of tenant.vpcs)
      for (const entry of vpc.machines) {
        const number = made.length
        const mac = entry.mac ?? macOf('76', number)
        const namespace = `${tenant.name}-${vpc.name}-${entry.name}`
        const port = `vm${number}`
        const { name, host, address: addresses } = entry
        const key = vpcKey(tenant, vpc)
        made.push({ tenant: tenant.name, name, namespace, addresses, mac, host, key, interface: port })
        const inside = { namespace, interface: 'eth0', mac, addresses: addresses.map(hostPrefix) }
        links.push({ a: { namespace: host, interface: port }, b: inside, mtu: shape.tenantMtu, queues: 1 })
        commands.add(namespace, ...addresses.flatMap(machineRoutes))
      }
  return { made, links }
}

function machineRoutes(address: string): string[] {
  const gateway = isIpv6(address) ? MACHINE_GATEWAY.ipv6 : MACHINE_GATEWAY.ipv4
  return [
    `route add ${hostPrefix(gateway)} dev eth0 src ${address}`,
    `route add default via ${gateway} dev eth0 src ${address}`,
  ]
}

function customersOf(site: Site, shape: Shape, commands: Commands): Made<Customer> & { boxes: TrunkBox[] } {
  const made: Customer[] = []
  const links: Link[] = []
  const boxes: TrunkBox[] = []
  const ports = new Map<string, { tenant: Tenant; connection: Connection }[]>()
  for (const tenant of site.tenants)
    for (const connection of tenant.connections) {
      const port = `${connection.switch} ${connection.port}`
      ports.set(port, [...(ports.get(port) ?? []), { tenant, connection }])
    }
  const wire = (a: End, b: End, queues: number): number => links.push({ a, b, mtu: shape.tenantMtu, queues })
  for (const users of ports.values()) {
    const { switch: namespace, port } = users[0]!.connection
    const atSwitch: End = { namespace, interface: checkedName(port) }
    const queues = site.switches.find(({ name }) => name === namespace)?.workers ?? 1
    const isTrunk = users.some(({ connection }) => connection.vlan !== undefined)
    const box = { namespace: `${namespace}-${port}-box`, customers: [] as { interface: string; vlan: number }[] }
    if (isTrunk) {
      boxes.push(box)
      wire(atSwitch, { namespace: box.namespace, interface: 'trunk' }, queues)
    }
    for (const [i, { tenant, connection }] of users.entries()) {
      const customer = customerOf(site, shape, { tenant, connection }, commands)
      made.push(customer)
      const inside = { namespace: customer.namespace, interface: 'wan', addresses: wanAddresses(connection) }
      wire(isTrunk ? { namespace: box.namespace, interface: `c${i}` } : atSwitch, inside, queues)
      box.customers.push({ interface: `c${i}`, vlan: connection.vlan ?? 0 })
    }
  }
  return { made, links, boxes }
}

/**
 * Without duplicate address detection, which would leave an IPv6 address unusable for a moment, and routes name it
 * next.
 */
function onLoopback(address: string): string {
  return `addr add ${hostPrefix(address)} dev lo${isIpv6(address) ? ' nodad' : ''}`
}

function customerOf(
  site: Site,
  shape: Shape,
  { tenant, connection }: { tenant: Tenant; connection: Connection },
  commands: Commands,
): Customer {
  const { name } = connection
  const namespace = name.startsWith(`${tenant.name}-`) ? name : `${tenant.name}-${name}`
  const gateways = connection.gateway.map((text) => formatAddress(parseInterface(text)!.address))
  const own = connection.peers.map((peer) => peer.address)
  const routed = tenant.routes
    .filter((route) => route.via?.some(({ to }) => to === connection.name || own.includes(to)))
    .map(({ prefix }) => prefix)
  const router = routerOf(site, tenant, connection, routed)
  const behind = Array.from(new Set([...routed, ...(router?.announces ?? [])]), firstHost)
  commands.add(namespace, ...behind.map(onLoopback))
  const missing = own.filter((peer) => !behind.some((address) => isIpv6(address) === isIpv6(peer)))
  const addresses = [...behind, ...missing]
  for (const gateway of gateways) {
    const source = addresses.find((address) => isIpv6(address) === isIpv6(gateway))
    if (source && !(router && shape.routersInstall))
      commands.add(namespace, `route add default via ${gateway} dev wan src ${source}`)
  }
  return { tenant: tenant.name, namespace, addresses, router }
}

/** Each peer's address with the length of the segment's prefix. */
function wanAddresses(connection: Connection): string[] {
  return connection.peers.flatMap((peer) => {
    const address = parseAddress(peer.address)!
    const segment = connection.gateway
      .map((text) => parseInterface(text)!)
      .find((gateway) => prefixContains({ ...gateway, address: masked(gateway.address, gateway.length) }, address))
    return segment ? [`${peer.address}/${segment.length}`] : []
  })
}

function firstHost(prefix: string): string {
  const { address, length } = parseInterface(prefix)!
  const first = masked(address, length)
  if (length < address.length * 8) first[first.length - 1]! |= 1
  return formatAddress(first)
}

function isIpv6(address: string): boolean {
  return address.includes(':')
}

function hostPrefix(address: string): string {
  return `${address}/${isIpv6(address) ? 128 : 32}`
}

/** Locally administered; `kind` keeps the wires' and the machines' apart. */
function macOf(kind: string, number: number): string {
  const low = [number >>> 8, number & 0xff].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
  return `02:${kind}:00:00:${low}`
}

function checkedName(name: string): string {
  if (name.length > INTERFACE_NAME_MAX)
    throw new Error(`lab: ${name} is too long for an interface, Linux takes ${INTERFACE_NAME_MAX} characters`)
  return name
}
