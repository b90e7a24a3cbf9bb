/**
 * `gatehouse bench control`: DSR figures 14a and 14b, routes from the BGP message to the FIB of every node (control/routes.ts),
 * and failovers (control/failovers.ts; DSR section 6).
 */

import { Lab } from '../lab/namespaces.ts'
import { ensurePackages, isRoot } from '../lab/packages.ts'
import { NAMESPACE } from './bgp/daemons.ts'
import { failoverRows } from './control/failovers.ts'
import { routeRows } from './control/routes.ts'
import { type Bench, type BenchOptions, type BenchRow, machineText } from './report.ts'

export const benchControl: Bench = async (options) => {
  if (!isRoot())
    throw new Error('this benchmark makes network namespaces and needs root: sudo ./gatehouse bench control')
  const packages = ensurePackages([
    { debian: 'iproute2', command: 'ip' },
    { debian: 'bird2', command: 'bird' },
    { debian: 'nats-server', command: 'nats-server' },
  ])
  const missing = packages.find((state) => typeof state !== 'string')
  if (missing) throw new Error(`this benchmark needs iproute2, BIRD and nats-server: ${missing.missing}`)
  const rows = [...(await routes(options)), ...(await failoverRows(options))]
  return { bench: 'control', machine: machineText(), rows }
}

async function routes(options: BenchOptions): Promise<BenchRow[]> {
  await using lab = await Lab.open()
  await lab.addNamespaces([NAMESPACE])
  return await routeRows(lab, options)
}
