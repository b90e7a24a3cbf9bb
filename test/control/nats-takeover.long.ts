/** A control module that leads is killed together with the nats-server beside it, which leads the leases or the nodes' feed. */

import { notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { lacks } from '../../lab/needs.ts'
import { fibFeed } from '../../src/agent/names.ts'
import { namesOf } from '../../src/bus/nats/names.ts'
import { takesOver } from './nats-takeover.ts'

const skip = lacks('nats-server')

test('another one leads when the server that leads the leases dies with it', { skip }, async (t) => {
  await takesOver(t, 'the leader and the server of the leases are killed', async (nats) => {
    const { leader } = await nats.rolesOf(namesOf('s').leases.stream)
    return () => leader.kill()
  })
})

test('so it is when the server that leads the feed of the nodes dies with it', { skip }, async (t) => {
  await takesOver(t, 'the leader and the server of a feed are killed', async (nats) => {
    const { leader, follower } = await nats.rolesOf(namesOf('s').stream(fibFeed('blue')).stream)
    notEqual(leader, follower)
    return () => leader.kill()
  })
})
