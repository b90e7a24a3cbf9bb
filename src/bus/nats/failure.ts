/** What NATS and its client library call an error, as the bus calls it. */

import { JetStreamApiError } from '@nats-io/jetstream'
import { errors } from '@nats-io/transport-node'
import { BusError, type BusErrorCode } from '../bus.ts'

/** JetStream's own numbers of its errors (`err_code`). */
export const JetStreamFailure = {
  temporarilyUnavailable: 10008,
  notEnabled: 10039,
  nameInUse: 10058,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
} as const

/** Its numbers of what a full disk, a full account or a refusing store is called. */
const STORAGE: readonly number[] = [10023, 10028, 10047, 10077]

/** What OpenSSL and Node call a certificate that is not believed, or a handshake that the other side breaks off. */
const TLS = /^(ERR_TLS|ERR_SSL|CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|INVALID_CA)/

/** The reply to a request that failed carries this header; its payload is the reason. */
export const FAILED_HEADER = 'Gatehouse-Failed'

/** True when nobody took the request: it had no effect and may be repeated. So it is while a new leader is elected. */
export function isUnanswered(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof errors.NoRespondersError) return true
    if (cause instanceof JetStreamApiError) return cause.code === JetStreamFailure.temporarilyUnavailable
  }
  return false
}

export function isJetStreamFailure(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code
}

/** The error of the operation `what`. Our own mistakes come through as they are. */
export function busErrorOf(error: unknown, what: string): Error {
  if (!(error instanceof Error)) return new BusError('disconnected', `${what}: ${String(error)}`)
  if (error.name === 'AssertionError' || error instanceof BusError) return error
  return new BusError(codeOf(error), `${what}: ${reasonOf(error)}`)
}

function codeOf(error: Error): BusErrorCode {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof errors.TimeoutError) return 'timeout'
    if (cause instanceof errors.NoRespondersError) return 'no-responders'
    if (isRefusal(cause)) return 'unauthorized'
    if (cause instanceof JetStreamApiError) return codeOfJetStream(cause.code)
  }
  // The server's word that it has no TLS, or no JetStream at all; the rest is the connection's end.
  return /tls|jetstream/i.test(error.message) ? 'incompatible' : 'disconnected'
}

function isRefusal(cause: Error): boolean {
  const { AuthorizationError, PermissionViolationError, UserAuthenticationExpiredError } = errors
  if (cause instanceof AuthorizationError || cause instanceof PermissionViolationError) return true
  if (cause instanceof UserAuthenticationExpiredError) return true
  return TLS.test(String((cause as NodeJS.ErrnoException).code ?? ''))
}

function codeOfJetStream(code: number): BusErrorCode {
  if (code === JetStreamFailure.wrongLastSequence) return 'wrong-sequence'
  if (code === JetStreamFailure.notEnabled) return 'incompatible'
  return STORAGE.includes(code) ? 'storage' : 'failed'
}

function reasonOf(error: Error): string {
  return error.message || error.name
}
