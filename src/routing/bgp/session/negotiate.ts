/**
 * What two speakers agree on: our offer, the peer's OPEN, and what follows from both, or the NOTIFICATION that says what
 * is not acceptable (RFC 4271 section 6.2). A pure function.
 */

import { type Capability, type CapabilityOf, capabilitiesOf, writeCapability } from '../../../wire/bgp/capability.ts'
import { AFI, FAMILY, type Family, families, familyBit, familyOf, hasFamily } from '../../../wire/bgp/family.ts'
import { EXTENDED_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX } from '../../../wire/bgp/message.ts'
import { type Notification, notification, OPEN_ERROR } from '../../../wire/bgp/notification.ts'
import type { Open } from '../../../wire/bgp/open.ts'
import { Writer } from '../../../wire/cursor.ts'

/** AS numbers, both ends included. One peer has one; dynamic peers may come from many. */
export interface AsRange {
  readonly from: number
  readonly to: number
}

export interface FamilyOffer {
  readonly family: Family
  /** Several paths to a prefix, told apart by an identifier (RFC 7911). */
  readonly addPathReceive?: boolean
  readonly addPathSend?: boolean
  /** IPv4 routes may have IPv6 next hops (RFC 8950). */
  readonly extendedNextHop?: boolean
}

export interface Offer {
  readonly localAs: number
  /** An IPv4 address's number; not 0. */
  readonly localId: number
  readonly remoteAs: readonly AsRange[]
  /** 0: neither end says that it is alive. */
  readonly holdTime_s: number
  /** Less than this we do not promise; a peer that asks for it is refused. */
  readonly holdTimeMin_s: number
  readonly families: readonly FamilyOffer[]
  readonly extendedMessages: boolean
  readonly gracefulRestart?: {
    readonly restartTime_s: number
    /** We have just restarted, and wait for the peer's End-of-RIB. */
    readonly restarting: boolean
    /** Also over notifications and an expired hold timer (RFC 8538). */
    readonly notification: boolean
    /** Set of families whose forwarding went on meanwhile. */
    readonly forwarding: number
  }
  /** RFC 9234, see ROLE; absent, roles are not looked at. */
  readonly role?: number
  readonly hostName?: string
}

/** What holds for a session while it is established. Sets of families are bits, `familyBit`. */
export interface Negotiated {
  readonly remoteAs: number
  readonly remoteId: number
  /** The peer is of another AS. */
  readonly external: boolean
  /** AS numbers of four octets in AS_PATH (RFC 6793). */
  readonly as4: boolean
  /** Without a message for so long the session ends; 0, never. */
  readonly holdTime_s: number
  readonly families: number
  /** What comes carries path identifiers, what goes does. */
  readonly addPathReceive: number
  readonly addPathSend: number
  readonly extendedNextHop: number
  /** The longest message that may come, and that may be sent (RFC 8654). */
  readonly receiveBytesMax: number
  readonly sendBytesMax: number
  readonly refresh: boolean
  readonly enhancedRefresh: boolean
  /** What the peer does when it restarts; absent, its routes go with the session. */
  readonly gracefulRestart?: GracefulRestart
  readonly remoteRole?: number
  readonly hostName?: string
}

export interface GracefulRestart {
  readonly restartTime_s: number
  /** The peer has just restarted: it waits for our End-of-RIB. */
  readonly restarting: boolean
  /** Both ends keep routes over notifications too (RFC 8538). */
  readonly notification: boolean
  readonly families: number
  /** Those of them whose forwarding went on while the peer restarted. */
  readonly forwarding: number
}

/** RFC 9234 section 4.1, and who may talk to whom. */
export const ROLE = { provider: 0, routeServer: 1, routeServerClient: 2, customer: 3, peer: 4 } as const
const COUNTERPART: readonly number[] = [
  ROLE.customer,
  ROLE.routeServerClient,
  ROLE.routeServer,
  ROLE.provider,
  ROLE.peer,
]

export function openOf(offer: Offer): Open {
  const capabilities: Capability[] = [
    ...multiprotocol(offer),
    { kind: 'route-refresh' },
    { kind: 'enhanced-refresh' },
    { kind: 'four-octet-as', as: offer.localAs },
  ]
  if (offer.extendedMessages) capabilities.push({ kind: 'extended-message' })
  const withAddPath = offer.families.filter((one) => one.addPathReceive || one.addPathSend)
  if (withAddPath.length > 0) capabilities.push({ kind: 'add-path', families: withAddPath.map(addPathOf) })
  const withNextHop = offer.families.filter((one) => one.extendedNextHop)
  if (withNextHop.length > 0) {
    const rows = withNextHop.map(({ family }) => ({ ...afiSafi(family), nextHopAfi: AFI.ipv6 }))
    capabilities.push({ kind: 'extended-next-hop', families: rows })
  }
  if (offer.gracefulRestart) capabilities.push(gracefulRestartOf(offer, offer.gracefulRestart))
  if (offer.role !== undefined) capabilities.push({ kind: 'role', role: offer.role })
  if (offer.hostName) capabilities.push({ kind: 'fqdn', host: offer.hostName, domain: '' })
  return { as: offer.localAs, holdTime_s: offer.holdTime_s, identifier: offer.localId, capabilities }
}

export function negotiate(offer: Offer, open: Open): Negotiated | Notification {
  const said = open.capabilities
  const has = (kind: Capability['kind']): boolean => said.some((one) => one.kind === kind)
  const external = open.as !== offer.localAs
  const families = commonFamilies(offer, said)
  const remoteRole = capabilitiesOf(said, 'role')[0]?.role
  const refusal = refuse(offer, open, external, families, remoteRole)
  if (refusal) return refusal
  const [hostName] = capabilitiesOf(said, 'fqdn')
  const gracefulRestart = restartOf(offer, said)
  return {
    remoteAs: open.as,
    remoteId: open.identifier,
    external,
    as4: has('four-octet-as'),
    holdTime_s: Math.min(offer.holdTime_s, open.holdTime_s),
    families,
    ...addPaths(offer, said, families),
    extendedNextHop: families & extendedNextHops(offer, said),
    receiveBytesMax: offer.extendedMessages ? EXTENDED_MESSAGE_BYTES_MAX : MESSAGE_BYTES_MAX,
    sendBytesMax: offer.extendedMessages && has('extended-message') ? EXTENDED_MESSAGE_BYTES_MAX : MESSAGE_BYTES_MAX,
    refresh: has('route-refresh'),
    enhancedRefresh: has('enhanced-refresh'),
    ...(gracefulRestart && { gracefulRestart }),
    ...(remoteRole !== undefined && { remoteRole }),
    ...(hostName && { hostName: hostName.host }),
  }
}

function refuse(
  offer: Offer,
  open: Open,
  external: boolean,
  families: number,
  remoteRole: number | undefined,
): Notification | undefined {
  const { code } = OPEN_ERROR
  if (!offer.remoteAs.some(({ from, to }) => open.as >= from && open.as <= to))
    return notification(code, OPEN_ERROR.peerAs)
  // RFC 6286 section 2.3: within an AS two speakers differ; between two it does not matter.
  if (!external && open.identifier === offer.localId) return notification(code, OPEN_ERROR.identifier)
  const holdTime_s = Math.min(offer.holdTime_s, open.holdTime_s)
  if (holdTime_s > 0 && holdTime_s < offer.holdTimeMin_s) return notification(code, OPEN_ERROR.holdTime)
  // RFC 5492 section 5: the data is what we need and the peer has not.
  if (families === 0) return notification(code, OPEN_ERROR.capability, encoded(multiprotocol(offer)))
  const isMatch = offer.role === undefined || remoteRole === undefined || COUNTERPART[offer.role] === remoteRole
  return isMatch ? undefined : notification(code, OPEN_ERROR.roleMismatch)
}

function commonFamilies(offer: Offer, said: readonly Capability[]): number {
  const offered = offer.families.reduce((bits, { family }) => bits | familyBit(family), 0)
  const theirs = capabilitiesOf(said, 'multiprotocol')
  // RFC 4760 section 8: a speaker that knows no other families speaks of none.
  if (theirs.length === 0) return offered & familyBit(FAMILY.ipv4Unicast)
  return offered & bitsOf(theirs)
}

// RFC 7911 section 4: we send what we can send and the peer can receive.
function addPaths(offer: Offer, said: readonly Capability[], common: number) {
  const theirs = capabilitiesOf(said, 'add-path').flatMap((one) => one.families)
  const theyReceive = bitsOf(theirs.filter(({ receive }) => receive))
  const theySend = bitsOf(theirs.filter(({ send }) => send))
  const weReceive = bitsWhere(offer, ({ addPathReceive }) => addPathReceive)
  const weSend = bitsWhere(offer, ({ addPathSend }) => addPathSend)
  return { addPathReceive: common & weReceive & theySend, addPathSend: common & weSend & theyReceive }
}

function extendedNextHops(offer: Offer, said: readonly Capability[]): number {
  const theirs = capabilitiesOf(said, 'extended-next-hop').flatMap((one) => one.families)
  const overIpv6 = bitsOf(theirs.filter(({ nextHopAfi }) => nextHopAfi === AFI.ipv6))
  return overIpv6 & bitsWhere(offer, ({ extendedNextHop }) => extendedNextHop)
}

// RFC 4724 section 4: whoever says nothing of it loses its routes with the session. Of several the last one counts.
function restartOf(offer: Offer, said: readonly Capability[]): GracefulRestart | undefined {
  const theirs = capabilitiesOf(said, 'graceful-restart').at(-1)
  if (!offer.gracefulRestart || !theirs) return undefined
  return {
    restartTime_s: theirs.restartTime_s,
    restarting: theirs.restarting,
    notification: theirs.notification && offer.gracefulRestart.notification,
    families: bitsOf(theirs.families),
    forwarding: bitsOf(theirs.families.filter(({ forwarding }) => forwarding)),
  }
}

function multiprotocol(offer: Offer): CapabilityOf<'multiprotocol'>[] {
  return offer.families.map(({ family }) => ({ kind: 'multiprotocol', ...afiSafi(family) }))
}

function addPathOf({ family, addPathReceive = false, addPathSend = false }: FamilyOffer) {
  return { ...afiSafi(family), receive: addPathReceive, send: addPathSend }
}

function gracefulRestartOf(offer: Offer, restart: NonNullable<Offer['gracefulRestart']>): Capability {
  const { forwarding, ...how } = restart
  const rows = offer.families.map(({ family }) => ({ ...afiSafi(family), forwarding: hasFamily(forwarding, family) }))
  return { kind: 'graceful-restart', ...how, families: rows }
}

function afiSafi(family: Family): { afi: number; safi: number } {
  const { afi, safi } = families[family]!
  return { afi, safi }
}

function bitsOf(rows: readonly { readonly afi: number; readonly safi: number }[]): number {
  let bits = 0
  for (const { afi, safi } of rows) {
    const family = familyOf(afi, safi)
    if (family >= 0) bits |= familyBit(family)
  }
  return bits
}

function bitsWhere(offer: Offer, wants: (one: FamilyOffer) => boolean | undefined): number {
  return offer.families.reduce((bits, one) => (wants(one) ? bits | familyBit(one.family) : bits), 0)
}

function encoded(capabilities: readonly Capability[]): Uint8Array {
  const out = new Writer()
  for (const capability of capabilities) writeCapability(out, capability, new Writer())
  return out.finish()
}
