import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { decapsulatedTos, ECN } from './ecn.ts'

test('what leaves a tunnel is figure 4 of RFC 6040', () => {
  const { notCapable, capable0, capable1, congested } = ECN
  const columns = [notCapable, capable0, capable1, congested]
  const row = (inner: number): number[] => columns.map((outer) => decapsulatedTos(inner, outer))
  deepEqual(row(notCapable), [notCapable, notCapable, notCapable, -1])
  deepEqual(row(capable0), [capable0, capable0, capable1, congested])
  deepEqual(row(capable1), [capable1, capable1, capable1, congested])
  deepEqual(row(congested), [congested, congested, congested, congested])
})

test('the inner DSCP survives, whatever the outer one is', () => {
  equal(decapsulatedTos(0xb8 | ECN.capable0, 0x28 | ECN.congested), 0xb8 | ECN.congested)
  equal(decapsulatedTos(0x00, 0xfc), 0)
})
