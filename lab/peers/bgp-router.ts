/**
 * BGP routers of others' making, all to be had in the same way: started with a few lines of what a session needs, told to
 * announce and withdraw, and asked what they hold. A file a daemon; this one has what they share. Not a language for
 * their configuration: what only one of them can goes into its file as `extra` lines of its own syntax.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lab } from '../namespaces.ts'

export type BgpFamily = 'ipv4' | 'ipv6'

/** A route as one sees it in a table: what the neighbour said, its own AS in front. */
export interface BgpRoute {
  readonly prefix: string
  readonly nextHop: string
  readonly asPath: readonly number[]
  readonly origin: 'igp' | 'egp' | 'incomplete'
  readonly med?: number | undefined
  /** 65001:100 */
  readonly communities: readonly string[]
  /** 65001:1:100 */
  readonly largeCommunities: readonly string[]
}

/** A route to announce: the path behind the router's own AS. The next hop is the router. */
export type BgpOrigination = Omit<BgpRoute, 'nextHop'>

export interface BgpNeighbour {
  readonly local: string
  readonly remote: string
  readonly as: number
  readonly families: readonly BgpFamily[]
  /** Where it listens; 179 unless it is said. */
  readonly port?: number
  readonly password?: string
  /** GTSM: the neighbour is on the same wire. */
  readonly ttlSecurity?: boolean
  /** It waits for us. */
  readonly passive?: boolean
  readonly holdTime_s?: number
  /** Lines of the daemon's own syntax for this neighbour. */
  readonly extra?: readonly string[]
}

export interface BgpRouterOptions {
  readonly lab: Lab
  /** Within the lab. */
  readonly namespace: string
  /** Of its folder, so unlike all others in the lab. */
  readonly name: string
  readonly as: number
  readonly routerId: string
  /** Its own address of each family, where sessions are of another one than the routes in them. */
  readonly nextHops?: Readonly<Record<BgpFamily, string>>
  readonly neighbours: readonly BgpNeighbour[]
  /** Lines of the daemon's own syntax, of no neighbour. */
  readonly extra?: readonly string[]
  /** Its own sessions' port; 179 unless it is said, 0: it does not listen. */
  readonly listenPort?: number
  /** What it learns becomes routes of the kernel, whose packets come from its address of the family that is here. */
  readonly installs?: Readonly<Record<BgpFamily, string | undefined>>
}

export interface BgpRouter {
  readonly name: string
  readonly as: number
  /** False: paths are of its own AS only, and their origin is IGP. */
  readonly setsAnyPath: boolean
  announce(routes: readonly BgpOrigination[]): Promise<void>
  withdraw(prefixes: readonly string[]): Promise<void>
  /** All that it has from its neighbours, the best ones or not. */
  table(family: BgpFamily): Promise<BgpRoute[]>
  /** Ends it as an operator would. Without it, it ends with the lab. */
  stop(): Promise<void>
}

const START_MS = 20_000
const POLL_MS = 20
const AGREE_MS = 20_000
const LOOK_MS = 50
/** Of what is wrong with a table. */
const SHOWN_MAX = 12

/** A daemon in a namespace, with a folder for its files and its log. */
export class Daemon {
  readonly folder: string
  readonly #options: BgpRouterOptions
  #child: ChildProcess | undefined

  constructor(options: BgpRouterOptions) {
    this.#options = options
    this.folder = `${options.lab.folder}/${options.name}`
    mkdirSync(this.folder, { recursive: true })
  }

  /** Its output goes to the log. */
  start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
    const log = openSync(`${this.folder}/log`, 'a')
    const { lab, namespace } = this.#options
    this.#child = lab.spawn(namespace, command, args, { env, stdio: ['ignore', log, log] })
    closeSync(log)
  }

  async run(command: string, ...args: string[]): Promise<string> {
    return await this.#options.lab.run(this.#options.namespace, command, ...args)
  }

  /** For daemons that tell nobody when they are ready: tries until it works. Throws with the end of the log. */
  async until(what: string, works: () => boolean | Promise<boolean>): Promise<void> {
    const late_ms = performance.now() + START_MS
    while (!(await works())) {
      if (this.hasEnded || performance.now() > late_ms) throw new Error(`${what}\n${this.lastLines()}`)
      await sleep(POLL_MS)
    }
  }

  /** Such as SIGSTOP, which makes it fall silent. */
  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || isOver(child)) return
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }

  get hasEnded(): boolean {
    return this.#child !== undefined && isOver(this.#child)
  }

  lastLines(): string {
    return readFileSync(`${this.folder}/log`, 'utf8').trimEnd().split('\n').slice(-12).join('\n')
  }
}

/** What the daemons' classes begin with. */
export abstract class DaemonRouter {
  readonly name: string
  readonly as: number
  protected readonly options: BgpRouterOptions
  protected readonly daemon: Daemon

  protected constructor(options: BgpRouterOptions) {
    this.name = options.name
    this.as = options.as
    this.options = options
    this.daemon = new Daemon(options)
  }
}

function isOver({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

/** One of the users that packages make for their daemons. */
export function userNamed(name: string): { uid: number; gid: number; home: string } {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${name}:`))
  if (!line) throw new Error(`there is no user ${name}`)
  const [, , uid, gid, , home] = line.split(':')
  return { uid: Number(uid), gid: Number(gid), home: home! }
}

export function familyOfPrefix(prefix: string): BgpFamily {
  return prefix.includes(':') ? 'ipv6' : 'ipv4'
}

/** Routes as lines in order, whatever order a daemon keeps routes and communities in: to compare, and for people. */
export function linesOf(routes: readonly BgpRoute[]): string[] {
  return routes.map(lineOf).sort()
}

/** Waits until the router has exactly these, as `linesOf` writes them. Throws with what it has when that does not come. */
export async function untilTable(router: BgpRouter, family: BgpFamily, expected: readonly string[]): Promise<void> {
  const wanted = expected.toSorted()
  const late_ms = performance.now() + AGREE_MS
  for (;;) {
    const lines = linesOf(await router.table(family))
    if (lines.join('\n') === wanted.join('\n')) return
    if (performance.now() > late_ms) throw new Error(differenceOf(`${family} routes of ${router.name}`, lines, wanted))
    await sleep(LOOK_MS)
  }
}

function differenceOf(what: string, lines: readonly string[], wanted: readonly string[]): string {
  const absent = wanted.filter((line) => !lines.includes(line)).map((line) => `is not there: ${line}`)
  const added = lines.filter((line) => !wanted.includes(line)).map((line) => `must not be there: ${line}`)
  const all = [...absent, ...added]
  return [`${what}: ${all.length} are wrong`, ...all.slice(0, SHOWN_MAX)].join('\n')
}

function lineOf({ prefix, nextHop, asPath, origin, med, communities, largeCommunities }: BgpRoute): string {
  const words = [prefix, 'via', nextHop, 'path', asPath.join(' '), origin]
  // None is as good as 0 (RFC 4271 section 9.1.2.2 c), and some show 0 for none.
  if (med) words.push(`med ${med}`)
  for (const list of [communities, largeCommunities]) if (list.length > 0) words.push([...list].sort().join(','))
  return words.join(' ')
}
