/**
 * The lab's management network and three nats-servers on it: what the bus of a site over NATS runs on.
 *
 *   n1, n2, n3 --+
 *                +-- a bridge in the namespace `management` -- each namespace of a switch, a node, a routing node or a host
 *
 * What has no namespace of its own (`gatehouse up`, control modules) runs in `management`. The network's addresses are
 * link-local and above those of the underlay's wires, so they meet none that a site file has.
 */

import type { ChildProcess } from 'node:child_process'
import { formatAddress, ipv4Bytes } from '../../src/base/address.ts'
import type { Lab, Link } from '../namespaces.ts'
import { type ClusterMember, NatsCluster, SERVERS } from './cluster.ts'
import { type Door, openDoor } from './door.ts'

/** The namespace, and the interface that leads to it from every other. */
export const MANAGEMENT = 'management'
/** 169.254.128.0/17; wires have addresses from 169.254.0.0 on (topology.ts). */
const FIRST = 0xa9fe8000
const LENGTH = 17
/** Of a bridge of Linux. */
const PORTS_MAX = 1023
const CLIENT_PORT = 4222
const ROUTE_PORT = 6222
const MTU = 1500

export class Management {
  readonly nats: NatsCluster
  /** `host:port` of each server, as modules see them. */
  readonly servers: readonly string[]
  readonly #door: Door

  /** The namespaces get a wire each. The servers take clients when it resolves. */
  static async build(lab: Lab, namespaces: readonly string[], settings: Readonly<Record<string, number>>) {
    const hosts = Array.from({ length: SERVERS }, (_, i) => ({ namespace: `n${i + 1}`, host: addressOf(i + 1) }))
    const wired = [...hosts.map(({ namespace }) => namespace), ...namespaces]
    await wireTogether(
      lab,
      Object.fromEntries(wired.map((name, i) => [name, `${addressOf(i + 1)}/${LENGTH}`])),
      settings,
    )
    await lab.configure(new Map([[MANAGEMENT, [`addr add ${addressOf(0)}/${LENGTH} dev bridge`]]]))
    const nats = await NatsCluster.start(
      hosts.map(
        ({ namespace, host }): ClusterMember => ({
          ...{ host, port: CLIENT_PORT, routePort: ROUTE_PORT, folder: lab.folder },
          spawn: (command, args): ChildProcess =>
            lab.spawn(namespace, command, args, { stdio: ['ignore', 'ignore', 'pipe'] }),
        }),
      ),
    )
    const servers = hosts.map(({ host }) => ({ host, port: CLIENT_PORT }))
    return new Management(nats, await openDoor({ namespace: lab.fullName(MANAGEMENT), servers }))
  }

  private constructor(nats: NatsCluster, door: Door) {
    this.nats = nats
    this.servers = nats.addresses
    this.#door = door
  }

  /** The same servers as this process sees them. */
  get fromHere(): readonly string[] {
    return this.#door.addresses
  }

  async close(): Promise<void> {
    await this.#door.close()
    await this.nats.stop()
  }
}

function addressOf(number: number): string {
  return formatAddress(ipv4Bytes(FIRST + 1 + number))
}

/** A bridge in a namespace of its own and a wire to each of these, with its address; those that are not there are made. */
export async function wireTogether(
  lab: Lab,
  addresses: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, number>> = {},
): Promise<void> {
  const wired = Object.keys(addresses)
  if (wired.length > PORTS_MAX) throw new Error(`lab: ${wired.length} namespaces are more than a bridge takes`)
  await lab.addNamespaces([MANAGEMENT, ...wired.filter((name) => !lab.namespaces.includes(name))], settings)
  await lab.configure(new Map([[MANAGEMENT, ['link add bridge type bridge', 'link set bridge up']]]))
  await lab.addLinks(
    wired.map(
      (namespace, i): Link => ({
        a: { namespace: MANAGEMENT, interface: `p${i}` },
        b: { namespace, interface: MANAGEMENT, addresses: [addresses[namespace]!] },
        mtu: MTU,
        queues: 1,
      }),
    ),
  )
  await lab.configure(new Map([[MANAGEMENT, wired.map((_, i) => `link set p${i} master bridge`)]]))
}
