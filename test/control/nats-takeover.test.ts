/** One control module takes over from another that is killed, over three nats-servers. */

import { test } from 'node:test'
import { lacks } from '../../lab/needs.ts'
import { takesOver } from './nats-takeover.ts'

test('over NATS a control module that leads and is killed is replaced', { skip: lacks('nats-server') }, async (t) => {
  await takesOver(t, 'the leader is killed', async () => async () => {})
})
