/** Checks of VIPs, clusters, switches and hosts, and the index of them that the checks of tenants look things up in. */

import { type Complain, each, Unique } from './complain.ts'
import type { Cluster, Host, Switch, Vip } from './fabric.ts'
import type { Loose } from './loose.ts'
import type { Path } from './position.ts'
import { hostPayload, type Site } from './site.ts'

export interface Fabric {
  readonly vips: Unique<Loose<Vip>>
  readonly switches: Unique<Loose<Switch>>
  readonly hosts: Unique<Loose<Host>>
}

/** Modules that every site has one of. */
const RESERVED = ['bus', 'control', 'up']

export function indexFabric(site: Loose<Site>, complain: Complain): Fabric {
  const fabric: Fabric = { vips: new Unique(complain), switches: new Unique(complain), hosts: new Unique(complain) }
  each(site.vips, (vip, i) => fabric.vips.add(vip.name, ['vips', i, 'name'], vip))
  each(site.switches, (one, i) => fabric.switches.add(one.name, ['switches', i, 'name'], one))
  each(site.hosts, (host, i) => fabric.hosts.add(host.name, ['hosts', i, 'name'], host))
  return fabric
}

export function checkFabric(site: Loose<Site>, fabric: Fabric, complain: Complain): void {
  checkModuleNames(site, complain)
  checkAddresses(site, complain)
  checkPorts(site, complain)
  const served = new Set<string | undefined>()
  const clusters = new Unique(complain)
  each(site.clusters, (cluster, i) => {
    clusters.add(cluster.name, ['clusters', i, 'name'], cluster)
    checkVipList(cluster.vips, ['clusters', i, 'vips'], fabric, complain)
    each(cluster.vips, (vip) => served.add(vip))
  })
  each(site.vips, (vip, i) => {
    if (vip.name === undefined || served.has(vip.name)) return
    complain(['vips', i], `no cluster serves VIP ${JSON.stringify(vip.name)}`)
  })
  each(site.switches, (one, i) => {
    const path = ['switches', i, 'balances']
    const vips = new Unique(complain)
    each(one.balances, ({ vip }, j) => {
      fabric.vips.refer('VIP', vip, [...path, j, 'vip'])
      vips.add(vip, [...path, j, 'vip'], undefined)
    })
  })
  each(site.hosts, (host, i) => {
    if (host.tunnel === 'vxlan' && hostPayload({ tunnel: 'vxlan', payload: host.payload }) !== 'ethernet')
      complain(['hosts', i, 'payload'], 'VXLAN carries Ethernet; bare IP needs GRE')
  })
}

function checkVipList(vips: Loose<Cluster>['vips'], path: Path, fabric: Fabric, complain: Complain): void {
  const unique = new Unique(complain)
  each(vips, (vip, i) => {
    fabric.vips.refer('VIP', vip, [...path, i])
    unique.add(vip, [...path, i], undefined)
  })
}

/** Nodes and switches are processes of one site: their names are keys on the bus and names of files. */
function checkModuleNames(site: Loose<Site>, complain: Complain): void {
  const modules = new Unique(complain)
  const check = (name: string | undefined, path: Path): void => {
    if (name !== undefined && RESERVED.includes(name)) complain(path, `${JSON.stringify(name)} is the name of a module`)
    modules.add(name, path, undefined)
  }
  // Two switches of one name are told by the index already.
  const switches = new Set<string>()
  each(site.switches, ({ name }, i) => {
    if (name === undefined || switches.has(name)) return
    switches.add(name)
    check(name, ['switches', i, 'name'])
  })
  each(site.clusters, (cluster, i) =>
    each(cluster.nodes, ({ name }, j) => check(name, ['clusters', i, 'nodes', j, 'name'])),
  )
  each(site.routing?.nodes, ({ name }, i) => check(name, ['routing', 'nodes', i, 'name']))
  // One of the control modules may keep the name that the only one has.
  each(site.control?.nodes, ({ name }, i) => {
    const path = ['control', 'nodes', i, 'name']
    if (name === 'control') modules.add(name, path, undefined)
    else check(name, path)
  })
}

/** Every underlay address belongs to one thing. */
function checkAddresses(site: Loose<Site>, complain: Complain): void {
  const addresses = new Unique(complain)
  each(site.vips, ({ address }, i) => addresses.add(address, ['vips', i, 'address'], undefined))
  each(site.clusters, (cluster, i) =>
    each(cluster.nodes, ({ address }, j) => addresses.add(address, ['clusters', i, 'nodes', j, 'address'], undefined)),
  )
  each(site.switches, ({ address }, i) => addresses.add(address, ['switches', i, 'address'], undefined))
  each(site.hosts, ({ address }, i) => addresses.add(address, ['hosts', i, 'address'], undefined))
  each(site.routing?.nodes, ({ address }, i) => addresses.add(address, ['routing', 'nodes', i, 'address'], undefined))
}

/**
 * A network interface of a namespace belongs to one module, once. Over NATS, what has no namespace may have a host to itself,
 * and hosts' interfaces may be called alike.
 */
function checkPorts(site: Loose<Site>, complain: Complain): void {
  const namespaces = new Map<string, Unique>()
  const usedBy = ({ name, namespace }: { name?: string; namespace?: string }): Unique => {
    const where = namespace ?? (site.bus?.nats ? `host of ${name}` : '')
    const used = namespaces.get(where) ?? new Unique(complain)
    namespaces.set(where, used)
    return used
  }
  const check = (used: Unique, ports: readonly (string | undefined)[] | undefined, path: Path): void =>
    each(ports, (port, i) => used.add(port, [...path, i], undefined))
  each(site.clusters, (cluster, i) =>
    each(cluster.nodes, (node, j) => check(usedBy(node), node.ports, ['clusters', i, 'nodes', j, 'ports'])),
  )
  each(site.switches, (one, i) => {
    const used = usedBy(one)
    check(used, one.uplinks, ['switches', i, 'uplinks'])
    check(used, one.ports, ['switches', i, 'ports'])
  })
}
