/**
 * Network namespaces by name, as `ip netns` keeps them under /run/netns. A namespace belongs to a thread: threads
 * started later inherit it, those that run already do not, so a process enters before it starts workers or opens
 * sockets. A socket stays in the namespace that it was opened in. Making and deleting namespaces is iproute2's.
 */

import { closeDescriptor, libc, must } from './libc.ts'

const O_RDONLY_CLOEXEC = 0o2000000
const CLONE_NEWNET = 0x40000000

/** Moves the calling thread for good. */
export function enterNamespace(name: string): void {
  const fd = openNamespace(`/run/netns/${name}`)
  try {
    must('setns', libc.setns(fd, CLONE_NEWNET))
  } finally {
    closeDescriptor(fd)
  }
}

/** Runs something synchronous, such as opening a socket, in another namespace and comes back. */
export function withNamespace<T>(name: string, run: () => T): T {
  const home = openNamespace('/proc/thread-self/ns/net')
  try {
    enterNamespace(name)
    return run()
  } finally {
    must('setns', libc.setns(home, CLONE_NEWNET))
    closeDescriptor(home)
  }
}

function openNamespace(path: string): number {
  return must('open', libc.open(path, O_RDONLY_CLOEXEC), { ENOENT: `there is no network namespace ${path}` })
}
