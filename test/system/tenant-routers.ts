/** What the tests of tenants' BGP through the whole gateway have in common: its sites, and what nobody may have noticed. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Gateway } from '../../lab/gateway.ts'
import type { BgpOrigination } from '../../lab/peers/bgp-router.ts'
import type { Traffic } from '../../lab/traffic/traffic.ts'
import { failedConnections, type LiveSite, sumOf } from './live-site.ts'

export const SITE = resolve(import.meta.dirname, '../../examples/two-tenants.yaml')
/** Two routing nodes, and customers that speak IPv6. */
export const SITE_OF_TWO = resolve(import.meta.dirname, '../../examples/two-tenants-ipv6.yaml')
const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
export const REACH_ms = 20_000

export const plain: BgpOrigination = {
  prefix: '10.5.0.0/16',
  asPath: [],
  origin: 'igp',
  communities: [],
  largeCommunities: [],
}

/** `gatehouse COMMAND ...` on the running site. */
export async function gatehouse({ made }: Pick<LiveSite, 'made'>, ...words: string[]): Promise<string> {
  const args = ['--disable-warning=ExperimentalWarning', MAIN, ...words, '--run', made.runFolder]
  return await made.lab.run('rn-1', process.execPath, ...args)
}

export const stateOf = async (gateway: Gateway, name: string) =>
  (await gateway.observer.sessions()).find((session) => session.name === name)

/** What changes when a session is another one than it was. */
export const lives = async (gateway: Gateway) =>
  (await gateway.observer.sessions()).map(({ name, pid, row }) => `${name} ${row?.state} ${pid} ${row?.flaps}`)

const DELETED = 'Deleted '
/** As seen by a process that has traffic to look after, on a machine that is busy. */
const AT_ONCE_ms = 500

/**
 * Answers the routes that customers' kernels have lost since it was called, as `ip monitor` tells them. BIRD deletes an IPv6
 * route and adds it again at once where anything about it has changed, such as that it is not stale any more: no loss.
 */
export function lostRoutes({ made }: Pick<LiveSite, 'made'>): () => readonly string[] {
  const lost: { readonly line: string; readonly at_ms: number }[] = []
  const heard = (line: string): void => {
    const at_ms = performance.now()
    const isAgain = lost.findIndex((one) => one.line === `${DELETED}${line}` && at_ms - one.at_ms < AT_ONCE_ms)
    if (line.startsWith(DELETED)) lost.push({ line, at_ms })
    else if (isAgain >= 0) lost.splice(isAgain, 1)
  }
  for (const { namespace } of made.topology.customers)
    for (const family of ['-4', '-6']) {
      const words = [family, 'monitor', 'route']
      const monitor = made.lab.spawn(namespace, 'ip', words, { stdio: ['ignore', 'pipe', 'inherit'] })
      createInterface(monitor.stdout!).on('line', heard)
    }
  return () => lost.map(({ line }) => line)
}

/** Pings that a busy machine may keep for longer than a second. A route that is gone costs all of them. */
const STRAY_PINGS_PART = 0.02

/** Nobody noticed: no route was gone anywhere, no connection failed, and pings went on. */
export function unnoticed(traffic: Traffic, lost: readonly string[]): void {
  deepEqual(lost, [], 'routes that customers lost')
  equal(failedConnections(traffic), 0)
  const [sent, unanswered] = [sumOf(traffic, ({ ping }) => ping.sent), sumOf(traffic, ({ ping }) => ping.lost)]
  ok(unanswered <= sent * STRAY_PINGS_PART, `${unanswered} of ${sent} pings lost`)
}
