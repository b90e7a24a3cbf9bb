/**
 * The Debian packages that the lab, the tests and the benchmarks use as tools and as peers. What is missing is
 * installed when this process is root and apt is there; otherwise the caller learns why not and goes on without. An
 * installed package's services are not started: the lab starts what it needs, in its own namespaces. Not a package
 * manager: there are no versions, and nothing is ever removed.
 */

import { spawnSync } from 'node:child_process'
import { accessSync, constants, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { lockFile } from '../src/base/file-lock.ts'

export interface Peer {
  /** Debian's name of the package. */
  readonly debian: string
  /** The program whose presence shows that the package is there. */
  readonly command: string
}

export type PackageState = 'present' | 'installed' | { readonly missing: string }

// Where Debian keeps system programs, which the PATH of a plain user or of cron leaves out.
const SYSTEM_PATHS = ['/usr/local/sbin', '/usr/sbin', '/sbin']

/** The program's full path, undefined when it is not installed. */
export function findCommand(command: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), ...SYSTEM_PATHS]
  return folders.map((folder) => `${folder}/${command}`).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export function isRoot(): boolean {
  return process.geteuid?.() === 0
}

/**
 * Installs what is missing, all in one go. Blocks for as long as apt takes, and says on stderr what it does. The states
 * are in the order of `peers`.
 */
export function ensurePackages(peers: readonly Peer[]): PackageState[] {
  const absent = peers.filter((peer) => !findCommand(peer.command))
  if (absent.length === 0) return peers.map(() => 'present')
  const failure = installFailure(absent.map((peer) => peer.debian))
  return peers.map((peer) => {
    if (!absent.includes(peer)) return 'present'
    if (findCommand(peer.command)) return 'installed'
    return { missing: failure ?? `package ${peer.debian} has no program ${peer.command}` }
  })
}

export function ensurePackage(debian: string, command: string): PackageState {
  return ensurePackages([{ debian, command }])[0]!
}

function installFailure(names: readonly string[]): string | undefined {
  if (!isRoot()) return `installing ${names.join(', ')} needs root`
  if (!findCommand('apt-get')) return `there is no apt-get here to install ${names.join(', ')} with`
  return withInstallLock(() => {
    if (!hasPackageLists()) aptGet('update')
    console.error(`gatehouse: installing Debian packages ${names.join(', ')}`)
    const first = aptGet('install', ...names)
    // A list of packages that is older than the archive points at files that are gone.
    if (first === undefined || aptGet('update') !== undefined) return first
    return aptGet('install', ...names)
  })
}

const LOCK_FOLDER = '/run/gatehouse-lab'
const LOCK_WAIT_S = 300
const LOCK_PAUSE_MS = 200

function withInstallLock<T>(install: () => T): T {
  mkdirSync(LOCK_FOLDER, { recursive: true })
  const pause = new Int32Array(new SharedArrayBuffer(4))
  let lock = lockFile(`${LOCK_FOLDER}/packages.lock`)
  for (let waited_ms = 0; !lock; waited_ms += LOCK_PAUSE_MS) {
    if (waited_ms > LOCK_WAIT_S * 1000) throw new Error('another gatehouse has been installing packages for too long')
    Atomics.wait(pause, 0, 0, LOCK_PAUSE_MS)
    lock = lockFile(`${LOCK_FOLDER}/packages.lock`)
  }
  const allowServices = forbidServices(POLICY)
  try {
    return install()
  } finally {
    allowServices()
    lock.release()
  }
}

const POLICY = '/usr/sbin/policy-rc.d'
const POLICY_MARK = '# Written by gatehouse while it installs packages; safe to delete.'

/**
 * Debian asks this script before it starts a service (invoke-rc.d(8)); 101 is no. Ours means nothing once we are gone,
 * so it does no harm if we are killed before we delete it. Another's, an empty one too, is neither replaced nor
 * removed. Returns what gives services free again.
 */
export function forbidServices(path: string): () => void {
  const isThere = lstatSync(path, { throwIfNoEntry: false }) !== undefined
  if (isThere && !isOurs(path)) {
    console.error(`gatehouse: ${path} stays as it is; it decides whether the new packages' services start`)
    return () => {}
  }
  console.error(`gatehouse: ${path} keeps the new packages' services from starting, and is removed afterwards`)
  const script = `#!/bin/sh\n${POLICY_MARK}\nkill -0 ${process.pid} 2>/dev/null && exit 101\nexit 0\n`
  if (isThere) rmSync(path)
  // `wx`: should somebody have put theirs there this moment, we fail and it stays.
  writeFileSync(path, script, { mode: 0o755, flag: 'wx' })
  return () => {
    if (isOurs(path)) rmSync(path, { force: true })
  }
}

function isOurs(policy: string): boolean {
  return readOrEmpty(policy).split('\n')[1] === POLICY_MARK
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function hasPackageLists(): boolean {
  try {
    return readdirSync('/var/lib/apt/lists').some((name) => name.includes('_Packages'))
  } catch {
    return false
  }
}

/** Undefined when it went well, else what apt said last. */
function aptGet(...args: string[]): string | undefined {
  const options = ['-qq', '-y', '-o', `DPkg::Lock::Timeout=${LOCK_WAIT_S}`, '--no-install-recommends']
  const { status, stderr, error } = spawnSync('apt-get', [...options, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  })
  if (status === 0) return undefined
  const said = error?.message ?? stderr.trim().split('\n').at(-1) ?? ''
  return `apt-get ${args.join(' ')}: ${said}`
}
