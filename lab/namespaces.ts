/**
 * A lab: network namespaces of one owner, under one prefix, with what runs in them. Made with iproute2, in batches.
 * Every lab has a folder under /run/gatehouse-lab that says whose it is, so that the next lab sweeps away what a killed
 * owner left behind (processes, namespaces, files), and never touches one whose owner lives. Knows nothing of gateways:
 * what is built here is up to site.ts.
 */

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { lockFile } from '../src/base/file-lock.ts'
import { setOffloads } from '../src/linux/ethtool.ts'
import { withNamespace } from '../src/linux/namespace.ts'
import { findCommand } from './packages.ts'

const LABS = '/run/gatehouse-lab'
const NETNS = '/run/netns'

/** In the environment of every process of a lab and of its descendants. */
const MARK = 'GATEHOUSE_LAB'

/** How long processes may take to stop after SIGTERM. */
const GRACE_MS = 5000
const POLL_MS = 20

/** Linux: IFNAMSIZ less the final zero. */
export const INTERFACE_NAME_MAX = 15

export interface End {
  /** The namespace's name within the lab, without the prefix. */
  readonly namespace: string
  readonly interface: string
  readonly mac?: string
  /** Addresses with prefix length. */
  readonly addresses?: readonly string[]
}

export interface Link {
  readonly a: End
  readonly b: End
  readonly mtu: number
  /** Receive and transmit queues of each end. */
  readonly queues: number
}

interface Owner {
  readonly pid: number
  /** Of the owner, in ticks since boot: with it a pid that came round again is not mistaken for it. */
  readonly startTime: string
}

export class Lab {
  /** `gh-PID-N`: before every namespace's name. */
  readonly id: string
  /** For sockets, site files and logs; gone with the lab. */
  readonly folder: string
  readonly #namespaces = new Set<string>()
  #closing: Promise<void> | undefined

  /** Sweeps up after killed owners, then makes an empty lab of this process. Needs root and iproute2. */
  static async open(): Promise<Lab> {
    mkdirSync(`${LABS}/lock`, { recursive: true })
    await sweep()
    return new Lab()
  }

  private constructor() {
    for (let n = 0; ; n++) {
      const id = `gh-${process.pid}-${n}`
      try {
        mkdirSync(`${LABS}/${id}`)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue
        throw error
      }
      this.id = id
      this.folder = `${LABS}/${id}`
      break
    }
    const owner: Owner = { pid: process.pid, startTime: startTime(process.pid)! }
    writeFileSync(`${this.folder}/owner.json`, JSON.stringify(owner))
  }

  /** The name under which `ip netns` knows it. */
  fullName(namespace: string): string {
    return `${this.id}-${namespace}`
  }

  get namespaces(): readonly string[] {
    return [...this.#namespaces]
  }

  /** New namespaces with `lo` up. Settings are sysctl names below /proc/sys with their values. */
  async addNamespaces(
    names: readonly string[],
    settings: Readonly<Record<string, string | number>> = {},
  ): Promise<void> {
    for (const name of names) this.#namespaces.add(name)
    await ipBatch(names.map((name) => `netns add ${this.fullName(name)}`))
    for (const name of names) this.set(name, settings)
    await this.configure(new Map(names.map((name) => [name, ['link set lo up']])))
  }

  set(namespace: string, settings: Readonly<Record<string, string | number>>): void {
    withNamespace(this.fullName(namespace), () => {
      // /proc/sys/net shows the namespace of the thread that opens it.
      for (const [name, value] of Object.entries(settings)) {
        // A host that was booted with ipv6.disable=1 has none of them.
        if (name.startsWith('net/ipv6/') && !existsSync(`/proc/sys/${name}`)) continue
        writeFileSync(`/proc/sys/${name}`, `${value}`)
      }
    })
  }

  /** veth pairs, up, with their addresses. */
  async addLinks(links: readonly Link[]): Promise<void> {
    await ipBatch(links.map((link) => `link add ${this.#device(link, 'a')} type veth peer ${this.#device(link, 'b')}`))
    const commands = new Map<string, string[]>()
    for (const end of links.flatMap(({ a, b }) => [a, b])) {
      // What reads frames off a veth in user space wants their checksums finished and their length within the MTU.
      withNamespace(this.fullName(end.namespace), () =>
        setOffloads(end.interface, { 'tx-checksum': false, tso: false, gso: false, gro: false }),
      )
      const addresses = end.addresses ?? []
      const lines = commands.get(end.namespace) ?? []
      // DAD would keep an IPv6 address unusable for a second, and there is nobody who could have it.
      lines.push(...addresses.map((address) => `addr add ${address} dev ${end.interface}${nodad(address)}`))
      lines.push(`link set ${end.interface} up`)
      commands.set(end.namespace, lines)
    }
    await this.configure(commands)
  }

  #device({ mtu, queues, ...ends }: Link, which: 'a' | 'b'): string {
    const end = ends[which]
    const words = [`name ${end.interface} netns ${this.fullName(end.namespace)} mtu ${mtu}`]
    if (end.mac) words.push(`address ${end.mac}`)
    return [...words, `numrxqueues ${queues} numtxqueues ${queues}`].join(' ')
  }

  /** Lines for `ip -batch`, by namespace. */
  async configure(commands: ReadonlyMap<string, readonly string[]>): Promise<void> {
    await Promise.all(Array.from(commands, ([name, lines]) => ipBatch(lines, this.fullName(name))))
  }

  /**
   * Starts a program in a namespace (undefined: where we are). It is stopped with the lab, and so is everything that it
   * starts in turn.
   */
  spawn(
    namespace: string | undefined,
    command: string,
    args: readonly string[],
    options: SpawnOptions = {},
  ): ChildProcess {
    const env = { ...(options.env ?? process.env), [MARK]: this.id }
    const [program, ...words] = namespace ? this.#inNamespace(namespace, command, args) : [command, ...args]
    // A session of its own: Ctrl-C is for the owner, who stops the others in order.
    return spawn(program!, words, { ...options, env, detached: true })
  }

  /** Runs a program to its end and returns what it printed. Throws with its stderr when it fails. */
  async run(namespace: string, command: string, ...args: string[]): Promise<string> {
    const [program, ...words] = this.#inNamespace(namespace, command, args)
    return await execute(program!, words, '', { ...process.env, [MARK]: this.id })
  }

  // util-linux is on every Debian; unlike `ip netns exec`, nsenter leaves the mounts alone.
  #inNamespace(namespace: string, command: string, args: readonly string[]): string[] {
    return ['nsenter', `--net=${NETNS}/${this.fullName(namespace)}`, '--', command, ...args]
  }

  /** Stops what runs in the lab and removes it. May be called twice. */
  close(grace_ms = GRACE_MS): Promise<void> {
    this.#closing ??= removeLab(this.id, grace_ms)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Removes the labs of owners that are no more. */
export async function sweep(): Promise<void> {
  const lock = lockFile(`${LABS}/lock/sweep`)
  if (!lock) return // somebody is at it
  try {
    const ids = readdirSync(LABS).filter((name) => /^gh-\d+-\d+$/.test(name))
    for (const id of ids) if (!ownerLives(id)) await removeLab(id)
  } finally {
    lock.release()
  }
}

function ownerLives(id: string): boolean {
  try {
    const owner: Owner = JSON.parse(readFileSync(`${LABS}/${id}/owner.json`, 'utf8'))
    return startTime(owner.pid) === owner.startTime
  } catch {
    // Made a moment ago and not signed yet, or left by someone who died in between: the pid is in the name too.
    return startTime(Number(id.split('-')[1])) !== undefined
  }
}

async function removeLab(id: string, grace_ms = GRACE_MS): Promise<void> {
  await stopProcesses(id, grace_ms)
  const names = listNames(NETNS).filter((name) => name.startsWith(`${id}-`))
  await ipBatch(names.map((name) => `netns delete ${name}`))
  rmSync(`${LABS}/${id}`, { recursive: true, force: true })
}

async function stopProcesses(id: string, grace_ms: number): Promise<void> {
  signalAll(processesOf(id), 'SIGTERM')
  for (let waited_ms = 0; processesOf(id).length > 0 && waited_ms < grace_ms; waited_ms += POLL_MS) await sleep(POLL_MS)
  for (let left = processesOf(id); left.length > 0; left = processesOf(id)) {
    signalAll(left, 'SIGKILL')
    await sleep(POLL_MS)
  }
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It ended by itself in between.
    }
  }
}

/** What carries the lab's mark; never ourselves. */
function processesOf(id: string): number[] {
  return listNames('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && hasMark(pid, id) && startTime(pid) !== undefined)
}

function hasMark(pid: number, id: string): boolean {
  return readOrEmpty(`/proc/${pid}/environ`).split('\0').includes(`${MARK}=${id}`)
}

/** Field 22 of /proc/PID/stat, proc(5); undefined when there is no such process or only its remains. */
function startTime(pid: number): string | undefined {
  const stat = readOrEmpty(`/proc/${pid}/stat`)
  // The second field is the program's name in brackets, which may hold spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return stat === '' || fields[0] === 'Z' ? undefined : fields[19]
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Runs lines of iproute2 in one process; the first that fails ends it. */
async function ipBatch(lines: readonly string[], namespace?: string): Promise<void> {
  if (lines.length === 0) return
  const where = namespace ? ['-n', namespace] : []
  await execute(findCommand('ip') ?? 'ip', [...where, '-batch', '-'], `${lines.join('\n')}\n`)
}

async function execute(program: string, args: string[], input: string, env = process.env): Promise<string> {
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  const [out, err] = [collect(child.stdout), collect(child.stderr)]
  child.stdin.on('error', () => {}) // it ended before it read all of it: its exit code says why
  child.stdin.end(input)
  const [code] = await closed
  if (code === 0) return await out
  const number = Number(/Command failed -:(\d+)/.exec(await err)?.[1])
  const line = number > 0 ? `\n${input.split('\n')[number - 1]}` : ''
  throw new Error(`${program} ${args.join(' ')}: ${(await err).trim()}${line}`)
}

async function collect(stream: Readable): Promise<string> {
  return Buffer.concat(await stream.toArray()).toString()
}

function nodad(address: string): string {
  return address.includes(':') ? ' nodad' : ''
}
