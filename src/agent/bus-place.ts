/** Where the bus of a site is, by its file. Secrets and certificates are read here, once, when a module starts. */

import { readFileSync } from 'node:fs'
import { busSocket } from '../bus/embedded/main.ts'
import type { BusPlace, NatsPlace } from '../bus/place.ts'
import type { Nats } from '../config/nats.ts'
import type { Site } from '../config/site.ts'

/** Throws an `Error` that names the file that cannot be read. */
export function busPlaceOf({ site, bus }: Site, directory: string): BusPlace {
  if (!bus.nats) return { socketPath: busSocket(directory) }
  return natsPlaceOf(site, bus.nats)
}

/** Throws as well. */
export function natsPlaceOf(site: string, nats: Nats): BusPlace {
  const { servers, replicas } = nats
  return { nats: { site, servers, replicas, ...credentialsOf(nats), ...tlsOf(nats) } }
}

function credentialsOf({
  user,
  password_file,
  token_file,
  nkey_file,
  creds_file,
}: Nats): Pick<NatsPlace, 'credentials'> {
  if (user !== undefined) return { credentials: { user, password: secretIn(password_file!) } }
  if (token_file !== undefined) return { credentials: { token: secretIn(token_file) } }
  if (creds_file !== undefined) return { credentials: { creds: credsIn(creds_file) } }
  return nkey_file === undefined ? {} : { credentials: { nkeySeed: secretIn(nkey_file) } }
}

function tlsOf({ tls }: Nats): Pick<NatsPlace, 'tls'> {
  if (!tls) return {}
  const { ca_file, cert_file, key_file } = tls
  return {
    tls: {
      ...(ca_file !== undefined && { ca: textIn(ca_file) }),
      ...(cert_file !== undefined && { cert: textIn(cert_file) }),
      ...(key_file !== undefined && { key: textIn(key_file) }),
    },
  }
}

/** Editors end a file with a new line, which is no part of the secret. */
function secretIn(path: string): string {
  const secret = textIn(path).replace(/\r?\n$/, '')
  if (secret === '') throw new Error(`bus.nats: ${path} is empty`)
  return secret
}

/** As NATS's tools write it: two blocks between marks. */
function credsIn(path: string): string {
  const text = textIn(path)
  const isWhole = /-----BEGIN NATS USER JWT-----/.test(text) && /-----BEGIN USER NKEY SEED-----/.test(text)
  if (!isWhole) throw new Error(`bus.nats: ${path} holds no user's JWT with its seed`)
  return text
}

function textIn(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`bus.nats: ${(error as Error).message}`)
  }
}
