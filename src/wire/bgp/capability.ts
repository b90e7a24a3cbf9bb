/**
 * What a speaker says in its OPEN that it can do, RFC 5492, a row a capability:
 *
 *   code u8 | length u8 | value
 *
 * A capability that we do not know, and one whose value is not as its RFC draws it, is kept as its bytes: nobody is
 * turned away for what was not going to be used (RFC 5492 section 3).
 */

import { Reader, type Writer } from '../cursor.ts'
import { familyName } from './family.ts'
import { readable } from './notification.ts'

interface AfiSafi {
  readonly afi: number
  readonly safi: number
}

export type Capability =
  | ({ readonly kind: 'multiprotocol' } & AfiSafi)
  | { readonly kind: 'route-refresh' }
  /** Families whose routes may have next hops of another address family (RFC 8950). */
  | { readonly kind: 'extended-next-hop'; readonly families: readonly (AfiSafi & { readonly nextHopAfi: number })[] }
  | { readonly kind: 'extended-message' }
  /** RFC 9234 section 4.1: 0 provider, 1 route server, 2 its client, 3 customer, 4 peer. */
  | { readonly kind: 'role'; readonly role: number }
  | {
      readonly kind: 'graceful-restart'
      /** The speaker has just restarted. */
      readonly restarting: boolean
      /** Notifications and hold timers are survived too (RFC 8538). */
      readonly notification: boolean
      readonly restartTime_s: number
      readonly families: readonly (AfiSafi & { readonly forwarding: boolean })[]
    }
  | { readonly kind: 'four-octet-as'; readonly as: number }
  | {
      readonly kind: 'add-path'
      readonly families: readonly (AfiSafi & { readonly receive: boolean; readonly send: boolean })[]
    }
  | { readonly kind: 'enhanced-refresh' }
  | {
      readonly kind: 'long-lived-graceful-restart'
      readonly families: readonly (AfiSafi & { readonly forwarding: boolean; readonly staleTime_s: number })[]
    }
  | { readonly kind: 'fqdn'; readonly host: string; readonly domain: string }
  | { readonly kind: 'unknown'; readonly code: number; readonly bytes: Uint8Array }

export type CapabilityOf<Kind extends Capability['kind']> = Extract<Capability, { readonly kind: Kind }>

interface Row<Kind extends Capability['kind']> {
  readonly code: number
  readonly kind: Kind
  /** The window is the value. Bytes that are left over make it malformed, like a failed reader. */
  read(from: Reader): CapabilityOf<Kind>
  write(out: Writer, value: CapabilityOf<Kind>): void
  print(value: CapabilityOf<Kind>): string
}

function row<const Kind extends Capability['kind']>(declaration: Row<Kind>): Row<Capability['kind']> {
  return declaration as unknown as Row<Capability['kind']>
}

/** One that says all by being there. */
function bare<const Kind extends 'route-refresh' | 'extended-message' | 'enhanced-refresh'>(
  code: number,
  kind: Kind,
): Row<Capability['kind']> {
  return row<Kind>({
    code,
    kind,
    read: () => ({ kind }) as CapabilityOf<Kind>,
    write: () => {},
    print: () => kind,
  })
}

const FORWARDING = 0x80
const RESTARTING = 0x8000
const NOTIFICATION = 0x4000
const RESTART_TIME = 0x0fff
const RECEIVE = 1
const SEND = 2

const rows: readonly Row<Capability['kind']>[] = [
  row({
    code: 1, // RFC 4760 section 8
    kind: 'multiprotocol',
    read(from) {
      const afi = from.u16()
      from.u8()
      return { kind: 'multiprotocol', afi, safi: from.u8() }
    },
    write(out, { afi, safi }) {
      out.u16(afi)
      out.u8(0)
      out.u8(safi)
    },
    print: ({ afi, safi }) => familyName(afi, safi),
  }),
  bare(2, 'route-refresh'), // RFC 2918
  row({
    code: 5, // RFC 8950 section 4: here the SAFI has two bytes
    kind: 'extended-next-hop',
    read: (from) => ({
      kind: 'extended-next-hop',
      families: listOf(from, () => ({ afi: from.u16(), safi: from.u16(), nextHopAfi: from.u16() })),
    }),
    write(out, { families }) {
      for (const { afi, safi, nextHopAfi } of families) for (const value of [afi, safi, nextHopAfi]) out.u16(value)
    },
    print: ({ families }) =>
      `extended-next-hop ${families.map(({ afi, safi, nextHopAfi }) => `${familyName(afi, safi)} over afi ${nextHopAfi}`)}`,
  }),
  bare(6, 'extended-message'), // RFC 8654
  row({
    code: 9, // RFC 9234
    kind: 'role',
    read: (from) => ({ kind: 'role', role: from.u8() }),
    write: (out, { role }) => out.u8(role),
    print: ({ role }) =>
      `role ${['provider', 'route-server', 'route-server-client', 'customer', 'peer'][role] ?? role}`,
  }),
  row({
    code: 64, // RFC 4724 section 3, RFC 8538 section 2
    kind: 'graceful-restart',
    read(from) {
      const word = from.u16()
      return {
        kind: 'graceful-restart',
        restarting: (word & RESTARTING) !== 0,
        notification: (word & NOTIFICATION) !== 0,
        restartTime_s: word & RESTART_TIME,
        families: listOf(from, () => ({
          afi: from.u16(),
          safi: from.u8(),
          forwarding: (from.u8() & FORWARDING) !== 0,
        })),
      }
    },
    write(out, { restarting, notification, restartTime_s, families }) {
      out.u16((restarting ? RESTARTING : 0) | (notification ? NOTIFICATION : 0) | Math.min(restartTime_s, RESTART_TIME))
      for (const { afi, safi, forwarding } of families) {
        out.u16(afi)
        out.u8(safi)
        out.u8(forwarding ? FORWARDING : 0)
      }
    },
    print({ restarting, notification, restartTime_s, families }) {
      const flags = `${restarting ? ', restarting' : ''}${notification ? ', notification' : ''}`
      const kept = families.map(({ afi, safi, forwarding }) => `${familyName(afi, safi)}${forwarding ? ' kept' : ''}`)
      return `graceful-restart ${restartTime_s} s${flags} ${kept}`.trimEnd()
    },
  }),
  row({
    code: 65, // RFC 6793
    kind: 'four-octet-as',
    read: (from) => ({ kind: 'four-octet-as', as: from.u32() }),
    write: (out, { as }) => out.u32(as),
    print: ({ as }) => `four-octet-as ${as}`,
  }),
  row({
    code: 69, // RFC 7911 section 4
    kind: 'add-path',
    read(from) {
      const all = listOf(from, () => ({ afi: from.u16(), safi: from.u8(), flags: from.u8() }))
      // Another value than 1, 2 or 3 is to be ignored.
      const families = all
        .filter(({ flags }) => flags >= RECEIVE && flags <= (RECEIVE | SEND))
        .map(({ afi, safi, flags }) => ({ afi, safi, receive: (flags & RECEIVE) !== 0, send: (flags & SEND) !== 0 }))
      return { kind: 'add-path', families }
    },
    write(out, { families }) {
      for (const { afi, safi, receive, send } of families) {
        out.u16(afi)
        out.u8(safi)
        out.u8((receive ? RECEIVE : 0) | (send ? SEND : 0))
      }
    },
    print: ({ families }) =>
      `add-path ${families.map(({ afi, safi, receive, send }) => `${familyName(afi, safi)}${receive ? ' receive' : ''}${send ? ' send' : ''}`)}`,
  }),
  bare(70, 'enhanced-refresh'), // RFC 7313
  row({
    code: 71, // RFC 9494 section 3
    kind: 'long-lived-graceful-restart',
    read: (from) => ({
      kind: 'long-lived-graceful-restart',
      families: listOf(from, () => ({
        afi: from.u16(),
        safi: from.u8(),
        forwarding: (from.u8() & FORWARDING) !== 0,
        staleTime_s: (from.u8() << 16) | from.u16(),
      })),
    }),
    write(out, { families }) {
      for (const { afi, safi, forwarding, staleTime_s } of families) {
        out.u16(afi)
        out.u8(safi)
        out.u8(forwarding ? FORWARDING : 0)
        out.u8(staleTime_s >>> 16)
        out.u16(staleTime_s & 0xffff)
      }
    },
    print: ({ families }) =>
      `long-lived-graceful-restart ${families.map(({ afi, safi, staleTime_s }) => `${familyName(afi, safi)} ${staleTime_s} s`)}`,
  }),
  row({
    code: 73, // draft-walton-bgp-hostname-capability
    kind: 'fqdn',
    read: (from) => ({
      kind: 'fqdn',
      host: readable(from.bytes(from.u8())),
      domain: readable(from.bytes(from.u8())),
    }),
    write(out, { host, domain }) {
      let room = NAMES_BYTES_MAX
      for (const name of [host, domain]) {
        const bytes = new Uint8Array(room)
        const { written } = new TextEncoder().encodeInto(name, bytes)
        out.u8(written)
        out.bytes(bytes.subarray(0, written))
        room -= written
      }
    },
    print: ({ host, domain }) => `fqdn ${host}${domain === '' ? '' : `.${domain}`}`,
  }),
]

/** Both, beside their lengths. */
const NAMES_BYTES_MAX = 255 - 2

const byCode = new Map(rows.map((known) => [known.code, known]))
const byKind = new Map<string, Row<Capability['kind']>>(rows.map((known) => [known.kind, known]))

function listOf<T>(from: Reader, read: () => T): T[] {
  const values: T[] = []
  while (from.remaining > 0) values.push(read())
  return values
}

/** The next one. When its length is too large for the window the reader is left failed. */
export function readCapability(from: Reader): Capability {
  const code = from.u8()
  const bytes = from.bytes(from.u8())
  const known = byCode.get(code)
  if (known) {
    const inside = new Reader(bytes)
    const value = known.read(inside)
    if (!inside.failed && inside.remaining === 0) return value
  }
  return { kind: 'unknown', code, bytes }
}

export function writeCapability(out: Writer, capability: Capability, value: Writer): void {
  const known = byKind.get(capability.kind)
  if (capability.kind === 'unknown') value.bytes(capability.bytes)
  else known!.write(value, capability)
  const bytes = value.finish()
  out.u8(capability.kind === 'unknown' ? capability.code : known!.code)
  out.u8(bytes.length)
  out.bytes(bytes)
}

/** A few words for people. */
export function formatCapability(capability: Capability): string {
  if (capability.kind !== 'unknown') return byKind.get(capability.kind)!.print(capability)
  return `capability ${capability.code} ${Buffer.from(capability.bytes).toString('hex')}`.trimEnd()
}

export function capabilitiesOf<const Kind extends Capability['kind']>(
  capabilities: readonly Capability[],
  kind: Kind,
): CapabilityOf<Kind>[] {
  return capabilities.filter((one): one is CapabilityOf<Kind> => one.kind === kind)
}
