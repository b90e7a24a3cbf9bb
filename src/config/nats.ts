/** The schema of a bus over NATS. Secrets are in files of their own: the site file is shown, compared and handed on. */

import { z } from 'zod'
import { type Complain, each, Unique } from './complain.ts'
import type { Loose } from './loose.ts'
import type { Path } from './position.ts'
import { file, listOf } from './scalar.ts'

/** A client needs a few of them to find all the others. */
const SERVERS_MAX = 16
/** Ends a site's name in those of its streams (src/bus/nats/names.ts). */
const SEPARATOR = '_'

const PORT_MAX = 65_535

const server = z.string().refine(isServer, {
  error: ({ input }) => `${JSON.stringify(input)} is no server: HOST:PORT, such as nats-1.example:4222`,
})

function isServer(text: string): boolean {
  const [, port] = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?):(\d{1,5})$/.exec(text) ?? []
  return port !== undefined && Number(port) >= 1 && Number(port) <= PORT_MAX
}

export const nats = z.strictObject({
  /** Any of one cluster. Modules must reach them from their network namespaces. */
  servers: listOf('servers', server, SERVERS_MAX).min(1, { error: 'a bus over NATS needs a server' }),
  /** On how many servers everything is kept. */
  replicas: z.literal([1, 3]).default(1),
  user: z.string().min(1, { error: 'a user has a name' }).optional(),
  password_file: file.optional(),
  token_file: file.optional(),
  /** The seed of a user's key. */
  nkey_file: file.optional(),
  /** What a user of an operator's accounts is given: a JWT, and the seed of the key in it. */
  creds_file: file.optional(),
  tls: z
    .strictObject({
      /** The authorities that are believed. Without it, the system's. */
      ca_file: file.optional(),
      /** Ours, where the servers ask for one. */
      cert_file: file.optional(),
      key_file: file.optional(),
    })
    .optional(),
})
export type Nats = z.output<typeof nats>

/** Of a site whose name stands at `namePath`. */
export function checkNats(
  { site, nats: wanted }: { site: string | undefined; nats: Loose<Nats> | undefined },
  path: Path,
  namePath: Path,
  complain: Complain,
): void {
  if (!wanted) return
  const servers = new Unique(complain)
  each(wanted.servers, (one, i) => servers.add(one, [...path, 'servers', i], undefined))
  if (site?.includes(SEPARATOR)) complain(namePath, `a site whose bus is NATS has no ${SEPARATOR} in its name`)
  const { user, password_file, token_file, nkey_file, creds_file, tls } = wanted
  if (user !== undefined && password_file === undefined) complain([...path, 'user'], 'a user needs a password_file')
  if (password_file !== undefined && user === undefined) complain([...path, 'password_file'], 'whose? There is no user')
  const said = Object.entries({ user, token_file, nkey_file, creds_file }).filter(([, value]) => value !== undefined)
  const [first, second] = said.map(([name]) => name)
  if (second) {
    const all = 'user, token_file, nkey_file and creds_file'
    complain([...path, second], `one of ${all} is enough; there is ${first} already`)
  }
  if (tls?.cert_file !== undefined && tls.key_file === undefined)
    complain([...path, 'tls', 'cert_file'], 'a certificate needs its key_file')
  if (tls?.key_file !== undefined && tls.cert_file === undefined)
    complain([...path, 'tls', 'key_file'], 'a key needs its cert_file')
}
