/** What the site file says of BFD with a neighbour, as a session takes it. */

import type { Authentication } from '../../bfd/authentication.ts'
import type { BfdPeerOptions } from '../../bfd/speaker.ts'
import type { BfdSettings } from '../../config/probe.ts'

type AuthenticationSettings = NonNullable<BfdSettings['authentication']>

const TYPES: Readonly<Record<AuthenticationSettings['type'], Authentication['type']>> = {
  password: 'password',
  md5: 'md5',
  'meticulous-md5': 'meticulousMd5',
  sha1: 'sha1',
  'meticulous-sha1': 'meticulousSha1',
}

export function bfdOptionsOf({ interval_ms, multiplier, echo, authentication }: BfdSettings): BfdPeerOptions {
  const interval_us = interval_ms * 1000
  return {
    role: 'active',
    desiredMinTx_us: interval_us,
    requiredMinRx_us: interval_us,
    detectMultiplier: multiplier,
    desiredEchoTx_us: echo ? interval_us : 0,
    requiredMinEchoRx_us: echo ? interval_us : 0,
    authentication: authentication && {
      type: TYPES[authentication.type],
      keyId: authentication.key_id,
      key: Buffer.from(authentication.key),
    },
  }
}
