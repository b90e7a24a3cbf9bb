/**
 * ExaBGP 4 (Debian's exabgp): a BGP session for programs, without a table. Commands go to it, and what it hears comes from
 * it as JSON, through two named pipes that stand for the program it would run; the table is kept here.
 */

import { execFileSync } from 'node:child_process'
import { constants, openSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import {
  type BgpFamily,
  type BgpNeighbour,
  type BgpOrigination,
  type BgpRoute,
  type BgpRouter,
  type BgpRouterOptions,
  DaemonRouter,
  familyOfPrefix,
} from './bgp-router.ts'

interface Attributes {
  readonly origin: BgpRoute['origin']
  readonly 'as-path'?: readonly number[]
  readonly med?: number
  readonly community?: readonly (readonly number[])[]
  readonly 'large-community'?: readonly (readonly number[])[]
}

type Announced = Readonly<Record<string, Readonly<Record<string, readonly { readonly nlri: string }[]>>>>

/** What it tells (ExaBGP's JSON encoder), as far as we look. */
interface Told {
  readonly type: string
  readonly neighbor: {
    readonly address: { readonly peer: string }
    readonly state?: string
    readonly message?: {
      readonly update?: {
        readonly attribute?: Attributes
        readonly announce?: Announced
        readonly withdraw?: Readonly<Record<string, readonly { readonly nlri: string }[]>>
      }
    }
  }
}

export class ExaBgp extends DaemonRouter implements BgpRouter {
  readonly setsAnyPath = true
  readonly #pipes: Socket[] = []
  #commands: Socket | undefined
  /** By neighbour and prefix. */
  readonly #table = new Map<string, BgpRoute>()
  readonly #waiting: ((answer: string) => void)[] = []
  #isReady = false

  static async start(options: BgpRouterOptions): Promise<ExaBgp> {
    const exabgp = new ExaBgp(options)
    await exabgp.#start()
    return exabgp
  }

  async announce(routes: readonly BgpOrigination[]): Promise<void> {
    for (const route of routes)
      await this.#toNeighbours(route.prefix, `announce route ${this.#nlri(route.prefix)} ${this.#wordsOf(route)}`)
  }

  async withdraw(prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) await this.#toNeighbours(prefix, `withdraw route ${this.#nlri(prefix)}`)
  }

  async table(family: BgpFamily): Promise<BgpRoute[]> {
    return Array.from(this.#table.values()).filter(({ prefix }) => familyOfPrefix(prefix) === family)
  }

  async stop(): Promise<void> {
    await this.daemon.stop()
    for (const pipe of this.#pipes) pipe.destroy()
  }

  #nlri(prefix: string): string {
    return `${prefix} next-hop ${this.options.nextHops?.[familyOfPrefix(prefix)] ?? 'self'}`
  }

  async #toNeighbours(prefix: string, command: string): Promise<void> {
    const family = familyOfPrefix(prefix)
    for (const { remote, families } of this.options.neighbours)
      if (families.includes(family)) await this.#command(`neighbor ${remote} ${command}`)
  }

  /** Resolves when it has taken the command. */
  async #command(line: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<string>()
    this.#waiting.push(resolve)
    this.#commands!.write(`${line}\n`)
    const answer = await promise
    if (answer !== 'done') throw new Error(`ExaBGP: ${line}: ${answer}\n${this.daemon.lastLines()}`)
  }

  async #start(): Promise<void> {
    const { folder } = this.daemon
    execFileSync('mkfifo', [`${folder}/commands`, `${folder}/told`])
    writeFileSync(`${folder}/program`, `cat ${folder}/commands &\nexec cat > ${folder}/told\n`)
    writeFileSync(`${folder}/exabgp.conf`, this.#config())
    this.#commands = this.#openPipe(`${folder}/commands`, { readable: false, writable: true })
    createInterface(this.#openPipe(`${folder}/told`, { readable: true, writable: false })).on('line', (line) =>
      this.#hear(line),
    )
    this.daemon.start('exabgp', [`${folder}/exabgp.conf`], {
      ...process.env,
      'exabgp.daemon.user': 'root',
      'exabgp.api.cli': 'false',
      'exabgp.log.destination': 'stdout',
    })
    await this.daemon.until('ExaBGP does not start', () => this.#isReady)
  }

  #openPipe(path: string, way: { readable: boolean; writable: boolean }): Socket {
    // Open in both directions, so that it never waits for the other end and never comes to an end.
    const pipe = new Socket({ fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK), ...way })
    this.#pipes.push(pipe.unref())
    return pipe
  }

  #hear(line: string): void {
    if (!line.startsWith('{')) {
      this.#waiting.shift()?.(line)
      return
    }
    // The first that it tells is of the neighbours' states.
    this.#isReady = true
    const { type, neighbor } = JSON.parse(line) as Told
    const peer = neighbor?.address.peer
    if (type === 'state' && neighbor.state === 'down')
      for (const key of this.#table.keys()) if (key.startsWith(`${peer} `)) this.#table.delete(key)
    const update = neighbor?.message?.update
    if (type !== 'update' || !update) return
    for (const gone of Object.values(update.withdraw ?? {}).flat()) this.#table.delete(`${peer} ${gone.nlri}`)
    // Where there are two (RFC 2545 section 3), it is the global one that we look at.
    for (const byNextHop of Object.values(update.announce ?? {}))
      for (const [nextHop, routes] of Object.entries(byNextHop))
        for (const { nlri } of routes)
          if (nlri && !nextHop.startsWith('fe80:'))
            this.#table.set(`${peer} ${nlri}`, routeOf(nlri, nextHop, update.attribute!))
  }

  #wordsOf({ asPath, origin, med, communities, largeCommunities }: BgpOrigination): string {
    return [
      `origin ${origin} as-path [ ${[this.as, ...asPath].join(' ')} ]`,
      ...(med === undefined ? [] : [`med ${med}`]),
      ...(communities.length > 0 ? [`community [ ${communities.join(' ')} ]`] : []),
      ...(largeCommunities.length > 0 ? [`large-community [ ${largeCommunities.join(' ')} ]`] : []),
    ].join(' ')
  }

  #config(): string {
    const { neighbours } = this.options
    return [
      `process program { run /bin/sh ${this.daemon.folder}/program; encoder json; }`,
      ...neighbours.flatMap((neighbour) => this.#neighbour(neighbour)),
      '',
    ].join('\n')
  }

  #neighbour(neighbour: BgpNeighbour): string[] {
    const { remote, local, as, port, password, ttlSecurity, passive, holdTime_s, families, extra } = neighbour
    return [
      `neighbor ${remote} {`,
      `  router-id ${this.options.routerId};`,
      `  local-address ${local};`,
      `  local-as ${this.as};`,
      `  peer-as ${as};`,
      ...(port === undefined ? [] : [`  connect ${port};`]),
      ...(password === undefined ? [] : [`  md5-password "${password}";`]),
      ...(ttlSecurity ? ['  outgoing-ttl 255;', '  incoming-ttl 255;'] : []),
      ...(passive ? ['  passive true;'] : []),
      ...(holdTime_s === undefined ? [] : [`  hold-time ${holdTime_s};`]),
      `  family { ${families.map((family) => `${family} unicast;`).join(' ')} }`,
      '  api { processes [ program ]; neighbor-changes; receive { parsed; update; } }',
      ...(extra ?? []).map((line) => `  ${line}`),
      '}',
    ]
  }
}

function routeOf(prefix: string, nextHop: string, attributes: Attributes): BgpRoute {
  const texts = (lists: readonly (readonly number[])[] = []): string[] => lists.map((one) => one.join(':'))
  return {
    prefix,
    nextHop,
    asPath: attributes['as-path'] ?? [],
    origin: attributes.origin,
    med: attributes.med,
    communities: texts(attributes.community),
    largeCommunities: texts(attributes['large-community']),
  }
}
