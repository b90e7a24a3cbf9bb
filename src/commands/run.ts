/** `gatehouse run`: one module in this process, until it is told to end. `up` runs every module this way. */

import { pino } from 'pino'
import type { Logger } from '../base/log.ts'
import { controlNodesOf, type Directories, nodesOf, type Site } from '../config/site.ts'
import { EXIT, Failure } from './failure.ts'
import { openDirectories } from './run-directory.ts'
import { readSite, writeSite, writtenSite } from './written-site.ts'

export const ROLES = ['bus', 'control', 'access', 'forwarding', 'routing'] as const
export type Role = (typeof ROLES)[number]

interface RunOptions extends Partial<Directories> {
  readonly name?: string
}

interface Module {
  close(): Promise<void>
  /** What a site file that has changed means for it; most modules follow the one on the bus. */
  reload?(site: Site): Promise<void>
}

export async function run(role: string, path: string, options: RunOptions): Promise<void> {
  const site = readSite(path, options.run)
  const name = options.name ?? role
  const log = pino({ base: { module: name } }, pino.destination({ dest: 2, sync: true }))
  const namespace = namespaceOf(role, name, site)
  const { run: directory, state: stateDirectory } = openDirectories(site, options)
  if (site.bus.nats && path !== writtenSite(directory)) writeSite(directory, site)
  // Before anything is loaded that might start a thread: threads stay where they were started.
  if (namespace !== undefined) (await import('../linux/namespace.ts')).enterNamespace(namespace)
  const ended = Promise.withResolvers<string>()
  process.on('SIGTERM', () => ended.resolve('SIGTERM'))
  process.on('SIGINT', () => ended.resolve('SIGINT'))
  try {
    const module = await start(role as Role, { site, name, directory, stateDirectory, log })
    if (module.reload) process.on('SIGHUP', () => void reload(path, options.run, module, log))
    log.info({ role, signal: await ended.promise }, 'ending')
    await module.close()
  } catch (error) {
    // A module that failed half-way holds sockets and timers: it ends as a whole, and is started again.
    log.error({ error: (error as Error).stack }, 'the module failed')
    process.exit(EXIT.failed)
  }
}

/** A file with errors changes nothing. */
async function reload(path: string, directory: string | undefined, module: Module, log: Logger): Promise<void> {
  try {
    await module.reload?.(readSite(path, directory))
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    log.error({ errors: error.message.split('\n') }, 'the site file is not taken')
  }
}

/** The namespace that the file wants the module in. Throws a `Failure` if the file has no such module. */
function namespaceOf(role: string, name: string, site: Site): string | undefined {
  if (role === 'bus') return undefined
  if (role === 'control') return checkControl(name, site)
  if (role === 'routing') return routingNamespace(name, site)
  if (role !== 'access' && role !== 'forwarding') {
    throw new Failure(`there is no role ${role}; roles are ${ROLES.join(', ')}`, EXIT.usage)
  }
  const found =
    role === 'access'
      ? site.switches.find((one) => one.name === name)
      : nodesOf(site).find(({ node }) => node.name === name)?.node
  if (!found) {
    const kind = role === 'access' ? 'switch' : 'node'
    throw new Failure(`site ${site.site} has no ${kind} ${name}; say which with --name`, EXIT.usage)
  }
  return found.namespace
}

function checkControl(name: string, site: Site): undefined {
  if (controlNodesOf(site).includes(name)) return
  throw new Failure(`site ${site.site} has no control module ${name}; say which with --name`, EXIT.usage)
}

/** Where the file names no routing nodes, one process is all there is. */
function routingNamespace(name: string, { site, routing }: Site): string | undefined {
  if (!routing || routing.nodes.length === 0) return undefined
  const found = routing.nodes.find((one) => one.name === name)
  if (!found) throw new Failure(`site ${site} has no routing node ${name}; say which with --name`, EXIT.usage)
  return found.namespace
}

async function start(
  role: Role,
  options: { site: Site; name: string; directory: string; stateDirectory: string; log: Logger },
): Promise<Module> {
  switch (role) {
    case 'bus':
      if (options.site.bus.nats)
        throw new Failure('the bus of this site is NATS, whose servers are not run by gatehouse')
      return (await import('../bus/embedded/main.ts')).runBus(options)
    case 'control':
      return (await import('../control/main.ts')).runControl(options)
    case 'access':
      return (await import('../access/main.ts')).runAccess(options)
    case 'forwarding':
      return (await import('../forwarding/main.ts')).runForwarding(options)
    case 'routing':
      return (await import('../routing/main.ts')).runRouting(options)
  }
}
