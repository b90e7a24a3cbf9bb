/**
 * OpenBGPD (Debian's openbgpd). Its routes are networks added by bgpctl; it makes no paths but of its own AS. It looks
 * next hops up in the kernel and puts nothing there.
 */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import {
  type BgpFamily,
  type BgpNeighbour,
  type BgpOrigination,
  type BgpRoute,
  type BgpRouter,
  type BgpRouterOptions,
  DaemonRouter,
  familyOfPrefix,
  userNamed,
} from './bgp-router.ts'

interface ShownRoute {
  readonly prefix: string
  readonly aspath: string
  readonly exit_nexthop: string
  readonly origin: string
  readonly metric: number
  readonly attributes?: readonly { readonly type: string; readonly metric?: number }[]
  readonly communities?: readonly string[]
  readonly large_communities?: readonly string[]
}

export class OpenBgpd extends DaemonRouter implements BgpRouter {
  readonly setsAnyPath = false

  static async start(options: BgpRouterOptions): Promise<OpenBgpd> {
    const bgpd = new OpenBgpd(options)
    await bgpd.#start()
    return bgpd
  }

  async announce(routes: readonly BgpOrigination[]): Promise<void> {
    for (const route of routes)
      await this.command('network', 'add', route.prefix, ...this.#nextHop(route.prefix), ...wordsOf(route))
  }

  async withdraw(prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) await this.command('network', 'delete', prefix)
  }

  async table(family: BgpFamily): Promise<BgpRoute[]> {
    const mine = this.options.neighbours.filter(({ families }) => families.includes(family))
    const shown = await Promise.all(
      mine.map(({ remote }) => {
        const inet = family === 'ipv4' ? 'inet' : 'inet6'
        return this.command('-j', 'show', 'rib', inet, 'neighbor', remote, 'in', 'detail')
      }),
    )
    return shown.flatMap((text) => ((JSON.parse(text) as { rib?: readonly ShownRoute[] }).rib ?? []).map(routeOf))
  }

  /** Words of bgpctl, for what is OpenBGPD's alone. */
  async command(...words: string[]): Promise<string> {
    return await this.daemon.run('bgpctl', '-s', this.#socket, ...words)
  }

  async stop(): Promise<void> {
    await this.daemon.stop()
  }

  #nextHop(prefix: string): string[] {
    const { nextHops } = this.options
    return nextHops ? ['nexthop', nextHops[familyOfPrefix(prefix)]] : []
  }

  get #socket(): string {
    return `${this.daemon.folder}/bgpd.sock`
  }

  async #start(): Promise<void> {
    const file = `${this.daemon.folder}/bgpd.conf`
    // Where it locks itself in. Debian's service makes it when it starts.
    mkdirSync(userNamed('_openbgpd').home, { recursive: true, mode: 0o755 })
    writeFileSync(file, this.#config())
    chmodSync(file, 0o600) // it reads no file that others may
    this.daemon.start('bgpd', ['-d', '-f', file])
    await this.daemon.until('OpenBGPD does not start', () =>
      this.command('show').then(
        () => true,
        () => false,
      ),
    )
  }

  #config(): string {
    const { as, routerId, neighbours, listenPort } = this.options
    const port = listenPort ? ` port ${listenPort}` : ''
    return [
      `AS ${as}`,
      `router-id ${routerId}`,
      `socket "${this.#socket}"`,
      'fib-update no',
      ...neighbours.map(({ local }) => `listen on ${local}${port}`),
      ...neighbours.flatMap(neighbourLines),
      'allow from any',
      'allow to any',
      '',
    ].join('\n')
  }
}

function neighbourLines(neighbour: BgpNeighbour): string[] {
  const { remote, local, as, port, password, ttlSecurity, passive, holdTime_s, families, extra } = neighbour
  return [
    `neighbor ${remote} {`,
    `  remote-as ${as}`,
    `  local-address ${local}`,
    '  enforce neighbor-as no',
    ...(['ipv4', 'ipv6'] as const).map(
      (family) => `  announce ${family === 'ipv4' ? 'IPv4' : 'IPv6'} ${families.includes(family) ? 'unicast' : 'none'}`,
    ),
    ...(port === undefined ? [] : [`  port ${port}`]),
    ...(password === undefined ? [] : [`  tcp md5sig password ${password}`]),
    ...(ttlSecurity ? ['  ttl-security yes'] : []),
    ...(passive ? ['  passive'] : []),
    ...(holdTime_s === undefined ? [] : [`  holdtime ${holdTime_s}`]),
    ...(extra ?? []).map((line) => `  ${line}`),
    '}',
  ]
}

function wordsOf({ asPath, med, communities, largeCommunities }: BgpOrigination): string[] {
  return [
    ...(asPath.length > 0 ? ['prepend-self', `${asPath.length}`] : []),
    ...(med === undefined ? [] : ['med', `${med}`]),
    ...communities.flatMap((one) => ['community', one]),
    ...largeCommunities.flatMap((one) => ['large-community', one]),
  ]
}

function routeOf(route: ShownRoute): BgpRoute {
  return {
    prefix: route.prefix,
    nextHop: route.exit_nexthop,
    asPath: route.aspath.split(' ').filter(Boolean).map(Number),
    origin: route.origin.toLowerCase() as BgpRoute['origin'],
    med: route.metric,
    communities: route.communities ?? [],
    largeCommunities: route.large_communities ?? [],
  }
}
