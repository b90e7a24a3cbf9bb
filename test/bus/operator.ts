/**
 * For tests: an operator of NATS as a server is told of it, one account and its users. JWTs are signed by keys of NATS (ADR-14):
 * the operator's over accounts, an account's over users.
 */

import { randomUUID } from 'node:crypto'
import { nkeys } from '@nats-io/transport-node'

type Key = ReturnType<typeof nkeys.createUser>

const UNLIMITED = { subs: -1, data: -1, payload: -1 }
/** Without its storage limits an account has no JetStream. */
const ACCOUNT_LIMITS = {
  ...UNLIMITED,
  ...{ imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 },
  ...{ mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 },
}

export class Operator {
  readonly #key: Key = nkeys.createOperator()
  readonly #account: Key = nkeys.createAccount()
  /** JetStream does not start without one. */
  readonly #system: Key = nkeys.createAccount()

  /** For the server's configuration. */
  settings(): string {
    const account = (key: Key, name: string, limits: object): string =>
      `${key.getPublicKey()}: ${this.#signed(this.#key, key, name, { type: 'account', limits })}`
    return [
      `operator: ${this.#signed(this.#key, this.#key, 'operator', { type: 'operator' })}`,
      `system_account: ${this.#system.getPublicKey()}`,
      'resolver: MEMORY',
      'resolver_preload: {',
      account(this.#account, 'gatehouse', ACCOUNT_LIMITS),
      account(this.#system, 'system', { ...ACCOUNT_LIMITS, mem_storage: 0, disk_storage: 0 }),
      '}',
    ].join('\n')
  }

  /** The text of a credentials file. */
  credsOfUser(): string {
    const user = nkeys.createUser()
    const jwt = this.#signed(this.#account, user, 'module', { type: 'user', ...UNLIMITED, pub: {}, sub: {} })
    const seed = Buffer.from(user.getSeed()).toString()
    return [
      `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n`,
      `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
    ].join('\n')
  }

  #signed(by: Key, subject: Key, name: string, nats: object): string {
    const claims = {
      jti: randomUUID(),
      iat: Math.floor(Date.now() / 1000),
      iss: by.getPublicKey(),
      ...{ name, sub: subject.getPublicKey(), nats: { ...nats, version: 2 } },
    }
    const text = [{ typ: 'JWT', alg: 'ed25519-nkey' }, claims].map(encoded).join('.')
    return `${text}.${Buffer.from(by.sign(Buffer.from(text))).toString('base64url')}`
  }
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
