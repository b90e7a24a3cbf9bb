import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { framesLost } from './kernel-drops.ts'

test('what the kernel lost is counted once, whoever counted it', () => {
  const none = { name: 'port', received: 0, invalid: 0, device: { received: 0, sent: 0 } }
  equal(framesLost([none]), 0)
  equal(framesLost([{ ...none, received: 3 }]), 3)
  equal(framesLost([{ ...none, device: { received: 5, sent: 0 } }]), 5)
  equal(framesLost([{ ...none, received: 3, device: { received: 5, sent: 0 } }]), 5)
  equal(
    framesLost([
      { ...none, invalid: 1, device: { received: 0, sent: 2 } },
      { ...none, received: 3 },
    ]),
    6,
  )
})
