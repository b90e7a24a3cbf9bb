/** The commands as people call them: processes, exit codes, what they print. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { announce, modulesOf } from './agent/presence.ts'
import { systemClock } from './base/clock.ts'
import { Random } from './base/random.ts'
import { connectBus } from './bus/embedded/client.ts'
import { busSocket } from './bus/embedded/main.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
const EXAMPLES = fileURLToPath(new URL('../examples/', import.meta.url))
const ARGUMENTS = ['--disable-warning=ExperimentalWarning', MAIN]

function call(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...ARGUMENTS, ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** A site that is nothing but a bus and a control module. */
const smallSite = (drain_ms: number): string => `
site: small
gateway: { mac: 02:67:68:00:00:01 }
control: { drain_ms: ${drain_ms} }`

class Running {
  readonly directory = mkdtempSync(join(tmpdir(), 'gatehouse-'))
  readonly #children: ChildProcess[] = []

  constructor(t: TestContext) {
    t.after(async () => {
      for (const child of this.#children) await this.end(child, 'SIGKILL')
      for (const pid of this.modules().values()) process.kill(pid, 'SIGKILL')
      rmSync(this.directory, { recursive: true, maxRetries: 5 })
    })
  }

  write(text: string): string {
    const path = join(this.directory, 'site.yaml')
    writeFileSync(path, text)
    return path
  }

  /** Resolves once it says so. */
  async up(path: string, ...options: string[]): Promise<ChildProcess> {
    const args = [...ARGUMENTS, 'up', path, '--run', this.directory, ...options]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#children.push(child)
    await this.line(child, 'site is up')
    return child
  }

  async line(child: ChildProcess, wanted: string): Promise<void> {
    const lines = createInterface(child.stderr!)
    const seen: string[] = []
    for await (const line of lines) {
      seen.push(line)
      if (line.includes(wanted)) return
    }
    throw new Error(`it ended without saying ${wanted}: ${seen.join('\n')}`)
  }

  async end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
    const isGone = child.exitCode !== null || child.signalCode !== null
    const exit = isGone ? undefined : once(child, 'exit')
    if (!isGone) child.kill(signal)
    await exit
    return child.exitCode
  }

  /** Processes of this run by module, whoever started them. */
  modules(): Map<string, number> {
    const found = new Map<string, number>()
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const mark = /GATEHOUSE_MODULE=([^\0]*)/.exec(readFileSync(`/proc/${pid}/environ`, 'latin1'))?.[1]
        if (mark?.startsWith(`${this.directory}/`)) found.set(mark.slice(this.directory.length + 1), Number(pid))
      } catch {
        // It ended meanwhile.
      }
    }
    return found
  }
}

/** A module that ended while nobody was there to say so. */
async function pretend(directory: string, name: string): Promise<void> {
  const options = { name: 'test', clock: systemClock, random: new Random(1) }
  const bus = connectBus({ socketPath: busSocket(directory), ...options })
  await bus.whenConnected(5000)
  const { pid } = spawnSync('true')
  announce(bus, name, { role: 'forwarding', pid, ready: true, since: 0 })
  ok((await modulesOf(bus)).has(name))
  await bus.close()
}

test('every example is right', () => {
  const names = readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' })
  // An orchestrator's file is another one.
  for (const name of names.filter((one) => one.endsWith('.yaml') && !one.endsWith('orchestrator.yaml'))) {
    const { status, stdout, stderr } = call('check', join(EXAMPLES, name), '--json')
    equal(status, 0, `${name}: ${stderr}`)
    const { tenants, neighbours = 0 } = JSON.parse(stdout)
    ok(tenants + neighbours > 0)
  }
})

test('check tells all errors with line and column, and up starts nothing with them', (t) => {
  const running = new Running(t)
  const path = running.write(`
site: small
gateway: { mac: 02:67:68:00:00:01 }
vips: [{ name: v1, address: 10.255.0.1 }]
tenants:
  - { name: acme, vni: 16777216, vip: v9, rutes: [] }`)
  const errors = [
    `${path}:4:8 vips[0]: no cluster serves VIP "v1"`,
    `${path}:6:24 tenants[0].vni: 16777216 is above the largest VNI, 16777215`,
    `${path}:6:39 tenants[0].vip: there is no VIP "v9"`,
    `${path}:6:43 tenants[0].rutes: unknown key "rutes"; did you mean "routes"?`,
  ]
  deepEqual(call('check', path).stderr.trim().split('\n'), errors)
  const { status, stderr } = call('up', path, '--run', running.directory)
  equal(status, 3)
  deepEqual(stderr.trim().split('\n'), errors)
  deepEqual(readdirSync(running.directory), ['site.yaml'])
})

test('schema describes site files for editors', () => {
  const { status, stdout } = call('schema')
  equal(status, 0)
  const { type, required, properties } = JSON.parse(stdout)
  equal(type, 'object')
  deepEqual(required, ['site'])
  equal(properties.tenants.items.properties.vni.maximum, 16_777_215)
  equal(properties.clusters.items.additionalProperties, false)
})

test('up runs the modules, and show and reload reach them', async (t) => {
  const running = new Running(t)
  const path = running.write(smallSite(1000))
  const up = await running.up(path)
  const shown = JSON.parse(call('show', 'modules', '--run', running.directory, '--json').stdout)
  deepEqual(
    shown.map(({ name, role, ready, pid }: Record<string, unknown>) => [name, role, ready, pid]),
    [['control', 'control', true, running.modules().get('control')]],
  )
  deepEqual(call('reload', path, '--run', running.directory).stdout, 'nothing changed\n')
  running.write(smallSite(2000))
  const changed = running.line(up, 'the site changed')
  deepEqual(call('reload', path, '--run', running.directory).stdout, 'settings changed\n')
  await changed
  writeFileSync(path, 'site: [')
  const refused = running.line(up, 'the site stays as it is')
  up.kill('SIGHUP')
  await refused
  equal(call('show', 'nothing', '--run', running.directory).status, 2)
  equal(await running.end(up, 'SIGTERM'), 0)
  deepEqual([...running.modules()], [])
  match(call('show', 'modules', '--run', running.directory).stderr, /no site runs in/)
})

test('modules outlive an up that is killed, and the next one adopts them', async (t) => {
  const running = new Running(t)
  const path = running.write(smallSite(1000))
  const first = await running.up(path)
  const before = running.modules()
  await running.end(first, 'SIGKILL')
  deepEqual(running.modules(), before)
  await pretend(running.directory, 'gone')
  const second = await running.up(path)
  deepEqual(running.modules(), before)
  const shown = JSON.parse(call('show', 'modules', '--run', running.directory, '--json').stdout)
  deepEqual(
    shown.map(({ name }: { name: string }) => name),
    ['control'],
  )
  equal(await running.end(second, 'SIGTERM'), 0)
  deepEqual([...running.modules()], [])
})

test('of the control modules that the site names one leads, and another one tells of the site when it stands still', async (t) => {
  const running = new Running(t)
  const nodes = 'nodes: [{ name: first }, { name: second }]'
  const path = running.write(smallSite(1000).replace('drain_ms', `${nodes}, drain_ms`))
  const up = await running.up(path)
  const leads = (): unknown[] => {
    const shown = JSON.parse(call('show', 'modules', '--run', running.directory, '--json').stdout)
    return shown.flatMap(({ name, leads }: Record<string, unknown>) => (leads === true ? [name] : []))
  }
  const [leader] = leads() as [string]
  const other = leader === 'first' ? 'second' : 'first'
  const stopped = running.modules().get(leader)!
  process.kill(stopped, 'SIGSTOP')
  while (leads()[0] !== other);
  const { stdout, stderr } = call('show', 'tenants', '--run', running.directory)
  deepEqual([stdout, stderr], ['no tenants\n', ''])
  process.kill(stopped, 'SIGCONT')
  equal(await running.end(up, 'SIGTERM'), 0)
  deepEqual([...running.modules()], [])
})

test('up runs routing nodes, adopts them, gives them new neighbours, and starts one again that was killed', async (t) => {
  const running = new Running(t)
  const nodes = 'nodes: [{ name: rn-1, address: 10.0.3.1 }]'
  const siteWith = (neighbours: string): string =>
    `${smallSite(1000)}\nrouting: { as: 65001, router_id: 10.0.3.1, ${nodes}, neighbours: [${neighbours}] }`
  const path = running.write(siteWith(''))
  const first = await running.up(path)
  const pid = running.modules().get('rn-1')!
  ok(pid)
  deepEqual(JSON.parse(call('show', 'peers', '--run', running.directory, '--json').stdout), [])
  await running.end(first, 'SIGKILL')
  const second = await running.up(path)
  equal(running.modules().get('rn-1'), pid)
  running.write(siteWith('{ name: upstream, address: 192.0.2.1, as: 65002, shutdown: true }'))
  equal(call('reload', path, '--run', running.directory).status, 0)
  const peers = (): unknown[] => JSON.parse(call('show', 'peers', '--run', running.directory, '--json').stdout)
  while (peers().length === 0);
  equal(running.modules().get('rn-1'), pid)
  const again = running.line(second, 'module started')
  process.kill(pid, 'SIGKILL')
  await again
  const next = running.modules().get('rn-1')
  ok(next !== undefined && next !== pid)
  const changed = running.line(second, 'module ended')
  running.write(smallSite(1000))
  match(call('reload', path, '--run', running.directory).stdout, /routing nodes: 1 removed \(rn-1\)/)
  await changed
  equal(running.modules().has('rn-1'), false)
  equal(await running.end(second, 'SIGTERM'), 0)
})

test('what has to last is where --state says, and by default where the site runs', async (t) => {
  const running = new Running(t)
  const state = join(running.directory, 'state')
  const path = running.write(smallSite(1000))
  const up = await running.up(path, '--state', state)
  deepEqual(readdirSync(state).sort(), ['bus', 'log'])
  deepEqual(readdirSync(join(state, 'log')).sort(), ['bus.log', 'control.log'])
  ok(!readdirSync(running.directory).includes('bus'))
  equal(await running.end(up, 'SIGTERM'), 0)
  await running.up(path)
  deepEqual(
    readdirSync(running.directory).filter((name) => ['bus', 'log', 'bus.sock'].includes(name)),
    ['bus', 'bus.sock', 'log'],
  )
})
