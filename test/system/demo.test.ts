/** The demo as a newcomer runs it: one command, a verdict, and nothing left behind. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needs } from '../../lab/needs.ts'
import { isRoot } from '../../lab/packages.ts'
import type { Summary } from '../../lab/summary.ts'
import { endOf, LAUNCHER, remains, start, wentOn } from './demo-run.ts'

const NOBODY = 65534

suite('gatehouse demo', { skip: needs('ip') }, () => {
  test('loses nothing, accounts for every frame and leaves nothing', async () => {
    const demo = start('--for', '4s', '--json')
    const { code, out, err } = await endOf(demo)
    equal(code, 0, out + err)
    const summary: Summary = JSON.parse(out)
    deepEqual(Object.keys(summary), ['tenants', 'sessions', 'nodes', 'drops', 'conserved'])
    for (const { ping } of summary.tenants)
      ok(ping.sent > 50 && ping.lost === 0 && ping.p50_us > 0 && ping.p99_us >= ping.p50_us)
    wentOn(summary)
    deepEqual(remains(demo), [])
  })

  test('ends in order when it is interrupted, at any time', async () => {
    for (const after_ms of [300, 1500, 4000]) {
      const demo = start()
      const ended = endOf(demo)
      await sleep(after_ms) // there is nothing to wait for: any time is to be right
      demo.kill('SIGINT')
      await ended
      deepEqual(remains(demo), [])
    }
  })

  test('sweeps up after one that was killed', async () => {
    const killed = start()
    await lineWith(killed, 'starting the gateway')
    const died = once(killed, 'close')
    killed.kill('SIGKILL')
    ok(remains(killed).length > 0)
    const next = start()
    const ended = endOf(next)
    await lineWith(next, 'starting the gateway')
    await died // its children held its output open
    deepEqual(remains(killed), [])
    next.kill('SIGINT')
    await ended
    deepEqual(remains(next), [])
  })

  test('says what is wrong with its arguments', async () => {
    for (const args of [['--for', 'soon'], ['--what'], ['a.yaml', 'b.yaml']]) {
      const { code, err } = await endOf(start(...args))
      equal(code, 2)
      match(err, /usage: gatehouse demo/)
    }
    const { code, err } = await endOf(start('/no/such/site.yaml'))
    equal(code, 1)
    match(err, /\/no\/such\/site\.yaml:1:1 .*no such file/)
  })
})

test('gatehouse demo says that it needs root', { skip: isRoot() ? false : 'needs root' }, async () => {
  // A copy, for nobody may not be let into the folder that holds the checkout; and before anything is installed.
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-nobody-'))
  try {
    chmodSync(folder, 0o755)
    copyFileSync(LAUNCHER, join(folder, 'gatehouse'))
    const options: SpawnOptions = { uid: NOBODY, gid: NOBODY, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] }
    const { code, err } = await endOf(spawn(join(folder, 'gatehouse'), ['demo'], options))
    equal(code, 1)
    match(err, /needs root: sudo \.\/gatehouse demo/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

function lineWith(child: ChildProcess, words: string): Promise<void> {
  return new Promise((resolve) => {
    let seen = ''
    child.stderr!.on('data', (data: Buffer) => {
      seen += data.toString()
      if (seen.includes(words)) resolve()
    })
  })
}
