/**
 * The C library, as far as Gatehouse calls it: one table of prototypes, bound once a thread. Pointers are numbers (a
 * user-space address fits 47 bits) or the buffer itself; results are numbers, negative where the call failed. Callers
 * wrap a call in `must`, which turns a failure into a LinuxError. A call costs 50 to 200 ns, so the packet path makes
 * one a batch. Not a place for logic. Linux on little-endian 64-bit machines only.
 */

import koffi from 'koffi'
import { LinuxError } from './error.ts'

type Argument = number | string | null | ArrayBufferView | ArrayBufferLike

const PROTOTYPES = {
  accept4: 'int accept4(int fd, void *address, void *addressBytes, int flags)',
  bind: 'int bind(int fd, void *address, uint32_t addressBytes)',
  close: 'int close(int fd)',
  connect: 'int connect(int fd, void *address, uint32_t addressBytes)',
  eventfd: 'int eventfd(uint32_t initial, int flags)',
  getpeername: 'int getpeername(int fd, void *address, void *addressBytes)',
  getrlimit: 'int getrlimit(int resource, void *limits)',
  getsockname: 'int getsockname(int fd, void *address, void *addressBytes)',
  getsockopt: 'int getsockopt(int fd, int level, int option, void *value, void *valueBytes)',
  gettid: 'int gettid()',
  if_nametoindex: 'uint32_t if_nametoindex(const char *name)',
  ioctl: 'int ioctl(int fd, uint64_t request, void *argument)',
  listen: 'int listen(int fd, int backlog)',
  madvise: 'int madvise(intptr_t address, size_t bytes, int advice)',
  mmap: 'intptr_t mmap(intptr_t address, size_t bytes, int protection, int flags, int fd, int64_t offset)',
  munmap: 'int munmap(intptr_t address, size_t bytes)',
  open: 'int open(const char *path, int flags)',
  poll: 'int poll(void *entries, uint64_t count, int timeout_ms)',
  read: 'intptr_t read(int fd, void *buffer, size_t bytes)',
  recvfrom: 'intptr_t recvfrom(int fd, void *buffer, size_t bytes, int flags, void *address, void *addressBytes)',
  recvmmsg: 'int recvmmsg(int fd, void *messages, uint32_t count, int flags, void *timeout)',
  recvmsg: 'intptr_t recvmsg(int fd, void *message, int flags)',
  sched_getaffinity: 'int sched_getaffinity(int thread, size_t bytes, void *mask)',
  sched_setaffinity: 'int sched_setaffinity(int thread, size_t bytes, void *mask)',
  sched_getscheduler: 'int sched_getscheduler(int thread)',
  sched_setscheduler: 'int sched_setscheduler(int thread, int policy, void *parameter)',
  sendmmsg: 'int sendmmsg(int fd, void *messages, uint32_t count, int flags)',
  sendto: 'intptr_t sendto(int fd, void *buffer, size_t bytes, int flags, void *address, uint32_t addressBytes)',
  setns: 'int setns(int fd, int kind)',
  setrlimit: 'int setrlimit(int resource, void *limits)',
  setsockopt: 'int setsockopt(int fd, int level, int option, void *value, uint32_t valueBytes)',
  shutdown: 'int shutdown(int fd, int how)',
  socket: 'int socket(int family, int type, int protocol)',
  syscall: 'intptr_t syscall(int64_t number, intptr_t a, void *b, intptr_t c)',
  sysconf: 'int64_t sysconf(int name)',
  write: 'intptr_t write(int fd, void *buffer, size_t bytes)',
} as const

type Libc = { readonly [Name in keyof typeof PROTOTYPES]: (...values: Argument[]) => number }

// The C library is already in the process: Node itself is linked with it.
const process_ = koffi.load(null)

export const libc = Object.fromEntries(
  Object.entries(PROTOTYPES).map(([name, prototype]) => [name, process_.func(prototype)]),
) as unknown as Libc

/** The number of the error that the calling thread's last failed call left. */
export const errno = (): number => koffi.errno()

/**
 * Passes a result on, or throws what went wrong. `advice` says, by errno name, what the reader can do about it here.
 */
export function must(call: string, result: number, advice?: Readonly<Record<string, string>>): number {
  if (result < 0) throw new LinuxError(call, errno(), advice)
  return result
}

export function closeDescriptor(fd: number): void {
  libc.close(fd)
}

const NAME_BYTES_MAX = 15 // IFNAMSIZ less the final zero

/** The index of a network interface of the calling thread's namespace. */
export function interfaceIndex(name: string): number {
  const index = name.length <= NAME_BYTES_MAX ? libc.if_nametoindex(name) : 0
  const advice = { ENODEV: `there is no interface ${name} here` }
  if (index === 0) throw new LinuxError('if_nametoindex', LinuxError.numberOf('ENODEV'), advice)
  return index
}
