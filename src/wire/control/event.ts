/** Something that happened in a site and that its operator may ask for later: in a stream, the oldest go. */

import { type MessageValue, message, text, u53 } from './codec.ts'

const fields = {
  /** Wall clock, in milliseconds since 1970. */
  at_ms: u53,
  /** Who says so, and under which epoch of its lease; 0 without one. */
  module: text,
  epoch: u53,
  /** What it is, in words with hyphens, and what it is about: an origin, a tenant, a module. */
  what: text,
  about: text,
  /** For people. */
  detail: text,
}

/** Who wanted it, where somebody did: the name of a token. */
export const event = message('event', 13, fields, { author: text })
export type Event = MessageValue<typeof event>
