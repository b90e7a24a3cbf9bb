import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { unprivileged } from './scratch.ts'
import { allowedCores, pinTo, setScheduling, threadId, WaitingTime, withoutPriority } from './thread.ts'

test('a thread is pinned to a core, and let go', () => {
  const cores = allowedCores()
  pinTo(cores.slice(-1))
  assert.deepEqual(allowedCores(), cores.slice(-1))
  assert.match(readFileSync('/proc/thread-self/status', 'utf8'), new RegExp(`Cpus_allowed_list:\\t${cores.at(-1)}\n`))
  pinTo(cores)
  assert.deepEqual(allowedCores(), cores)
  assert.throws(() => pinTo([1000]), { code: 'EINVAL', message: /none of the cores 1000/ })
})

test('a thread is scheduled round-robin, and as others again', { skip: unprivileged }, () => {
  // proc(5): field 41 of stat is the policy; the second field may hold spaces and ends with a parenthesis.
  const policy = (): string =>
    readFileSync(`/proc/self/task/${threadId()}/stat`, 'utf8').split(') ')[1]!.split(' ')[38]!
  const within = (): string => {
    using _ = withoutPriority()
    return policy()
  }
  setScheduling('round-robin')
  assert.equal(policy(), '2')
  assert.equal(within(), '0')
  assert.equal(policy(), '2')
  setScheduling('other')
  assert.equal(policy(), '0')
  assert.equal(within(), '0')
  assert.equal(policy(), '0')
})

test('a thread that shares its core with another knows how long it waited', async () => {
  const waiting = new WaitingTime()
  const cores = allowedCores()
  pinTo(cores.slice(-1))
  // It inherits the core of the thread that starts it, and keeps it busy.
  const other = new Worker('require("node:worker_threads").parentPort.postMessage(0); for (;;) {}', { eval: true })
  try {
    await new Promise((resolve) => other.once('message', resolve))
    const start_ms = performance.now()
    const before_us = waiting.us!
    while (performance.now() < start_ms + 200);
    const waited_us = waiting.us! - before_us
    const whole_us = (performance.now() - start_ms) * 1000
    assert.ok(waited_us > 20_000 && waited_us < whole_us, `waited ${waited_us} of ${whole_us} us`)
  } finally {
    pinTo(cores)
    await other.terminate()
    waiting.close()
  }
  assert.equal(new WaitingTime('/no/such/file').us, undefined)
})
