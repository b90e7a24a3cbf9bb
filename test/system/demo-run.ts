/** The demo as a newcomer runs it, for tests: started, waited for, and what it left behind. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Summary } from '../../lab/summary.ts'

export const LAUNCHER = resolve(import.meta.dirname, '../../gatehouse')

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export function start(...args: string[]): ChildProcess {
  return spawn(LAUNCHER, ['demo', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
}

export async function endOf(child: ChildProcess): Promise<Ended> {
  const text = async (stream: ChildProcess['stdout']): Promise<string> =>
    Buffer.concat(await stream!.toArray()).toString()
  const [[code], out, err] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)])
  return { code, out, err }
}

/** What labs of this process, which has ended, have left. */
export function remains(child: ChildProcess): string[] {
  const mine = (name: string): boolean => name.startsWith(`gh-${child.pid}-`)
  return ['/run/netns', '/run/gatehouse-lab'].flatMap((folder) =>
    existsSync(folder) ? readdirSync(folder).filter(mine) : [],
  )
}

/** Everybody's traffic crossed the site, by sessions that stayed up, and no frame went astray. */
export function wentOn({ tenants, nodes, sessions, conserved }: Summary): void {
  deepEqual(
    tenants.map(({ name }) => name),
    ['acme', 'globex'],
  )
  for (const { tcp, http } of tenants) {
    ok(tcp.bytes > 1e6 && tcp.gbit_per_s > 0 && tcp.failed === 0)
    ok(http.requests > 10 && http.failed === 0)
  }
  deepEqual(
    nodes.map(({ name }) => name),
    ['fn-1', 'fn-2', 'fn-3', 'edge-1', 'rack-1'],
  )
  ok(nodes.every((node) => node.conserved && node.received > 0 && node.sent > 0))
  deepEqual(sessions, { established: 2, flapped: 0 })
  equal(conserved, true)
}
