/** Site files and the tenants that were made through the orchestrator: what does not go together is refused, and nothing ends. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { busHere } from '../../src/agent/bus-here.ts'
import { changeTenant } from '../../src/agent/site-change.ts'
import { putSite, siteContents } from '../../src/agent/site-store.ts'
import { documentOf, siteOf, siteText } from '../../src/orchestrator/two-sites.ts'

const MAIN = resolve(import.meta.dirname, '../../src/main.ts')

/** Beside the bus, which is of this process. */
async function call(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args])
  const [stdout, stderr, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { status: status as number | null, stdout, stderr }
}

/** A bus with a site and a tenant beside it, and a file that wants the tenant's VNI for one of its own. */
async function scene(t: TestContext) {
  const here = await busHere(t)
  const bus = await here.join('orchestrator')
  await putSite(bus, siteOf('east'))
  const { revision } = (await siteContents(bus))!
  const told = { at_ms: 1, module: 'o', what: 'tenant-changed', about: 'acme', detail: '', author: 'ann' }
  const record = {
    name: 'acme',
    version: 1,
    id: 'x',
    author: 'ann',
    at_ms: 1,
    document: documentOf('acme', 20, ['east']),
  }
  ok(await changeTenant(bus, revision, record, told))
  const write = (name: string, vni: number): string => {
    const path = join(here.directory, name)
    writeFileSync(path, siteText('east', { vni }))
    return path
  }
  return { here, bus, right: write('right.yaml', 5), wrong: write('wrong.yaml', 20) }
}

const refusal = (path: string): string[] => [
  `${path}: tenants[1].vni: VNI 20 is already in use at tenants[0].vni`,
  `${path}: of the tenants that were made through the orchestrator, tenants[1] is acme`,
]

test('reload keeps them, and refuses a file that does not go with them', async (t) => {
  const { here, bus, right, wrong } = await scene(t)
  const kept = await call('reload', right, '--run', here.directory)
  deepEqual([kept.status, kept.stdout], [0, 'tenants: 1 changed (own)\n'], kept.stderr)
  deepEqual(
    (await siteContents(bus))!.site.tenants.map(({ name, vni }) => [name, vni]),
    [
      ['own', 5],
      ['acme', 20],
    ],
  )
  const { status, stderr } = await call('reload', wrong, '--run', here.directory)
  deepEqual([status, stderr.trim().split('\n')], [3, refusal(wrong)])
  equal((await siteContents(bus))!.file.tenants[0]!.vni, 5)
})

test('up refuses such a file before it starts or ends anything of a site that runs', async (t) => {
  const { here, bus, wrong } = await scene(t)
  const { status, stderr } = await call('up', wrong, '--run', here.directory)
  equal(status, 3, stderr)
  const lines = stderr.trim().split('\n')
  deepEqual(lines.slice(-2), refusal(wrong))
  ok(!lines.some((line) => line.includes('module started')), stderr)
  ok(bus.connected)
})

test('up that has to start the bus to learn of them ends it again', async (t) => {
  const { here, wrong } = await scene(t)
  await here.stop()
  const { status, stderr } = await call('up', wrong, '--run', here.directory)
  equal(status, 3, stderr)
  deepEqual(stderr.trim().split('\n').slice(-2), refusal(wrong))
  ok(!/"module":"(?!up|bus)\w+","pid":\d+,"msg":"module started"/.test(stderr), stderr)
  await here.start()
})
