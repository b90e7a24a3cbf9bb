/**
 * A transport connection as a session sees it, whatever carries it: TCP of the kernel, a relay, a test's two ends. It
 * frames what comes (framer.ts) and tells its handler; it keeps what is to be sent until the network takes it.
 *
 *   open() ---> opened() ---> message() ... message() ---> failed()
 *          \--> failed()           fault() when the bytes are no messages
 *
 * After close(), and after failed(), the handler hears nothing more.
 */

import type { IpAddress } from '../../../base/address.ts'
import type { Notification } from '../../../wire/bgp/notification.ts'
import type { Reader } from '../../../wire/cursor.ts'

/** A whole message where it was received, header checked. Valid during the call that hands it over. */
export interface Message {
  /** One of MESSAGE. */
  readonly type: number
  readonly bytes: Uint8Array
  /** From the first byte of its header to behind its last. */
  readonly at: number
  readonly end: number
  /** Behind the header, up to the end. One reader serves all messages of a connection. */
  body(): Reader
}

export interface ConnectionHandler {
  /** The connection that we asked for has come about. One that the peer opened is open from the beginning. */
  opened(): void
  message(message: Message): void
  /** These bytes are no messages: what the peer is to be told, RFC 4271 section 6.1. Nothing more is read. */
  fault(notification: Notification): void
  /** It did not come about, or it ended: a reason for people. */
  failed(why: string): void
  /**
   * The peer's side took something of what was sent, or the first time, took nothing: so much still waits. Told again
   * only as it changes.
   */
  wrote(waiting_bytes: number): void
}

export interface Connection {
  readonly local: IpAddress
  /** Begins to tell the handler. What came before waits. */
  start(handler: ConnectionHandler): void
  /** A whole message of ours, copied. It goes behind what waits. */
  send(message: Uint8Array): void
  /** The longest message that is let in, from now on (RFC 8654). */
  allow(bytesMax: number): void
  /**
   * Hands over what has come and was not read yet, before a silence is believed: a stall of our own is not the peer's
   * death. True when more is there than can be taken now, in which case the silence is ours altogether.
   */
  drain(): boolean
  /** Takes leave: what was sent is still delivered, as far as the peer takes it within a short time. */
  close(): void
}

/** How a session reaches its peer. */
export interface Connector {
  /** Begins to connect. The connection is told from start() on; close() gives it up. */
  open(): Connection
}
