/** Checks of policies: every name that is used is there, and once. */

import { type Complain, each, Unique } from './complain.ts'
import type { Loose } from './loose.ts'
import type { Path } from './position.ts'
import type { Routing } from './routing.ts'

export function checkPolicies(routing: Loose<Routing> | undefined, complain: Complain): void {
  if (!routing) return
  const named = (key: 'prefix_lists' | 'as_path_lists' | 'community_lists' | 'policies' | 'neighbours'): Unique => {
    const names = new Unique(complain)
    const list = routing[key] as readonly ({ readonly name?: string | undefined } | undefined)[] | undefined
    each(list, ({ name }, i) => names.add(name, ['routing', key, i, 'name'], name))
    return names
  }
  const lists = {
    prefix_list: ['prefix list', named('prefix_lists')],
    as_path_list: ['AS path list', named('as_path_lists')],
    community_list: ['community list', named('community_lists')],
    peer: ['neighbour', named('neighbours')],
  } as const
  const policies = named('policies')
  each(routing.policies, ({ terms }, i) =>
    each(terms, ({ match }, j) => {
      for (const [key, [what, names]] of Object.entries(lists)) {
        const at = ['routing', 'policies', i, 'terms', j, 'match', key]
        refer(names, what, match?.[key as keyof typeof lists], at)
      }
    }),
  )
  each(routing.neighbours, (neighbour, i) => {
    refer(policies, 'policy', neighbour.import, ['routing', 'neighbours', i, 'import'])
    refer(policies, 'policy', neighbour.export, ['routing', 'neighbours', i, 'export'])
  })
}

function refer(names: Unique, what: string, used: readonly (string | undefined)[] | undefined, at: Path): void {
  each(used, (one, i) => names.refer(what, one, [...at, i]))
}
