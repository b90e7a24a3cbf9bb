/**
 * What the kernel refused, in a form that a person can act on: the call, the errno's name, and a sentence that says
 * what to do. It is thrown, because a refused call while a port or a table is set up leaves nothing to go on with; the
 * calls of the packet path return counts instead.
 */

import koffi from 'koffi'
import { assert } from '../base/assert.ts'

const NAMES = new Map(Object.entries(koffi.os.errno).map(([name, number]) => [number, name]))
NAMES.set(koffi.os.errno['EAGAIN']!, 'EAGAIN')

/** What an error most often means when the call itself knows nothing better. */
const ADVICE: Readonly<Record<string, string>> = {
  EPERM: 'this needs root',
  EACCES: 'this needs root',
  ENODEV: 'there is no such network interface here',
  ENXIO: 'the device or queue is not there; it may have been removed',
  EBUSY: 'another program holds this interface, queue or name',
  EEXIST: 'it exists already',
  ENOENT: 'it does not exist',
  ESRCH: 'it does not exist',
  EINVAL: 'the kernel does not take these values',
  EOPNOTSUPP: 'this device or kernel cannot do this',
  ENOPROTOOPT: 'this kernel does not know the option',
  EAFNOSUPPORT: 'this kernel was built without this kind of socket',
  ENOMEM: 'the machine is out of memory, or a limit on locked memory (ulimit -l) is reached',
  ENOBUFS: 'a kernel buffer is full',
  EMFILE: 'too many open files; raise ulimit -n',
  EADDRINUSE: 'another socket has this address and port',
  EADDRNOTAVAIL: 'this address is not one of this host',
  ENETDOWN: 'the interface is down; set it up first',
  ENETUNREACH: 'there is no route to this address',
  EHOSTUNREACH: 'the neighbour for this address does not answer',
  EMSGSIZE: 'the packet is larger than the interface takes',
}

export class LinuxError extends Error {
  override readonly name = 'LinuxError'
  readonly call: string
  /** The errno's name, such as EPERM. */
  readonly code: string
  readonly errno: number

  constructor(call: string, errno: number, advice: Readonly<Record<string, string>> = {}, detail = '') {
    const code = NAMES.get(errno) ?? `errno ${errno}`
    const sentence = advice[code] ?? ADVICE[code]
    super(`${call}: ${code}${sentence ? `: ${sentence}` : ''}${detail ? `\n${detail}` : ''}`)
    this.call = call
    this.code = code
    this.errno = errno
  }

  /** The number of an errno's name on this machine. */
  static numberOf(code: string): number {
    const number = koffi.os.errno[code]
    assert(number !== undefined, `no errno ${code}`)
    return number
  }
}
