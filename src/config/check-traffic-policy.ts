/** Checks of a tenant's policies: what they match can be, and there are the connections that they name. */

import type { TenantCheck } from './check-tenant.ts'
import { each, Unique } from './complain.ts'
import { POLICY_RULES_MAX } from './limits.ts'
import type { Loose } from './loose.ts'
import type { Path } from './position.ts'
import { PROTOCOLS_WITH_PORTS, rulesOf, type TrafficMatch, type TrafficPolicy } from './traffic-policy.ts'

export function checkTrafficPolicies(check: TenantCheck): void {
  const { tenant, complain } = check
  const names = new Unique(complain)
  const path = [...check.path, 'policies']
  let rules = 0
  each(tenant.policies, (policy, i) => {
    const at = [...path, i]
    names.add(policy.name, [...at, 'name'], undefined)
    checkAction(check, policy, at)
    if (policy.match) checkMatch(check, policy.match, [...at, 'match'])
    const before = rules
    rules += rulesIn(policy.match)
    if (rules > POLICY_RULES_MAX && before <= POLICY_RULES_MAX)
      complain(
        at,
        `with it the tenant's policies come to ${rules} rules, one a combination; there may be ${POLICY_RULES_MAX}`,
      )
  })
}

/** As `rulesOf` a match that may not have been read. */
export function rulesIn(match: Loose<TrafficMatch> | undefined): number {
  return match ? rulesOf(match as TrafficMatch) : 1
}

function checkAction({ connections, complain }: TenantCheck, policy: Loose<TrafficPolicy>, at: Path): void {
  const { by, discard, only, balanced } = policy
  if (by === undefined && discard === undefined) complain(at, 'a policy needs by or discard')
  if (by !== undefined && discard !== undefined) complain(at, 'a policy has either by or discard')
  if (by === undefined && only) complain([...at, 'only'], 'only what? The policy names no connection')
  if (by === undefined && balanced) complain([...at, 'balanced'], 'over what? The policy names no connection')
  const named = new Unique(complain)
  each(by, (name, i) => {
    const place = [...at, 'by', i]
    if (named.add(name, place, undefined)) connections.refer('connection', name, place)
  })
}

function checkMatch({ complain }: TenantCheck, match: Loose<TrafficMatch>, at: Path): void {
  const { source, destination, protocol, source_port, destination_port } = match
  const [from, to] = [familiesOf(source), familiesOf(destination)]
  if (from.size > 0 && to.size > 0 && from.isDisjointFrom(to))
    complain([...at, 'destination'], `no packet is from ${[...from].join(', ')} to ${[...to].join(', ')}`)
  if (source_port === undefined && destination_port === undefined) return
  each(protocol, (number, i) => {
    if (!PROTOCOLS_WITH_PORTS.includes(number))
      complain([...at, 'protocol', i], `protocol ${number} has no ports: TCP, UDP and SCTP have`)
  })
}

function familiesOf(prefixes: readonly (string | undefined)[] | undefined): ReadonlySet<string> {
  return new Set(prefixes?.flatMap((text) => (text === undefined ? [] : text.includes(':') ? 'IPv6' : 'IPv4')))
}
