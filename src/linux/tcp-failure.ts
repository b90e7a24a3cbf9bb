/** Why a TCP connection did not come about, or ended: a value, for it is the peer's or the network's doing. */

import { LinuxError } from './error.ts'

/** By reason: a sentence for people, and the errnos that mean it, all that ICMP can bring among them. */
const REASONS = {
  refused: ['the peer refuses connections', 'ECONNREFUSED'],
  reset: ['the peer reset the connection', 'ECONNRESET', 'EPIPE', 'ENOTCONN'],
  'timed-out': ['the peer does not answer', 'ETIMEDOUT'],
  unreachable: [
    'there is no way to the peer',
    'ENETUNREACH',
    'EHOSTUNREACH',
    'ENETDOWN',
    'EHOSTDOWN',
    'EACCES',
    'EPERM',
    'ENOPROTOOPT',
    'EPROTO',
    'EINVAL',
    'EMSGSIZE',
    'EOPNOTSUPP',
    'ENONET',
  ],
  'no-address': ['the local address is not one of this host', 'EADDRNOTAVAIL'],
  'address-in-use': ['another socket has this address and port', 'EADDRINUSE'],
  aborted: ['the connection was aborted on this side', 'ECONNABORTED'],
  'no-memory': ['the kernel has no room for another connection', 'ENOBUFS', 'ENOMEM', 'EMFILE', 'ENFILE'],
} as const

export type TcpFailureReason = keyof typeof REASONS

const BY_ERRNO = new Map<number, TcpFailureReason>(
  Object.entries(REASONS).flatMap(([reason, [, ...codes]]) =>
    codes.map((code) => [LinuxError.numberOf(code), reason as TcpFailureReason] as const),
  ),
)

export class TcpFailure {
  readonly reason: TcpFailureReason
  /** For people. */
  readonly sentence: string

  /** What is none of these is our own mistake, and thrown. */
  constructor(call: string, errno: number) {
    const reason = BY_ERRNO.get(errno)
    if (!reason) throw new LinuxError(call, errno)
    this.reason = reason
    this.sentence = REASONS[reason][0]
  }
}
