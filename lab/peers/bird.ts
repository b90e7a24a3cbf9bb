/**
 * BIRD 2 (Debian's bird2). Its routes are static ones with BGP attributes (BIRD user's guide, "Static"), in a file that
 * it reads again with every change.
 */

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

// A MED goes out only if the export filter sets it.
const EXPORT = 'if source != RTS_STATIC then reject; if defined(bgp_med) then bgp_med = bgp_med; accept;'
const FAMILIES: readonly BgpFamily[] = ['ipv4', 'ipv6']

export class Bird extends DaemonRouter implements BgpRouter {
  readonly setsAnyPath = true
  readonly #routes = new Map<string, BgpOrigination>()

  static async start(options: BgpRouterOptions): Promise<Bird> {
    const bird = new Bird(options)
    await bird.#start()
    return bird
  }

  async announce(routes: readonly BgpOrigination[]): Promise<void> {
    for (const route of routes) this.#routes.set(route.prefix, route)
    await this.#configure()
  }

  async withdraw(prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) this.#routes.delete(prefix)
    await this.#configure()
  }

  async table(family: BgpFamily): Promise<BgpRoute[]> {
    const shown = this.options.neighbours.map((neighbour, i) =>
      neighbour.families.includes(family)
        ? this.command(`show route all protocol peer${i} table master${family.slice(-1)}`)
        : '',
    )
    return (await Promise.all(shown)).flatMap(routesShown)
  }

  /** A line of birdc, for what is BIRD's alone. The protocols of its neighbours are peer0, peer1, ... */
  async command(line: string): Promise<string> {
    return await this.daemon.run('birdc', '-s', this.#socket, ...line.split(' '))
  }

  async stop(): Promise<void> {
    await this.daemon.stop()
  }

  /** It falls silent, with its connections open, or goes on. */
  freeze(isFrozen: boolean): void {
    this.daemon.signal(isFrozen ? 'SIGSTOP' : 'SIGCONT')
  }

  /** As a machine does that loses its power, but for the kernel, which sends FIN. */
  async kill(): Promise<void> {
    await this.daemon.stop('SIGKILL')
  }

  /** After `stop` or `kill`, with the routes that it had. */
  async restart(): Promise<void> {
    await this.#start()
  }

  get #socket(): string {
    return `${this.daemon.folder}/bird.ctl`
  }

  async #start(): Promise<void> {
    const { folder } = this.daemon
    writeFileSync(`${folder}/bird.conf`, this.#config())
    this.#writeRoutes()
    this.daemon.start('bird', ['-f', '-c', `${folder}/bird.conf`, '-s', this.#socket, '-P', `${folder}/pid`])
    await this.daemon.until('BIRD does not start', () =>
      this.command('show status').then(
        (text) => text.includes('up and running'),
        () => false,
      ),
    )
  }

  async #configure(): Promise<void> {
    this.#writeRoutes()
    const said = await this.command('configure')
    if (!/Reconfigur/.test(said)) throw new Error(`BIRD: ${said}`)
  }

  #config(): string {
    const { routerId, neighbours } = this.options
    return [
      'log stderr all;',
      `router id ${routerId};`,
      'protocol device {}',
      ...(this.options.extra ?? []),
      ...FAMILIES.flatMap((family) => [
        `protocol static routes_${family} {`,
        `  ${family};`,
        `  include "${this.daemon.folder}/${family}.conf";`,
        '}',
      ]),
      ...this.#kernel(),
      ...neighbours.flatMap((neighbour, i) => [`protocol bgp peer${i} {`, ...this.#neighbour(neighbour), '}']),
      '',
    ].join('\n')
  }

  #kernel(): string[] {
    const { installs } = this.options
    return FAMILIES.flatMap((family) => {
      const source = installs?.[family]
      if (source === undefined) return []
      const filter = `if source != RTS_BGP then reject; krt_prefsrc = ${source}; accept;`
      return [`protocol kernel kernel_${family} { ${family} { import none; export filter { ${filter} }; }; }`]
    })
  }

  #neighbour(neighbour: BgpNeighbour): string[] {
    const { as, listenPort } = this.options
    const { local, remote, port, password, ttlSecurity, passive, holdTime_s, families, extra } = neighbour
    // Between addresses of one machine nothing is on the same wire.
    const isLoopback = local.startsWith('127.')
    return [
      `local ${local}${listenPort ? ` port ${listenPort}` : ''} as ${as};`,
      `neighbor ${remote} port ${port ?? 179} as ${neighbour.as};`,
      'strict bind on; connect delay time 0; error wait time 1,4; connect retry time 2;',
      ...(isLoopback ? ['multihop;'] : []),
      ...(password === undefined ? [] : [`password "${password}";`]),
      ...(ttlSecurity ? ['ttl security on;'] : []),
      ...(passive ? ['passive on;'] : []),
      ...(holdTime_s === undefined ? [] : [`hold time ${holdTime_s};`]),
      ...families.map((family) => `${family} { import all; export filter { ${EXPORT} }; };`),
      ...(extra ?? []),
    ].map((line) => `  ${line}`)
  }

  #writeRoutes(): void {
    for (const family of FAMILIES) {
      const mine = Array.from(this.#routes.values()).filter(({ prefix }) => familyOfPrefix(prefix) === family)
      writeFileSync(`${this.daemon.folder}/${family}.conf`, mine.map(staticRoute).join(''))
    }
  }
}

function staticRoute({ prefix, asPath, origin, med, communities, largeCommunities }: BgpOrigination): string {
  const pairs = communities.map((one) => `bgp_community.add((${one.replace(':', ',')}));`)
  const triples = largeCommunities.map((one) => `bgp_large_community.add((${one.replaceAll(':', ',')}));`)
  const sets = [
    `bgp_origin = ORIGIN_${origin.toUpperCase()};`,
    ...asPath.toReversed().map((as) => `bgp_path.prepend(${as});`),
    ...(med === undefined ? [] : [`bgp_med = ${med};`]),
    ...pairs,
    ...triples,
  ]
  return `route ${prefix} blackhole { ${sets.join(' ')} };\n`
}

/** `show route all`: a line a route, of which the prefix is left out when it is that of the line before, and its attributes. */
function routesShown(text: string): BgpRoute[] {
  const routes: BgpRoute[] = []
  let prefix = ''
  let attributes = new Map<string, string>()
  const finish = (): void => {
    if (attributes.size > 0) routes.push(routeOf(prefix, attributes))
    attributes = new Map()
  }
  for (const line of text.split('\n')) {
    const [, attribute, value] = /^\tBGP\.(\w+): (.*)$/.exec(line) ?? []
    if (attribute) attributes.set(attribute, value!)
    const [, start] = /^(\S*)\s+\w+ \[peer\d/.exec(line) ?? []
    if (start === undefined) continue
    finish()
    if (start !== '') prefix = start
  }
  finish()
  return routes
}

function routeOf(prefix: string, attributes: ReadonlyMap<string, string>): BgpRoute {
  const tuples = (name: string): string[] =>
    Array.from(attributes.get(name)?.matchAll(/\(([^)]*)\)/g) ?? [], ([, inner]) => inner!.split(/, ?/).join(':'))
  const med = attributes.get('med')
  return {
    prefix,
    nextHop: attributes.get('next_hop')!.split(' ')[0]!,
    asPath: (attributes.get('as_path') ?? '').split(' ').filter(Boolean).map(Number),
    origin: attributes.get('origin')!.toLowerCase() as BgpRoute['origin'],
    med: med === undefined ? undefined : Number(med),
    communities: tuples('community'),
    largeCommunities: tuples('large_community'),
  }
}
