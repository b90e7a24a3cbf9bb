/** The guide to the orchestrator is right to the letter, but for where it keeps things and which port it listens on. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { lacks } from '../../lab/needs.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const GUIDE = readFileSync(join(ROOT, 'docs/guides/orchestrator.md'), 'utf8')
const BLOCKS = Array.from(GUIDE.matchAll(/```sh( background)?\n(.*?)```/gs), ([, background, text]) => ({
  background: background !== undefined,
  text: text!,
}))

/** What the guide runs, in a directory of its own. */
class Place {
  readonly directory = mkdtempSync(join(tmpdir(), 'gatehouse-guide-'))
  readonly #children: ChildProcess[] = []
  readonly #port: number

  constructor(t: TestContext, port: number) {
    this.#port = port
    mkdirSync(join(this.directory, 'bin'))
    // The Node that runs this, without the launcher's look at the packages.
    const script = `#!/bin/sh\nexec ${process.execPath} --disable-warning=ExperimentalWarning ${ROOT}/src/main.ts "$@"\n`
    writeFileSync(join(this.directory, 'bin/gatehouse'), script)
    chmodSync(join(this.directory, 'bin/gatehouse'), 0o755)
    t.after(() => this.#end())
  }

  here(text: string): string {
    return text
      .replaceAll('/etc/gatehouse', `${this.directory}/etc`)
      .replaceAll('/run/gatehouse', `${this.directory}/run`)
      .replaceAll('8470', `${this.#port}`)
      .replace('orchestrator: main\n', `orchestrator: main\nlisten: { port: ${this.#port} }\n`)
  }

  /** Resolves once it has said each of these so many times on standard error. */
  async start(command: string, wanted: Readonly<Record<string, number>>): Promise<void> {
    const child = spawn('sh', ['-c', `exec ${command}`], {
      env: this.#environment(),
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#children.push(child)
    const left = new Map(Object.entries(wanted))
    const lines: string[] = []
    if (left.size === 0) return
    for await (const line of createInterface(child.stderr!)) {
      lines.push(line)
      for (const [text, times] of left) if (line.includes(text)) left.set(text, times - 1)
      if ([...left.values()].every((times) => times <= 0)) return
    }
    throw new Error(`${command} ended: ${lines.join('\n')}`)
  }

  /** All of them as one shell runs them; returns what each command `ask` printed, a line each. */
  shell(text: string): string[] {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', `set -eu\n${this.here(text)}`], {
      env: this.#environment(),
      encoding: 'utf8',
    })
    equal(status, 0, `${stdout}${stderr}`)
    return stdout.split('\n').filter((line) => line !== '')
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, PATH: `${this.directory}/bin:${process.env['PATH']}` }
  }

  async #end(): Promise<void> {
    for (const child of this.#children.reverse()) {
      const isGone = child.exitCode !== null || child.signalCode !== null
      const exit = isGone ? undefined : once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    }
    rmSync(this.directory, { recursive: true, maxRetries: 5 })
  }
}

/** One that nothing listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

test("the orchestrator's guide runs as it is written", { skip: lacks('curl') }, async (t) => {
  const place = new Place(t, await freePort())
  for (const name of ['east', 'west']) {
    const options = `examples/two-sites/${name}.yaml --run ${place.directory}/run/${name}`.replace(
      'examples',
      `${ROOT}/examples`,
    )
    await place.start(`gatehouse run bus ${options}`, {})
    await place.start(`gatehouse run control ${options}`, { '"leading"': 1 })
  }
  const at = BLOCKS.findIndex(({ background }) => background)
  place.shell(textOf(BLOCKS.slice(0, at)))
  await place.start(place.here(BLOCKS[at]!.text.trim()), { '"a site is read"': 2, '"listening"': 1 })
  const [sites, made, machine, routes, events, ...rest] = place
    .shell(textOf(BLOCKS.slice(at + 1)))
    .map((line) => JSON.parse(line))
  deepEqual(
    sites.items.map((one: { site: string; tenants: number }) => [one.site, one.tenants]),
    [
      ['east', 1],
      ['west', 1],
    ],
  )
  deepEqual([made.name, made.version, made.author, made.pending], ['globex', 1, 'olaf', []])
  equal(machine.version, 2)
  ok(routes.items.some(({ prefix }: { prefix: string }) => prefix === '10.50.0.0/16'))
  deepEqual(new Set(events.items.map(({ author }: { author: string }) => author)), new Set(['olaf']))
  deepEqual(rest, [])
  match(
    readFileSync(join(place.directory, 'etc/tokens.yaml'), 'utf8'),
    /^tokens:\n {2}- \{ name: olaf, role: operator, sha256/,
  )
})

const textOf = (blocks: typeof BLOCKS): string => blocks.map(({ text }) => text).join('\n')
