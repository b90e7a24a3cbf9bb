/**
 * The lab's copy of a site file. It means the same, but what must be unique on a machine has a name of this lab: the
 * site itself and the namespaces that its modules enter. And it knows how wide the lab's wires are.
 */

import { isMap, isSeq, parseDocument, type YAMLMap } from 'yaml'

/**
 * The text with the site under another name and every node, routing node and switch in the namespace that it is given. Other
 * sites that it names have the names of `sites`.
 */
export function renamed(
  text: string,
  siteName: string,
  namespaceOf: (name: string) => string,
  sites: ReadonlyMap<string, string> = new Map(),
): string {
  const document = parseDocument(text)
  document.set('site', siteName)
  for (const remote of entriesOf(document.get('remote_sites'))) {
    const name = String(remote.get('name'))
    remote.set('name', sites.get(name) ?? name)
  }
  const nodes = entriesOf(document.get('clusters')).flatMap((cluster) => entriesOf(cluster.get('nodes')))
  const speakers = entriesOf(document.getIn(['routing', 'nodes']))
  for (const module of [...nodes, ...speakers, ...entriesOf(document.get('switches'))])
    module.set('namespace', namespaceOf(String(module.get('name'))))
  return document.toString({ lineWidth: 0 })
}

/** The text with every connection that does not say its MTU as wide as the wires to tenants. */
export function widened(text: string, tenantMtu: number): string {
  const document = parseDocument(text)
  const connections = entriesOf(document.get('tenants')).flatMap((tenant) => entriesOf(tenant.get('connections')))
  for (const connection of connections) if (!connection.has('mtu')) connection.set('mtu', tenantMtu)
  return document.toString({ lineWidth: 0 })
}

/** The text with a bus over these servers, all of which keep everything. */
export function overNats(text: string, servers: readonly string[]): string {
  const document = parseDocument(text)
  document.set('bus', { nats: { servers, replicas: servers.length } })
  return document.toString({ lineWidth: 0 })
}

function entriesOf(list: unknown): YAMLMap[] {
  return isSeq(list) ? list.items.filter((item) => isMap(item)) : []
}
