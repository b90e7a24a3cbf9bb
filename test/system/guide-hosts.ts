/**
 * Hosts that a guide's commands are run on as they stand: each a network namespace of a lab with a wire to the management
 * network, and with /etc/gatehouse, /run/gatehouse, /var/lib/gatehouse and /etc/hosts of its own. The four are mounted over
 * those of the machine for the host's processes alone.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Lab } from '../../lab/namespaces.ts'
import { LAUNCHER } from './demo-run.ts'

/** Commands of one block, and the hosts that they are for. */
export interface GuideStep {
  readonly hosts: readonly string[]
  readonly text: string
}

/** The blocks that begin with ```sh HOST ..., in order. */
export function stepsOf(guide: string): GuideStep[] {
  return Array.from(readFileSync(guide, 'utf8').matchAll(/^```sh ([^\n]+)\n(.*?)^```$/gms), ([, hosts, text]) => ({
    hosts: hosts!.split(' '),
    text: text!,
  }))
}

/** What runs until it is told to end. */
export const isDaemon = ({ text }: GuideStep): boolean => /^(nats-server|gatehouse run) /.test(text)

const MOUNTED = ['/etc/gatehouse', '/run/gatehouse', '/var/lib/gatehouse'] as const

/** `scp FILE ... HOST:FOLDER`, for want of a network that it could go by. */
const SCP = `#!/bin/sh -e
for to; do :; done
while [ $# -gt 1 ]; do cp "$1" "$GUIDE_HOSTS/\${to%%:*}\${to#*:}"; shift; done
`

export class GuideHosts {
  readonly #lab: Lab
  readonly #folder: string
  /** Those that are only here to be mounted over. */
  readonly #made: string[] = []
  readonly #daemons = new Map<string, ChildProcess[]>()
  readonly #said: string[] = []

  constructor(lab: Lab, names: readonly string[]) {
    this.#lab = lab
    this.#folder = join(lab.folder, 'hosts')
    const programs = join(this.#folder, 'bin')
    mkdirSync(programs, { recursive: true })
    symlinkSync(LAUNCHER, join(programs, 'gatehouse'))
    writeFileSync(join(programs, 'scp'), SCP, { mode: 0o755 })
    for (const path of MOUNTED)
      if (!existsSync(path)) {
        mkdirSync(path, { recursive: true })
        this.#made.push(path)
      }
    for (const name of names) {
      for (const path of MOUNTED) mkdirSync(this.fileOn(name, path), { recursive: true, mode: 0o755 })
      copyFileSync('/etc/hosts', this.fileOn(name, '/etc/hosts'))
    }
  }

  /** Where a host's file is seen from here. */
  fileOn(host: string, path: string): string {
    return join(this.#folder, host, path)
  }

  /** To its end. Returns what it printed; rejects with what it said when it failed. */
  async run(host: string, text: string): Promise<string> {
    const child = this.#spawn(host, text)
    const [[code], out, err] = await Promise.all([once(child, 'exit'), textOf(child.stdout), textOf(child.stderr)])
    if (code !== 0) throw new Error(`on ${host}: ${text}\n${out}${err}`)
    return out
  }

  start(host: string, text: string): void {
    const child = this.#spawn(host, `exec ${text}`)
    child.stdout!.resume()
    createInterface(child.stderr!).on('line', (line) => this.#said.push(`${host}: ${line}`))
    this.#daemons.set(host, [...(this.#daemons.get(host) ?? []), child])
  }

  /** All that runs there is killed with -9, and its wires have no carrier. */
  async die(host: string): Promise<void> {
    const children = this.#daemons.get(host) ?? []
    this.#daemons.delete(host)
    for (const child of children) child.kill('SIGKILL')
    const links = JSON.parse(await this.#lab.run(host, 'ip', '-json', 'link')) as { ifname: string }[]
    const wires = links.filter(({ ifname }) => ifname !== 'lo')
    await this.#lab.configure(new Map([[host, wires.map(({ ifname }) => `link set ${ifname} down`)]]))
    await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')))
  }

  /** The last that our modules said; the servers tell of each attempt to reach one that is gone. */
  lastLines(): string {
    return this.#said
      .filter((line) => line.includes('"module"'))
      .slice(-60)
      .join('\n')
  }

  /** Once the lab is closed. */
  close(): void {
    for (const path of this.#made) rmdirSync(path)
  }

  #spawn(host: string, text: string): ChildProcess {
    const mounts = [...MOUNTED, '/etc/hosts'].map((path) => `mount --bind ${this.fileOn(host, path)} ${path}`)
    const script = [...mounts, `exec sh -euc "$0"`].join('\n')
    const env = { ...process.env, GUIDE_HOSTS: this.#folder, PATH: `${this.#folder}/bin:${process.env['PATH']}` }
    const args = ['--mount', '--propagation', 'private', 'sh', '-euc', script, text]
    return this.#lab.spawn(host, 'unshare', args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  }
}

async function textOf(stream: ChildProcess['stdout']): Promise<string> {
  return Buffer.concat(await stream!.toArray()).toString()
}
