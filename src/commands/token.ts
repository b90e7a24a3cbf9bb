/** `gatehouse token`: a new token for the orchestrator's API. It is shown once, and what is kept of it cannot give it back. */

import { newToken, parseTokens, ROLES } from '../api/tokens.ts'
import { EXIT, Failure } from './failure.ts'

export function token(name: string, { role, tenant }: { role: string; tenant?: string[] }): void {
  const { secret, sha256 } = newToken()
  const bound = tenant ? `, tenants: [${tenant.join(', ')}]` : ''
  const line = `{ name: ${name}, role: ${role}${bound}, sha256: ${sha256} }`
  const { errors } = parseTokens(`tokens: [${line}]`)
  if (errors) {
    const said = errors.map(({ path, message }) => `${path.replace(/^tokens\[0\]\.?/, '')}: ${message}`)
    throw new Failure(`${said.join('\n')}\nroles are ${ROLES.join(', ')}`, EXIT.usage)
  }
  console.error('The token, which is not shown again:')
  console.log(secret)
  console.error(`For the tokens file, below "tokens:":\n  - ${line}`)
}
