/** What another site file means for neighbours: whose sessions go on, and whose do not. */

import { isDeepStrictEqual } from 'node:util'
import type { Neighbour } from '../../config/routing.ts'
import { CEASE, ceaseWithText, type Notification, notification } from '../../wire/bgp/notification.ts'

/** What a session is made by. Policies, and which of them a neighbour has, are taken while it goes on. */
function sessionPart(neighbour: Neighbour): object {
  return { ...neighbour, import: [], export: [] }
}

/**
 * By name, what the session of a neighbour ends with; those that are not in it go on. `moved`: tenants' neighbours that are
 * on another connection now, or under another of our addresses.
 */
export function lastWords(
  before: readonly Neighbour[],
  after: readonly Neighbour[],
  hasMoved: (neighbour: Neighbour) => boolean,
): Map<string, Notification> {
  const now = new Map(after.map((neighbour) => [neighbour.name, neighbour]))
  return new Map(
    before.flatMap((neighbour) => {
      const words = lastWordsTo(neighbour, now.get(neighbour.name), hasMoved)
      return words ? [[neighbour.name, words] as const] : []
    }),
  )
}

function lastWordsTo(
  before: Neighbour,
  now: Neighbour | undefined,
  hasMoved: (neighbour: Neighbour) => boolean,
): Notification | undefined {
  if (!now) return notification(CEASE.code, CEASE.deconfigured)
  if (isDeepStrictEqual(sessionPart(before), sessionPart(now)) && !hasMoved(now)) return undefined
  return now.shutdown === false ? notification(CEASE.code, CEASE.configurationChange) : shutdownWords(now)
}

function shutdownWords({ shutdown }: Neighbour): Notification {
  return ceaseWithText(CEASE.shutdown, typeof shutdown === 'string' ? shutdown : '')
}
