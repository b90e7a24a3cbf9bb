/**
 * `gatehouse up`: all modules of a site on this host, each its own process. Killed, it leaves them running, and the
 * next one adopts them; asked to end, it ends them. The site is put on the bus, and the control module takes it from
 * there; what `up` itself does about a new site is to start and end modules.
 */

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { busPlaceOf } from '../agent/bus-place.ts'
import { DEATHS_SUBJECT } from '../agent/names.ts'
import { modulesOf, whenReady, withdraw } from '../agent/presence.ts'
import { checkFile, putSite, putSiteWhenThere, SiteConflict, siteContents, watchSite } from '../agent/site-store.ts'
import { systemClock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { freshSeed, Random } from '../base/random.ts'
import { aborted } from '../base/signal.ts'
import { type Bus, BusError } from '../bus/bus.ts'
import { busSocket } from '../bus/embedded/main.ts'
import { openBus } from '../bus/place.ts'
import { describeDifference, diffSites } from '../config/difference.ts'
import { controlNodesOf, type Directories, type Site } from '../config/site.ts'
import { startPartOf } from '../routing/start-part.ts'
import type { ModuleSpec } from '../supervisor/module.ts'
import { identify } from '../supervisor/process.ts'
import { Supervisor } from '../supervisor/supervisor.ts'
import { conflictIn, EXIT, Failure, loadOrFail } from './failure.ts'
import { releaseOf } from './release.ts'
import { openDirectories } from './run-directory.ts'
import { writeSite, writtenSite } from './written-site.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const MAIN = join(ROOT, 'src/main.ts')

/** A socket that nobody listens on may be left of a bus that was killed. */
const RUNNING_WITHIN_MS = 5000

export async function up(path: string, options: Partial<Directories>): Promise<void> {
  const site = loadOrFail(path)
  const directories = openDirectories(site, options)
  const log = pino({ base: { module: 'up' } }, pino.destination({ dest: 2, sync: true }))
  const random = new Random(freshSeed())
  const bus = await openUpBus(site, directories, random)
  const running = new RunningSite(path, site, directories, { bus, random, log })
  const end = new AbortController()
  process.on('SIGTERM', () => end.abort())
  process.on('SIGINT', () => end.abort())
  process.on('SIGHUP', () => void running.reread())
  try {
    await Promise.race([running.start(), running.refused, aborted(end.signal)])
    await aborted(end.signal)
    log.info('ending')
  } catch (error) {
    if (error instanceof SiteConflict) throw new Failure(conflictIn(path, error), EXIT.site)
    throw new Failure((error as Error).message)
  } finally {
    await running.stop()
  }
}

function openUpBus(site: Site, { run }: Directories, random: Random): Promise<Bus> {
  try {
    return openBus(busPlaceOf(site, run), { name: 'up', clock: systemClock, random })
  } catch (error) {
    throw new Failure((error as Error).message)
  }
}

interface Surroundings {
  readonly bus: Bus
  readonly random: Random
  readonly log: Logger
}

class RunningSite {
  readonly #path: string
  readonly #directory: string
  readonly #stateDirectory: string
  readonly #release = releaseOf(ROOT)
  readonly #log: Logger
  readonly #bus: Bus
  readonly #supervisor: Supervisor
  readonly #ending = new AbortController()
  readonly #refused = Promise.withResolvers<never>()
  /** What the file says: modules are its own, whatever tenants come from elsewhere. */
  #site: Site
  #updating: Promise<void> = Promise.resolve()

  constructor(path: string, site: Site, { run: directory, state }: Directories, { bus, random, log }: Surroundings) {
    this.#path = path
    this.#site = site
    this.#directory = directory
    this.#stateDirectory = state
    this.#log = log
    this.#bus = bus
    this.#supervisor = new Supervisor({
      directory,
      logDirectory: join(state, 'log'),
      modules: this.#modules(),
      clock: systemClock,
      random,
      log,
      waitReady: (name, signal) => this.#waitReady(name, signal),
      onCrash: (name) => this.#bus.publish(DEATHS_SUBJECT, Buffer.from(name)),
    })
    this.#refused.promise.catch(() => {})
    this.#supervisor.on('exit', ({ name, pid }) => void (pid && withdraw(this.#bus, name, pid)))
  }

  /** Rejects with a `SiteConflict` once the bus that was started has tenants that the file does not go with. */
  get refused(): Promise<never> {
    return this.#refused.promise
  }

  async start(): Promise<void> {
    await this.#askRunning()
    writeSite(this.#directory, this.#site)
    if (this.#site.bus.nats) await this.#putSite(this.#ending.signal)
    await this.#supervisor.start()
    if (this.#ending.signal.aborted) return
    await this.#withdrawDead()
    watchSite(this.#bus, () => {
      this.#updating = this.#updating.then(() => this.#follow())
    }).ready.catch(() => {})
    this.#log.info({ site: this.#site.site, directory: this.#directory, modules: this.#modules().length }, 'site is up')
  }

  /** Before anything is started or ended: would a bus that runs here already take the file? */
  async #askRunning(): Promise<void> {
    if (this.#site.bus.nats || !existsSync(busSocket(this.#directory))) return
    try {
      await this.#bus.whenConnected(RUNNING_WITHIN_MS)
      await checkFile(this.#bus, this.#site)
    } catch (error) {
      // One that does not answer is asked again once it has been started.
      if (!(error instanceof BusError)) throw error
    }
  }

  /** Takes the site file again, unless it has errors. */
  async reread(): Promise<void> {
    try {
      await putSite(this.#bus, loadOrFail(this.#path))
    } catch (error) {
      if (![Failure, BusError, SiteConflict].some((kind) => error instanceof kind)) throw error
      this.#log.error(
        { errors: (error as Error).message.split('\n') },
        'the site file is not taken; the site stays as it is',
      )
    }
  }

  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#supervisor.stop()
    await this.#bus.close()
  }

  /** Somebody put another site on the bus: the modules are to be as it says. */
  async #follow(): Promise<void> {
    try {
      const site = (await siteContents(this.#bus))?.file
      const difference = site ? describeDifference(diffSites(this.#site, site)) : []
      if (!site || difference.length === 0) return
      this.#log.info({ difference }, 'the site changed')
      this.#site = site
      writeSite(this.#directory, this.#site)
      await this.#supervisor.update(this.#modules())
      await this.#withdrawDead()
    } catch (error) {
      this.#log.error({ error: String(error) }, 'the modules could not be changed')
    }
  }

  /** Modules that ended while nobody was there to say so are not there any more. */
  async #withdrawDead(): Promise<void> {
    const ours = new Map(this.#supervisor.status().map(({ name, pid }) => [name, pid]))
    // Over NATS others may run on another host.
    const isElsewhere = this.#site.bus.nats !== undefined
    const isAlive = (name: string, pid: number): boolean =>
      ours.has(name) ? ours.get(name) === pid : isElsewhere || identify(pid) !== undefined
    try {
      for (const [name, { pid }] of await modulesOf(this.#bus))
        if (!isAlive(name, pid)) await withdraw(this.#bus, name, pid)
    } catch (error) {
      this.#log.warn({ error: String(error) }, 'modules that are gone may still be shown')
    }
  }

  /** In the order in which they build on each other. */
  #modules(): ModuleSpec[] {
    const { bus, switches, clusters, routing } = this.#site
    return [
      // The servers of NATS are not ours to run.
      ...(bus.nats ? [] : [this.#spec('bus', 'bus', undefined)]),
      ...controlNodesOf(this.#site).map((name) => this.#spec('control', name, undefined)),
      ...switches.map(({ name, namespace, address, uplinks, ports, workers }) =>
        this.#spec('access', name, { namespace, address, uplinks, ports, workers }),
      ),
      ...clusters.flatMap((cluster) =>
        cluster.nodes.map(({ name, namespace, address, ports, workers }) =>
          this.#spec('forwarding', name, { namespace, address, ports, workers, cluster: cluster.name }),
        ),
      ),
      ...(routing?.nodes ?? []).map((node) =>
        this.#spec('routing', node.name, { ...node, ...startPartOf(this.#site, node.name) }),
      ),
    ]
  }

  /** `part` is what of the site the process is made by: if that changes it has to be started again. */
  #spec(role: string, name: string, part: object | undefined): ModuleSpec {
    const digest = createHash('sha256')
      .update(JSON.stringify(part ?? {}))
      .digest('hex')
    return {
      name,
      command: [
        process.execPath,
        '--disable-warning=ExperimentalWarning',
        MAIN,
        ...['run', role, writtenSite(this.#directory), '--name', name],
        ...['--run', this.#directory, '--state', this.#stateDirectory],
      ],
      // Of another release, modules are started again too, one by one.
      env: { GATEHOUSE_PART: digest.slice(0, 16), GATEHOUSE_RELEASE: this.#release },
      restart: 'always',
      // One control module is enough to begin with.
      essential: role === 'bus' || name === controlNodesOf(this.#site)[0],
    }
  }

  #putSite(signal: AbortSignal): Promise<void> {
    return putSiteWhenThere(this.#bus, () => this.#site, { clock: systemClock, log: this.#log, signal })
  }

  async #putFirst(signal: AbortSignal): Promise<void> {
    try {
      await this.#putSite(signal)
    } catch (error) {
      if (error instanceof SiteConflict) this.#refused.reject(error)
      throw error
    }
  }

  async #waitReady(name: string, signal: AbortSignal): Promise<void> {
    // Before the control module starts, so that it starts with this one.
    if (name === 'bus') return this.#putFirst(signal)
    const pid = this.#supervisor.status().find((module) => module.name === name)?.pid
    if (pid !== undefined) await whenReady(this.#bus, name, pid, signal)
  }
}
