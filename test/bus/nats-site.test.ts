/** A small site whose bus is NATS, by the commands as people call them. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { NatsServer } from '../../lab/nats/server.ts'
import { lacks } from '../../lab/needs.ts'
import { ended } from '../../src/bus/suite/child.ts'
import { Authority } from './certificates.ts'

const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
const ARGUMENTS = ['--disable-warning=ExperimentalWarning', MAIN]
const skip = lacks('nats-server', 'openssl')

interface Shown {
  readonly name: string
  readonly leads?: boolean
  readonly pid?: number
}

class NatsSite {
  readonly directory = mkdtempSync(join(tmpdir(), 'gatehouse-'))
  readonly server: NatsServer
  readonly #sitePath = join(this.directory, 'site.yaml')
  #up: ChildProcess | undefined
  #lines: Interface | undefined

  /** With TLS, and a user whose password is in a file. */
  static async start(t: TestContext): Promise<NatsSite> {
    const authority = new Authority(t)
    const { certFile, keyFile } = authority.issue('localhost')
    const tls = `tls { cert_file: "${certFile}", key_file: "${keyFile}" }`
    const server = await NatsServer.start(() => `authorization { user: "gatehouse", password: "right" }\n${tls}`)
    const site = new NatsSite(server)
    t.after(() => site.#stop())
    site.write('password', 'right\n')
    site.write('ca.pem', authority.ca)
    return site
  }

  constructor(server: NatsServer) {
    this.server = server
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.directory, name), text)
  }

  writeSite(more: string): void {
    const access = `user: gatehouse, password_file: ${this.directory}/password, tls: { ca_file: ${this.directory}/ca.pem }`
    const bus = `bus: { nats: { servers: ["${this.server.address}"], ${access} } }`
    this.write('site.yaml', `site: small\n${bus}\n${more}\n`)
  }

  async up(): Promise<void> {
    const args = [...ARGUMENTS, 'up', this.#sitePath, '--run', this.directory]
    this.#up = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#lines = createInterface(this.#up.stderr!)
    await this.said('site is up')
  }

  async said(wanted: string): Promise<void> {
    const seen: string[] = []
    for await (const line of this.#lines!) {
      seen.push(line)
      if (line.includes(wanted)) {
        // Whoever waits for the next line gets those behind this one.
        this.#lines = createInterface(this.#up!.stderr!)
        return
      }
    }
    throw new Error(`up ended without saying ${wanted}: ${seen.join('\n')}`)
  }

  call(...args: string[]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [...ARGUMENTS, ...args], { encoding: 'utf8' })
    return { status, stdout, stderr }
  }

  reload(): string {
    const { stdout, stderr } = this.call('reload', this.#sitePath, '--run', this.directory)
    return stdout + stderr
  }

  modules(): Shown[] {
    const { stdout, stderr } = this.call('show', 'modules', '--run', this.directory, '--json')
    ok(stdout, stderr)
    return JSON.parse(stdout)
  }

  async end(): Promise<void> {
    this.#up?.kill('SIGTERM')
    if (this.#up) await ended(this.#up)
  }

  async #stop(): Promise<void> {
    await this.end()
    await this.server.stop()
    rmSync(this.directory, { recursive: true, maxRetries: 5 })
  }
}

test('a site comes up over NATS, follows its file, and lives through the death of its server and of its leader', {
  skip,
}, async (t) => {
  const site = await NatsSite.start(t)
  const control = 'control: { nodes: [{ name: first }, { name: second }] }'
  const routing = 'routing: { as: 65001, router_id: 10.0.3.1, nodes: [{ name: rn-1, address: 10.0.3.1 }] }'
  site.writeSite(`${control}\n${routing}`)
  await site.up()
  const names = (): string[] =>
    site
      .modules()
      .map(({ name }) => name)
      .toSorted()
  deepEqual(names(), ['first', 'rn-1', 'second'])
  equal(site.reload(), 'nothing changed\n')

  const [leader] = site.modules().filter(({ leads }) => leads)
  await site.server.kill()
  await site.server.start()
  process.kill(leader!.pid!, 'SIGKILL')
  const leads = (): Shown | undefined => site.modules().find((module) => module.leads)
  for (let now = leads(); !now || now.pid === leader!.pid; now = leads());

  site.writeSite(control)
  match(site.reload(), /routing nodes: 1 removed \(rn-1\)/)
  while (names().length > 2);
  deepEqual(names(), ['first', 'second'])
  await site.end()
  deepEqual(site.modules(), [])
})

test('a site that NATS does not let in says why', { skip }, async (t) => {
  const site = await NatsSite.start(t)
  site.writeSite('')
  site.write('password', 'wrong\n')
  match(site.reload(), /unauthorized: .*Authorization Violation/)
  rmSync(join(site.directory, 'password'))
  match(site.reload(), /bus\.nats: .*no such file/)
  const creds = `bus: { nats: { servers: ["${site.server.address}"], creds_file: ${site.directory}/ca.pem } }`
  site.write('site.yaml', `site: small\n${creds}\n`)
  match(site.reload(), /bus\.nats: .* holds no user's JWT/)
  const { status, stderr } = site.call('run', 'bus', join(site.directory, 'site.yaml'), '--run', site.directory)
  equal(status, 1)
  match(stderr, /is NATS/)
})
