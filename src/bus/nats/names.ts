/**
 * Where a site's things are in NATS. All subjects of a site are below `gatehouse.SITE`, its streams are called
 * `gatehouse_SITE_...`, and its buckets are key-value buckets as NATS's own tools know them, so that sites can share
 * servers and an operator can give an account the rights to one of them.
 */

import { BusError } from '../bus.ts'

const SITE = /^[a-zA-Z0-9][-a-zA-Z0-9]{0,63}$/

/** What keeps a stream, and the subjects that lead into it. */
export interface Place {
  readonly stream: string
  /** With a dot at the end where a key follows. */
  readonly subject: string
}

export interface Names {
  /** In front of the subjects of plain messages. */
  readonly plain: string
  /** In front of the subjects of requests: a plain subscriber is no responder. */
  readonly ask: string
  readonly leases: Place
  stream(name: string): Place
  bucket(name: string): Place
}

/** Throws 'bad-name'. An underscore is what ends a site's name in those of its streams. */
export function namesOf(site: string): Names {
  if (!SITE.test(site)) throw new BusError('bad-name', `a site on NATS is called by letters, digits and -: not ${site}`)
  const keyValue = (name: string): Place => ({
    stream: `KV_gatehouse_${site}_${name}`,
    subject: `$KV.gatehouse_${site}_${name}.`,
  })
  return {
    plain: `gatehouse.${site}.plain.`,
    ask: `gatehouse.${site}.ask.`,
    leases: keyValue('leases'),
    stream: (name) => ({ stream: `gatehouse_${site}_stream_${name}`, subject: `gatehouse.${site}.stream.${name}` }),
    bucket: (name) => keyValue(`bucket_${name}`),
  }
}
