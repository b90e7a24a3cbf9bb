import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { withNamespace } from './namespace.ts'
import { ScratchNetwork, unprivileged } from './scratch.ts'

const current = (): string => readlinkSync('/proc/thread-self/ns/net')

test('a thread visits a namespace and comes home, also after an error', { skip: unprivileged }, () => {
  using net = new ScratchNetwork()
  const namespace = net.namespace()
  const home = current()
  assert.notEqual(withNamespace(namespace, current), home)
  assert.equal(current(), home)
  assert.throws(() => withNamespace(namespace, () => assert.fail('on purpose')), /on purpose/)
  assert.equal(current(), home)
  assert.throws(() => withNamespace('nowhere', current), {
    code: 'ENOENT',
    message: /no network namespace \/run\/netns\/nowhere/,
  })
})

test('a worker enters a namespace alone', { skip: unprivileged }, async () => {
  using net = new ScratchNetwork()
  const namespace = net.namespace()
  const home = current()
  const program = `
    import('${import.meta.dirname}/namespace.ts').then(({ enterNamespace }) => {
      enterNamespace('${namespace}')
      require('node:worker_threads').parentPort.postMessage(require('node:fs').readlinkSync('/proc/thread-self/ns/net'))
    })`
  const [inWorker] = await once(new Worker(program, { eval: true }), 'message')
  assert.equal(inWorker, withNamespace(namespace, current))
  assert.equal(current(), home)
})
