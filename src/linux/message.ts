/** How sendmsg(2), recvmsg(2) and their like for many describe a message, and which of their failures pass. */

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

const NETWORK = ['ENETDOWN', 'ENETUNREACH', 'EHOSTUNREACH', 'ECONNREFUSED']
const PASSING = ['EAGAIN', 'EINTR', 'ENOBUFS', 'EPERM', 'EMSGSIZE', ...NETWORK]

/** Nothing there, no room, no way: passing. ECONNREFUSED and its kin are what ICMP said of an earlier message. */
export const passing: ReadonlySet<number> = new Set(PASSING.map((name) => LinuxError.numberOf(name)))
