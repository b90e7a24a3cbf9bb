/** Why the orchestrator does not do what somebody asks for. Each kind is one status of HTTP (api/answer.ts). */

import { formatPath, type Path } from '../config/position.ts'

export type Refusal =
  /** There is no such thing. */
  | 'not-found'
  /** Somebody else's: a site file's. */
  | 'conflict'
  /** It is another version than whoever asks has seen. */
  | 'changed'
  /** Whoever asks has to say which version it is about. */
  | 'version-needed'
  | 'forbidden'
  /** It does not go with itself, or with the sites. */
  | 'invalid'
  | 'too-large'
  /** A site that has to know is away. */
  | 'unavailable'

/** What is wrong at one place of a document, and at which site if it is not wrong at all of them. */
export interface Wrong {
  readonly path: string
  readonly message: string
  readonly site?: string
}

export class Refused extends Error {
  override readonly name = 'Refused'
  readonly kind: Refusal
  readonly errors: readonly Wrong[]

  constructor(kind: Refusal, message: string, errors: readonly Wrong[] = []) {
    super(message)
    this.kind = kind
    this.errors = errors
  }
}

export function wrongAt({ path, message }: { path: Path; message: string }, site?: string): Wrong {
  const wrong = { path: formatPath(path), message }
  return site === undefined ? wrong : { ...wrong, site }
}
