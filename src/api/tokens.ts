/**
 * Who may ask the orchestrator, and for what: a file of tokens' hashes. A token is 256 random bits, so its SHA-256 is enough
 * to keep it by: there is nothing to guess from. Its name is the author of what is done with it.
 *
 *   tokens:
 *     - { name: ci, role: operator, sha256: 3b64...9f }
 *     - { name: acme-portal, role: operator, tenants: [acme], sha256: 77c1...02 }
 *
 * viewer    reads
 * operator  changes tenants as well
 * admin     sees who else has a token as well
 *
 * A token of some tenants sees and changes no others, and of those only what is theirs to decide: see access.ts.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { type Complain, each, Unique } from '../config/complain.ts'
import { loadAs, type Parsed, parseAs } from '../config/load.ts'
import type { Loose } from '../config/loose.ts'
import type { Finding } from '../config/position.ts'
import { listOf, name } from '../config/scalar.ts'

/** Each request is compared with all of them: a millisecond. */
const TOKENS_MAX = 1024
const TOKEN_TENANTS_MAX = 1024
const TOKEN_BYTES = 32

export const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

const token = z.strictObject({
  name,
  role: z.enum(ROLES),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, { error: 'a hash is 64 hexadecimal digits, as `gatehouse token` prints it' }),
  /** Only of these. */
  tenants: listOf('tenants', name, TOKEN_TENANTS_MAX).optional(),
})
export type Token = z.output<typeof token>

export const tokensFile = z.strictObject({ tokens: listOf('tokens', token, TOKENS_MAX) })
type TokensFile = z.output<typeof tokensFile>

export const loadTokens = (path: string): Parsed<TokensFile> => loadAs(path, tokensFile, checkTokens)

export const parseTokens = (text: string): Parsed<TokensFile> => parseAs(text, tokensFile, checkTokens)

function checkTokens(file: Loose<TokensFile>): Finding[] {
  const findings: Finding[] = []
  const complain: Complain = (path, message) => void findings.push({ path, message })
  const [names, hashes] = [new Unique(complain), new Unique(complain)]
  each(file.tokens, (one, i) => {
    names.add(one.name, ['tokens', i, 'name'], undefined)
    hashes.add(one.sha256, ['tokens', i, 'sha256'], undefined)
  })
  return findings
}

/** The secret, which is nowhere else, and what the file has of it. */
export function newToken(): { secret: string; sha256: string } {
  const secret = `gatehouse_${randomBytes(TOKEN_BYTES).toString('base64url')}`
  return { secret, sha256: hashOf(secret).toString('hex') }
}

const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest()

/** Finds whose a secret is, in a time that does not depend on how much of it is right. */
export class Tokens {
  readonly #tokens: readonly { readonly token: Token; readonly hash: Buffer }[]

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens.map((token) => ({ token, hash: Buffer.from(token.sha256, 'hex') }))
  }

  get all(): readonly Token[] {
    return this.#tokens.map(({ token }) => token)
  }

  find(secret: string): Token | undefined {
    const hash = hashOf(secret)
    let found: Token | undefined
    for (const one of this.#tokens) if (timingSafeEqual(one.hash, hash)) found = one.token
    return found
  }
}
