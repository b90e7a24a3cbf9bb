/**
 * TCP-MD5 (RFC 2385): every segment between two addresses carries a digest made with a key that both know. The kernel
 * signs, and drops what is not signed right without an answer, so a wrong key looks like a peer that is not there. A
 * listener holds the keys of many peers; what it accepts takes the peer's key along. Keys of dynamic peers are of a
 * prefix.
 */

import type { Prefix } from '../base/address.ts'
import { assert } from '../base/assert.ts'
import { LinuxError } from './error.ts'
import { setOption } from './option.ts'
import { sockaddr } from './socket-address.ts'
import { bytes, i32, struct, u8, u16 } from './struct.ts'

const IPPROTO_TCP = 6
const TCP_MD5SIG_EXT = 32
const FLAG_PREFIX = 1
/** TCP_MD5SIG_MAXKEYLEN, linux/tcp.h. */
const MD5_KEY_BYTES_MAX = 80

const tcpMd5Sig = struct('struct tcp_md5sig', {
  address: bytes(128),
  flags: u8,
  prefixLength: u8,
  keyBytes: u16,
  interfaceIndex: i32,
  key: bytes(MD5_KEY_BYTES_MAX),
})

export interface Md5Key {
  /** One peer (32 or 128 bits), or all of a prefix. The longest prefix that holds a peer's address decides. */
  peers: Prefix
  key: Uint8Array
}

export function setMd5Key(fd: number, { peers, key }: Md5Key): void {
  assert(key.length > 0 && key.length <= MD5_KEY_BYTES_MAX, `a key of ${key.length} bytes`)
  setOption(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, structureOf(peers, key))
}

/** From now on these peers come without a digest. No key to remove is no mistake. */
export function removeMd5Key(fd: number, peers: Prefix): void {
  try {
    setOption(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, structureOf(peers, new Uint8Array(0)))
  } catch (error) {
    if (!(error instanceof LinuxError && error.code === 'ENOENT')) throw error
  }
}

function structureOf({ address, length }: Prefix, key: Uint8Array): Uint8Array {
  return tcpMd5Sig.make({
    address: sockaddr({ address, port: 0 }),
    flags: FLAG_PREFIX,
    prefixLength: length,
    keyBytes: key.length,
    key,
  })
}
