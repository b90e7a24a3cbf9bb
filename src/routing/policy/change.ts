/** What a term changes of a route: a row a field of `set`. */

import { parseAddress } from '../../base/address.ts'
import type { Changes } from '../../config/policy.ts'
import { communityPattern, type Kind, listOf, ORIGINS } from './condition.ts'
import { CHANGED, type Draft } from './draft.ts'

export interface Change {
  /** What it does, for people. */
  readonly text: string
  apply(draft: Draft): void
}

/** Those of one term, in no order that matters. `localAs` is what is put in front of paths unless another is said. */
export function changesOf(set: Changes, localAs: number): Change[] {
  const { local_preference: localPref, med, origin, next_hop: nextHop, prepend } = set
  const all: (Change | undefined)[] = [
    localPref === undefined ? undefined : setLocalPref(localPref),
    med === undefined ? undefined : setMed(med),
    origin && setOrigin(origin),
    nextHop === undefined ? undefined : setNextHop(nextHop),
    prepend && prependTo(prepend.as ?? localAs, prepend.times),
    set.communities && changeList('communities', set.communities),
    set.extended_communities && changeList('extendedCommunities', set.extended_communities),
    set.large_communities && changeList('largeCommunities', set.large_communities),
  ]
  return all.filter((one) => one !== undefined)
}

function setLocalPref(value: number): Change {
  return {
    text: `local preference ${value}`,
    apply(draft) {
      draft.localPref = value
      draft.changed |= CHANGED.localPref
    },
  }
}

function setMed(value: number | 'none'): Change {
  return {
    text: `MED ${value}`,
    apply(draft) {
      draft.hasMed = value !== 'none'
      draft.med = value === 'none' ? 0 : value
      draft.changed |= CHANGED.med
    },
  }
}

function setOrigin(origin: (typeof ORIGINS)[number]): Change {
  const value = ORIGINS.indexOf(origin)
  return {
    text: `origin ${origin}`,
    apply(draft) {
      draft.origin = value
      draft.changed |= CHANGED.origin
    },
  }
}

function setNextHop(text: string): Change {
  const address = parseAddress(text)!
  return { text: `next hop ${text}`, apply: (draft) => void draft.setNextHop(address) }
}

function prependTo(as: number, times: number): Change {
  return {
    text: `AS ${as} prepended ${times === 1 ? 'once' : `${times} times`}`,
    apply: (draft) => draft.prepend(as, times),
  }
}

const NOUNS: Readonly<Record<Kind, string>> = {
  communities: 'communities',
  extendedCommunities: 'extended communities',
  largeCommunities: 'large communities',
}

/** Marked as changed only if something is another one then: mostly what is to go is not there. */
function changeList(kind: Kind, { remove = [], add = [], replace }: NonNullable<Changes['communities']>): Change {
  const removed = remove.map((text) => communityPattern(text).pattern)
  const added = (replace ?? add).map((text) => communityPattern(text).pattern.value)
  const verbs = [
    ...(replace ? [replace.length > 0 ? `replaced by ${replace.join(' ')}` : 'removed'] : []),
    ...(remove.length > 0 ? [`without ${remove.join(' ')}`] : []),
    ...(add.length > 0 ? [`with ${add.join(' ')}`] : []),
  ]
  return {
    text: `${NOUNS[kind]} ${verbs.join(' and ')}`,
    apply(draft) {
      const list = listOf(draft, kind)
      let isChanged = replace !== undefined && list.length > 0
      if (replace !== undefined) list.length = 0
      for (let i = 0; i < removed.length; i++) if (list.remove(removed[i]!)) isChanged = true
      for (let i = 0; i < added.length; i++) if (list.add(added[i]!)) isChanged = true
      if (!isChanged) return
      draft.changed |= CHANGED[kind]
      draft.communityStamp++
    },
  }
}
