/** The bus that a benchmark's site runs on, in the namespace of its modules: the embedded one, or three nats-servers. */

import type { Lab } from '../../lab/namespaces.ts'
import { type ClusterMember, NatsCluster, SERVERS } from '../../lab/nats/cluster.ts'
import { busSocket } from '../../src/bus/embedded/main.ts'
import type { BusPlace } from '../../src/bus/place.ts'
import { NAMESPACE } from '../bgp/daemons.ts'

export type BusKind = 'embedded' | 'NATS'

const HOST = '127.0.0.1'
const CLIENT_PORT = 4222
const ROUTE_PORT = 6222

export interface SiteBus {
  /** Of the site file. */
  readonly settings: object
  readonly place: BusPlace
}

/** The embedded bus is a module of the site, which runs it in this directory; NATS ends with the stack. */
export async function startSiteBus(
  lab: Lab,
  kind: BusKind,
  { site, directory }: { site: string; directory: string },
  stack: AsyncDisposableStack,
): Promise<SiteBus> {
  if (kind === 'embedded') return { settings: {}, place: { socketPath: busSocket(directory) } }
  const members = Array.from(
    { length: SERVERS },
    (_, i): ClusterMember => ({
      ...{ host: HOST, port: CLIENT_PORT + i, routePort: ROUTE_PORT + i, folder: lab.folder },
      spawn: (command, args) => lab.spawn(NAMESPACE, command, args, { stdio: ['ignore', 'ignore', 'pipe'] }),
    }),
  )
  const cluster = await NatsCluster.start(members)
  stack.defer(() => cluster.stop())
  const servers = members.map(({ host, port }) => `${host}:${port}`)
  const nats = { servers, replicas: SERVERS } as const
  return { settings: { bus: { nats } }, place: { nats: { site, ...nats } } }
}
