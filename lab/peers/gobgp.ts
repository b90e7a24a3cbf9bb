/** GoBGP (Debian's gobgpd): its routes are added to its table by the command line tool, one at a time. */

import { writeFileSync } from 'node:fs'
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

const ORIGINS = ['igp', 'egp', 'incomplete'] as const

/** An attribute as `gobgp --json` shows it: by its type of RFC 4271 and on. */
interface ShownAttribute {
  readonly type: number
  readonly value?: number | readonly (number | ShownLarge)[]
  readonly as_paths?: readonly { readonly asns: readonly number[] }[]
  readonly nexthop?: string
  readonly metric?: number
  readonly communities?: readonly number[]
}

interface ShownLarge {
  readonly ASN: number
  readonly LocalData1: number
  readonly LocalData2: number
}

interface ShownPath {
  readonly nlri: { readonly prefix: string }
  readonly attrs: readonly ShownAttribute[]
}

export class GoBgp extends DaemonRouter implements BgpRouter {
  readonly setsAnyPath = true

  static async start(options: BgpRouterOptions): Promise<GoBgp> {
    const gobgp = new GoBgp(options)
    await gobgp.#start()
    return gobgp
  }

  async announce(routes: readonly BgpOrigination[]): Promise<void> {
    for (const route of routes) await this.#rib('add', route.prefix, ...this.#words(route))
  }

  async withdraw(prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) await this.#rib('del', prefix)
  }

  async table(family: BgpFamily): Promise<BgpRoute[]> {
    const mine = this.options.neighbours.filter(({ families }) => families.includes(family))
    const shown = await Promise.all(
      mine.map(({ remote }) => this.command('--json', 'neighbor', remote, 'adj-in', '--address-family', family)),
    )
    const tables = shown.map((text) => JSON.parse(text) as Record<string, readonly ShownPath[]>)
    return tables.flatMap((table) => Object.values(table).flat().map(routeOf))
  }

  /** Words of gobgp's command line, for what is GoBGP's alone. */
  async command(...words: string[]): Promise<string> {
    return await this.daemon.run('gobgp', ...words)
  }

  async stop(): Promise<void> {
    await this.daemon.stop()
  }

  async #rib(verb: 'add' | 'del', prefix: string, ...words: string[]): Promise<void> {
    await this.command('global', 'rib', verb, '--address-family', familyOfPrefix(prefix), prefix, ...words)
  }

  #words({ prefix, asPath, origin, med, communities, largeCommunities }: BgpOrigination): string[] {
    const family = familyOfPrefix(prefix)
    const { nextHops, neighbours } = this.options
    const nextHop = nextHops?.[family] ?? neighbours.find(({ families }) => families.includes(family))!.local
    return [
      ...['nexthop', nextHop, 'origin', origin],
      ...(asPath.length > 0 ? ['aspath', asPath.join(' ')] : []),
      ...(med === undefined ? [] : ['med', `${med}`]),
      ...(communities.length > 0 ? ['community', communities.join(',')] : []),
      ...(largeCommunities.length > 0 ? ['large-community', largeCommunities.join(',')] : []),
    ]
  }

  async #start(): Promise<void> {
    const file = `${this.daemon.folder}/gobgpd.toml`
    writeFileSync(file, this.#config())
    this.daemon.start('gobgpd', ['-f', file, '--log-plain'])
    await this.daemon.until('GoBGP does not start', () =>
      this.command('global').then(
        () => true,
        () => false,
      ),
    )
  }

  #config(): string {
    const { as, routerId, neighbours, listenPort } = this.options
    return [
      '[global.config]',
      `as = ${as}`,
      `router-id = "${routerId}"`,
      `port = ${listenPort === 0 ? -1 : (listenPort ?? 179)}`,
      ...neighbours.flatMap(neighbourLines),
      '',
    ].join('\n')
  }
}

function neighbourLines(neighbour: BgpNeighbour): string[] {
  const { remote, local, as, port, password, ttlSecurity, passive, holdTime_s, families, extra } = neighbour
  const hold = holdTime_s === undefined ? [] : [`hold-time = ${holdTime_s}`]
  return [
    '[[neighbors]]',
    '[neighbors.config]',
    `neighbor-address = "${remote}"`,
    `peer-as = ${as}`,
    ...(password === undefined ? [] : [`auth-password = "${password}"`]),
    '[neighbors.transport.config]',
    `local-address = "${local}"`,
    ...(port === undefined ? [] : [`remote-port = ${port}`]),
    ...(passive ? ['passive-mode = true'] : []),
    '[neighbors.timers.config]',
    'connect-retry = 1',
    ...hold,
    ...(ttlSecurity ? ['[neighbors.ttl-security.config]', 'enabled = true', 'ttl-min = 255'] : []),
    ...families.flatMap((family) => [
      '[[neighbors.afi-safis]]',
      '[neighbors.afi-safis.config]',
      `afi-safi-name = "${family}-unicast"`,
    ]),
    ...(extra ?? []),
  ]
}

function routeOf({ nlri, attrs }: ShownPath): BgpRoute {
  const by = (type: number): ShownAttribute | undefined => attrs.find((one) => one.type === type)
  const nextHop = by(3)?.nexthop ?? by(14)?.nexthop
  return {
    prefix: nlri.prefix,
    nextHop: nextHop!,
    asPath: by(2)?.as_paths?.flatMap(({ asns }) => asns) ?? [],
    origin: ORIGINS[by(1)!.value as number]!,
    med: by(4)?.metric,
    communities: by(8)?.communities?.map((value) => `${value >>> 16}:${value & 0xffff}`) ?? [],
    largeCommunities: ((by(32)?.value ?? []) as readonly ShownLarge[]).map(
      ({ ASN, LocalData1, LocalData2 }) => `${ASN}:${LocalData1}:${LocalData2}`,
    ),
  }
}
