/** How sendmsg(2), recvmsg(2) and their like for many describe a message, and what their failures mean. */

import { LinuxError } from './error.ts'
import { i32, struct, u32, u64 } from './struct.ts'

const fields = {
  name: u64,
  nameBytes: u32,
  parts: u64,
  partCount: u64,
  control: u64,
  controlBytes: u64,
  flags: i32,
} as const

export const msghdr = struct('struct msghdr', fields)
export const mmsghdr = struct('struct mmsghdr', { ...fields, padding: i32, bytes: u32 })
export const iovec = struct('struct iovec', { base: u64, bytes: u64 })

/**
 * A send that fails so is the program's fault. Any other failure is that of one packet, which is lost: no room, no neighbour,
 * a device that is gone, a route that leads nowhere (EINVAL of a blackhole, EACCES of what is prohibited).
 */
export const misused: ReadonlySet<number> = new Set(['EBADF', 'EFAULT', 'ENOTSOCK'].map(LinuxError.numberOf))

const NETWORK = ['ENETDOWN', 'ENETUNREACH', 'EHOSTUNREACH', 'ECONNREFUSED']
const PASSING = ['EAGAIN', 'EINTR', 'ENOBUFS', 'EPERM', 'EMSGSIZE', ...NETWORK]

/** Of receiving. Nothing there: passing. ECONNREFUSED and its kin are what ICMP said of an earlier message. */
export const passing: ReadonlySet<number> = new Set(PASSING.map((name) => LinuxError.numberOf(name)))
