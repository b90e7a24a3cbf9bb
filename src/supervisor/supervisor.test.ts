/** Supervisors over real processes, some of them killed. */

import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { type Clock, systemClock } from '../base/clock.ts'
import { silent } from '../base/log.ts'
import { Random } from '../base/random.ts'
import type { ModuleSpec, ModuleStatus } from './module.ts'
import { identify, isAlive, killGroup } from './process.ts'
import { Supervisor, type SupervisorOptions } from './supervisor.ts'

/** Notes each of its ends and beginnings, and ends when asked to. */
const POLITE = `
  const { appendFileSync } = require('node:fs')
  const [directory, name] = process.argv.slice(1)
  const note = (what) => appendFileSync(directory + '/notes', name + ' ' + what + '\\n')
  process.on('SIGTERM', () => { note('asked to end'); process.exit(0) })
  setInterval(() => {}, 1000)
  note('runs')`

const polite = (directory: string, name: string): ModuleSpec => ({
  name,
  command: [process.execPath, '-e', POLITE, directory, name],
  restart: 'always',
})

const sleeper = (name: string, seconds = 1000): ModuleSpec => ({
  name,
  command: ['sleep', String(seconds)],
  restart: 'always',
})

const notes = (directory: string): string[] => {
  const path = join(directory, 'notes')
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : []
}

/** Every process that runs for this directory, whoever started it. */
function leftovers(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'latin1')
        return environment.includes(`GATEHOUSE_MODULE=${directory}/`) && identify(pid) !== undefined
      } catch {
        return false
      }
    })
}

const running = new Map<string, Supervisor[]>()

function runDirectory(t: TestContext): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'up-')))
  running.set(directory, [])
  t.after(async () => {
    await Promise.all(running.get(directory)!.map((supervisor) => supervisor.stop()))
    for (const pid of leftovers(directory)) process.kill(pid, 'SIGKILL')
    rmSync(directory, { recursive: true })
  })
  return directory
}

function supervisor(
  directory: string,
  modules: readonly ModuleSpec[],
  options: Partial<SupervisorOptions> = {},
): Supervisor {
  const common = { logDirectory: join(directory, 'log'), clock: systemClock, random: new Random(1), log: silent }
  const made = new Supervisor({ directory, modules, ...common, ...options })
  running.get(directory)!.push(made)
  return made
}

const pidsOf = (statuses: readonly ModuleStatus[]): Record<string, number | undefined> =>
  Object.fromEntries(statuses.map(({ name, pid }) => [name, pid]))

async function started(of: Supervisor, name: string): Promise<ModuleStatus> {
  for (;;) {
    const [status] = await once(of, 'start')
    if (status.name === name) return status
  }
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000
  while (!condition()) {
    ok(performance.now() < end, 'it never came about')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('an update ends what is gone, starts what is new and what changed again, and leaves the rest alone', async (t) => {
  const directory = runDirectory(t)
  const up = supervisor(directory, [sleeper('kept'), sleeper('changed'), sleeper('gone')])
  await up.start()
  const before = pidsOf(up.status())
  await up.update([sleeper('new'), sleeper('kept'), { ...sleeper('changed'), env: { PART: '2' } }])
  const after = pidsOf(up.status())
  deepEqual(Object.keys(after), ['new', 'kept', 'changed'])
  equal(after['kept'], before['kept'])
  notEqual(after['changed'], before['changed'])
  deepEqual(leftovers(directory).toSorted(), Object.values(after).toSorted())
  await up.stop()
  deepEqual(leftovers(directory), [])
})

/** Never ready: what it is for is not there. */
const broken = (name: string): ModuleSpec => ({ name, command: ['false'], restart: 'always' })

/** Ready unless it is of `broken`. */
const waitReady = (name: string): Promise<void> =>
  name.startsWith('broken') ? new Promise(() => {}) : Promise.resolve()

test('a module that never becomes ready does not keep an update from the others, nor from later ones', async (t) => {
  const directory = runDirectory(t)
  const up = supervisor(directory, [sleeper('kept')], { waitReady, startTimeout_ms: 400 })
  await up.start()
  const { kept } = pidsOf(up.status())
  await up.update([sleeper('kept'), broken('broken'), sleeper('behind')])
  const first = pidsOf(up.status())
  equal(first['kept'], kept)
  ok(first['behind'], 'a module behind the failing one was not started')
  await up.update([sleeper('kept'), sleeper('broken', 2000), sleeper('behind'), sleeper('last')])
  const second = pidsOf(up.status())
  deepEqual([second['kept'], second['behind']], [kept, first['behind']])
  ok(second['broken'] && second['last'])
})

test('when a change does not do one module good, no other one is ended for its own; the next update tries again', async (t) => {
  const directory = runDirectory(t)
  let isWell = true
  const up = supervisor(directory, [sleeper('a'), sleeper('b')], {
    waitReady: () => (isWell ? Promise.resolve() : new Promise(() => {})),
    startTimeout_ms: 100,
  })
  await up.start()
  const before = pidsOf(up.status())
  isWell = false
  await up.update([sleeper('a', 2000), sleeper('b', 2000), sleeper('c')])
  const failed = pidsOf(up.status())
  notEqual(failed['a'], before['a'])
  equal(failed['b'], before['b'])
  ok(failed['c'])
  isWell = true
  await up.update([sleeper('a', 3000), sleeper('b', 2000), sleeper('c')])
  const done = pidsOf(up.status())
  notEqual(done['b'], before['b'])
  equal(done['c'], failed['c'])
})

test('a stop in the middle of an update leaves nothing behind', async (t) => {
  const directory = runDirectory(t)
  const up = supervisor(directory, [polite(directory, 'a')])
  await up.start()
  await until(() => notes(directory).includes('a runs'))
  const updating = up.update([{ ...polite(directory, 'a'), env: { PART: '2' } }, sleeper('new')])
  await Promise.all([up.stop(), updating])
  deepEqual(leftovers(directory), [])
  deepEqual(notes(directory), ['a runs', 'a asked to end'])
})

test('one broken module costs those that an earlier supervisor left nothing', async (t) => {
  const directory = runDirectory(t)
  const names = ['bus', 'a', 'b']
  const first = spawnSupervisor(
    t,
    directory,
    names.map((name) => sleeper(name)),
  )
  const before = pidsOf(await first.up())
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  const modules = [{ ...broken('broken'), essential: true }, ...names.map((name) => sleeper(name)), sleeper('new')]
  const up = supervisor(directory, modules, { waitReady, startTimeout_ms: 100 })
  await up.start()
  const { broken: _, new: fresh, ...after } = pidsOf(up.status())
  deepEqual(after, before)
  ok(fresh, 'a module behind the broken one was not started')
})

test('modules that an earlier release left are started again one by one, each when the one before is ready', async (t) => {
  const directory = runDirectory(t)
  const of = (release: string) => ['a', 'b'].map((name) => ({ ...polite(directory, name), env: { RELEASE: release } }))
  const first = spawnSupervisor(t, directory, of('1'))
  await first.up()
  await until(() => notes(directory).length === 2)
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  const up = supervisor(directory, of('2'), {
    waitReady: (name) =>
      until(() => notes(directory).lastIndexOf(`${name} runs`) > notes(directory).indexOf(`${name} asked to end`)),
  })
  await up.start()
  deepEqual(notes(directory).slice(2), ['a asked to end', 'a runs', 'b asked to end', 'b runs'])
})

test('essential modules start in order, each when the one before is ready, and all stop in reverse', async (t) => {
  const directory = runDirectory(t)
  const order: string[] = []
  const modules = ['first', 'second', 'third'].map((name) => ({ ...polite(directory, name), essential: true }))
  const up = supervisor(directory, modules, {
    waitReady: async (name) => {
      order.push(`${name} started`)
      await until(() => notes(directory).includes(`${name} runs`))
      order.push(`${name} ready`)
    },
  })
  await up.start()
  deepEqual(
    order,
    ['first', 'second', 'third'].flatMap((name) => [`${name} started`, `${name} ready`]),
  )
  deepEqual(
    up.status().map(({ state }) => state),
    ['ready', 'ready', 'ready'],
  )
  await up.stop()
  deepEqual(
    notes(directory).slice(3),
    ['third', 'second', 'first'].map((name) => `${name} asked to end`),
  )
  deepEqual(
    up.status().map(({ state, pid }) => [state, pid]),
    Array(3).fill(['stopped', undefined]),
  )
  deepEqual(leftovers(directory), [])
})

test('modules that nobody builds on start at once on all cores, after the essential ones', async (t) => {
  const directory = runDirectory(t)
  const cores = availableParallelism()
  const names = Array.from({ length: 2 * cores }, (_, i) => `m${i}`)
  const essential = { ...polite(directory, 'essential'), essential: true }
  const waiting = new Map<string, () => void>()
  const up = supervisor(directory, [essential, ...names.map((name) => sleeper(name))], {
    waitReady: (name) =>
      name === 'essential'
        ? until(() => notes(directory).includes('essential runs'))
        : new Promise((resolve) => waiting.set(name, resolve)),
  })
  const starting = up.start()
  for (const [i, name] of names.entries()) {
    await until(() => waiting.size === Math.min(names.length, i + cores))
    equal(notes(directory)[0], 'essential runs')
    waiting.get(name)!()
  }
  await starting
  await up.stop()
  deepEqual(leftovers(directory), [])
})

test('a module that is killed is started again, after its links were taken down', async (t) => {
  const directory = runDirectory(t)
  const events: string[] = []
  const up = supervisor(directory, [sleeper('forwarding'), sleeper('other')], {
    onCrash: async (name) => {
      events.push(`links of ${name} go down`)
      await new Promise((resolve) => setTimeout(resolve, 20))
      events.push(`links of ${name} are down`)
    },
  })
  await up.start()
  const before = pidsOf(up.status())
  up.on('start', ({ name }) => events.push(`${name} started`))
  up.on('exit', ({ lastEnd }, expected) => events.push(`ended by ${lastEnd?.signal}, expected ${expected}`))
  const again = started(up, 'forwarding')
  process.kill(before['forwarding']!, 'SIGKILL')
  const { pid, restarts } = await again
  notEqual(pid, before['forwarding'])
  equal(restarts, 1)
  deepEqual(events, [
    'links of forwarding go down',
    'links of forwarding are down',
    'ended by SIGKILL, expected false',
    'forwarding started',
  ])
  equal(pidsOf(up.status())['other'], before['other'])
})

test('a module that keeps failing is tried ever more slowly', async (t) => {
  const directory = runDirectory(t)
  const failing: ModuleSpec = {
    name: 'failing',
    command: ['sh', '-c', 'echo no luck; exit 3'],
    restart: 'always',
    essential: true,
  }
  const limit = 1200
  const delays: number[] = []
  const clock: Clock = {
    ...systemClock,
    after(delay_ms, run) {
      if (delay_ms === limit) return systemClock.after(delay_ms, run)
      delays.push(delay_ms)
      return systemClock.after(Math.min(delay_ms, 10), run)
    },
  }
  const options = { waitReady: () => new Promise<never>(() => {}), startTimeout_ms: limit, clock }
  const up = supervisor(directory, [failing], options)
  await rejects(up.start(), /module failing is not ready after 1.2 s; its log is .*failing.log/)
  ok(delays.length >= 4, `${delays.length} ends`)
  for (const [i, delay] of delays.entries()) {
    const middle = i === 0 ? 0 : Math.min(100 * 2 ** (i - 1), 10_000)
    ok(delay >= middle * 0.75 && delay <= middle * 1.25, delays.join())
  }
  equal(up.status()[0]?.lastEnd?.code, 3)
  match(readFileSync(up.logPath('failing'), 'utf8'), /^(no luck\n)+$/)
})

test('a command that does not exist is a named failure, again and again', async (t) => {
  const up = supervisor(runDirectory(t), [{ name: 'typo', command: ['/nonexistent'], restart: 'always' }])
  const end = once(up, 'exit')
  const starting = up.start()
  match((await end)[0].lastEnd.error, /ENOENT/)
  await up.stop()
  await starting
})

test('one that does its work and ends is left alone; one that fails at it is told', async (t) => {
  const once: ModuleSpec = { name: 'once', command: ['true'], restart: 'never' }
  const up = supervisor(runDirectory(t), [once])
  await up.start()
  await until(() => up.status()[0]?.state === 'stopped')
  const never = { waitReady: () => new Promise<never>(() => {}) }
  const failing = supervisor(runDirectory(t), [{ ...once, command: ['false'], essential: true }], never)
  await rejects(failing.start(), /module once failed/)
})

test('a module that does not heed SIGTERM is killed, with what it spawned', async (t) => {
  const directory = runDirectory(t)
  const command = ['sh', '-c', `trap '' TERM; sleep 1000 & echo $! > ${directory}/child; wait; wait`]
  const up = supervisor(directory, [{ name: 'stubborn', command, restart: 'always' }], { stopTimeout_ms: 200 })
  await up.start()
  await until(() => existsSync(join(directory, 'child')) && leftovers(directory).length === 2)
  await up.stop()
  await until(() => leftovers(directory).length === 0)
})

test('what a killed module leaves behind does not stay', async (t) => {
  const directory = runDirectory(t)
  const command = ['sh', '-c', `sleep 1000 & echo $! >> ${directory}/children; wait`]
  const up = supervisor(directory, [{ name: 'parent', command, restart: 'always' }])
  await up.start()
  const children = (): number[] => readFileSync(join(directory, 'children'), 'latin1').trim().split('\n').map(Number)
  await until(() => existsSync(join(directory, 'children')) && children()[0]! > 0)
  const again = started(up, 'parent')
  process.kill(up.status()[0]!.pid!, 'SIGKILL')
  await again
  equal(identify(children()[0]!), undefined)
})

test('a group whose leader is not the one that it was is left alone', async (t) => {
  const stranger = spawn('sleep', ['1000'], { stdio: 'ignore', detached: true })
  t.after(() => stranger.kill('SIGKILL'))
  const identity = identify(stranger.pid!)!
  killGroup({ pid: identity.pid, startTime: identity.startTime - 1 })
  ok(isAlive(identity))
  killGroup(identity)
  deepEqual(await once(stranger, 'exit'), [null, 'SIGKILL'])
})

test('a log that cannot be cut, as on a full disk, is told and tried again', async (t) => {
  const directory = runDirectory(t)
  const timers: (() => void)[] = []
  const clock: Clock = {
    ...systemClock,
    every(interval_ms, run) {
      timers.push(run)
      return systemClock.every(interval_ms, run)
    },
  }
  const told: unknown[] = []
  const log = { ...silent, error: (fields: object) => void told.push(fields) }
  const up = supervisor(directory, [sleeper('a'), sleeper('b')], { clock, log })
  await up.start()
  for (const name of ['a', 'b']) truncateSync(up.logPath(name), 17 * 1024 * 1024)
  mkdirSync(`${up.logPath('a')}.1`)
  for (const run of timers) run()
  equal(told.length, 1)
  equal(statSync(up.logPath('b')).size, 0, 'one log kept the next from being cut')
})

test('what follows a crash may fail while the modules are taken over', async (t) => {
  const directory = runDirectory(t)
  const first = spawnSupervisor(t, directory, [sleeper('dead'), sleeper('alive')])
  const before = pidsOf(await first.up())
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  process.kill(before['dead']!, 'SIGKILL')
  await until(() => identify(before['dead']!) === undefined)
  const onCrash = (): never => {
    throw new Error('no bus')
  }
  const up = supervisor(directory, [sleeper('dead'), sleeper('alive')], { onCrash })
  await up.start()
  equal(pidsOf(up.status())['alive'], before['alive'])
  ok(pidsOf(up.status())['dead'])
})

test('a second supervisor of the same directory is refused and disturbs nothing', async (t) => {
  const directory = runDirectory(t)
  const up = supervisor(directory, [sleeper('a')])
  await up.start()
  const second = supervisor(directory, [sleeper('a')])
  await rejects(second.start(), new RegExp(`another gatehouse up \\(process ${process.pid}\\) runs the site in`))
  await second.stop()
  equal(up.status()[0]?.state, 'ready')
  ok(identify(up.status()[0]!.pid!))
})

/** A supervisor in a process of its own, which prints what is started, and `up` when all is. */
function spawnSupervisor(
  t: TestContext,
  directory: string,
  modules: readonly ModuleSpec[],
): { child: ChildProcess; up(): Promise<ModuleStatus[]> } {
  const source = `
    const { Supervisor } = await import('${import.meta.dirname}/supervisor.ts')
    const { systemClock } = await import('${import.meta.dirname}/../base/clock.ts')
    const { silent } = await import('${import.meta.dirname}/../base/log.ts')
    const { Random } = await import('${import.meta.dirname}/../base/random.ts')
    const [directory, modules] = process.argv.slice(1)
    const common = { logDirectory: directory + '/log', clock: systemClock, random: new Random(1), log: silent }
    const supervisor = new Supervisor({ directory, modules: JSON.parse(modules), ...common })
    process.on('SIGTERM', () => supervisor.stop().then(() => process.exit(0)))
    await supervisor.start()
    console.log(JSON.stringify(supervisor.status()))`
  const args = ['--input-type=module', '--eval', source, directory, JSON.stringify(modules)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return { child, up: async () => JSON.parse((await lines.next()).value ?? 'null') }
}

test('modules outlive a killed supervisor; the next one adopts them, starts what died, changes what changed', async (t) => {
  const directory = runDirectory(t)
  const first = spawnSupervisor(
    t,
    directory,
    ['same', 'dead', 'changed', 'removed'].map((name) => sleeper(name)),
  )
  const before = pidsOf(await first.up())
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  for (const pid of Object.values(before)) ok(identify(pid!), 'a module died with its supervisor')
  process.kill(before['dead']!, 'SIGKILL')
  await until(() => identify(before['dead']!) === undefined)

  const crashed: string[] = []
  const modules = [sleeper('same'), sleeper('dead'), sleeper('changed', 2000), sleeper('new')]
  const up = supervisor(directory, modules, { onCrash: (name) => void crashed.push(name) })
  await up.start()
  const after = pidsOf(up.status())
  equal(after['same'], before['same'])
  deepEqual(
    up.status().map(({ name, adopted, state }) => `${name} ${adopted} ${state}`),
    ['same true ready', 'dead false ready', 'changed false ready', 'new false ready'],
  )
  deepEqual(crashed, ['dead'])
  for (const name of ['dead', 'changed', 'removed']) equal(identify(before[name]!), undefined, name)
  deepEqual(new Set(leftovers(directory)), new Set(Object.values(after)))

  const again = started(up, 'same')
  process.kill(after['same']!, 'SIGKILL')
  equal((await again).adopted, false)
  deepEqual(crashed, ['dead', 'same'])
  await up.stop()
  deepEqual(leftovers(directory), [])
})

test('SIGTERM to the supervisor ends everything, adopted or its own', async (t) => {
  const directory = runDirectory(t)
  const modules = ['a', 'b'].map((name) => polite(directory, name))
  const first = spawnSupervisor(t, directory, modules)
  const before = pidsOf(await first.up())
  await until(() => notes(directory).length === 2)
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  const second = spawnSupervisor(t, directory, modules)
  deepEqual(pidsOf(await second.up()), before)
  second.child.kill('SIGTERM')
  deepEqual(await once(second.child, 'exit'), [0, null])
  deepEqual(leftovers(directory), [])
  deepEqual(notes(directory).slice(2), ['b asked to end', 'a asked to end'])
})

test('a process that was spawned but not yet written down is found all the same', async (t) => {
  const directory = runDirectory(t)
  const first = spawnSupervisor(t, directory, [sleeper('a')])
  const before = pidsOf(await first.up())
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  const path = join(directory, 'modules.json')
  const state = JSON.parse(readFileSync(path, 'utf8'))
  delete state.modules[0].identity
  writeFileSync(path, JSON.stringify(state))
  const up = supervisor(directory, [sleeper('a')])
  await up.start()
  deepEqual(pidsOf(up.status()), before)
})

test('an id that now belongs to somebody else is neither adopted nor signalled', async (t) => {
  const directory = runDirectory(t)
  const stranger = spawn('sleep', ['1000'], { stdio: 'ignore' })
  t.after(() => stranger.kill('SIGKILL'))
  const first = supervisor(directory, [sleeper('a'), sleeper('b')])
  await first.start()
  const path = join(directory, 'modules.json')
  const state = JSON.parse(readFileSync(path, 'utf8'))
  await first.stop()
  state.modules[0].identity = { pid: stranger.pid, startTime: identify(stranger.pid!)!.startTime - 1 }
  state.modules[1].identity = { pid: process.pid, startTime: identify(process.pid)?.startTime }
  writeFileSync(path, JSON.stringify(state))
  const up = supervisor(directory, [sleeper('a')])
  await up.start()
  notEqual(up.status()[0]?.pid, stranger.pid)
  await up.stop()
  ok(identify(stranger.pid!), 'a stranger was killed')
})
