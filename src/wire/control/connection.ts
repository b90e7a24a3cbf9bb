/**
 * Is a tenant's connection up, and since when: said by the control module to the tenant's hosts as it changes (DSR section
 * 2.2), as a plain publish, and the latest of each connection is kept for whoever comes later.
 */

import { flag, list, type MessageValue, message, text, u32, u53 } from './codec.ts'

export const connectionState = message('connection state', 15, {
  tenant: text,
  connection: text,
  /** Of the tenant's VPCs: by these its hosts know whether it is of interest to them. */
  keys: list(u32),
  isUp: flag,
  /** When it became so, in milliseconds since 1970. Grows with every change: of two words the later one counts. */
  since_ms: u53,
  /** Why it is down: `carrier`, `bfd` or `probe`; empty when it is not. */
  reason: text,
})
export type ConnectionState = MessageValue<typeof connectionState>
