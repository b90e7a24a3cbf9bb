import { deepEqual, equal, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { inTurn } from './in-turn.ts'

test('what is asked for at once is done one after the other, whatever becomes of those before', async () => {
  const happened: string[] = []
  const take = inTurn(async (name: string) => {
    happened.push(`${name} begins`)
    await new Promise((resolve) => setImmediate(resolve))
    happened.push(`${name} ends`)
    if (name === 'second') throw new Error('no')
  })
  const [first, second, third] = [take('first'), take('second'), take('third')]
  await rejects(second, /no/)
  await Promise.all([first, third])
  deepEqual(
    happened,
    ['first', 'second', 'third'].flatMap((name) => [`${name} begins`, `${name} ends`]),
  )
})

test('who waits for all of it waits for what was asked for last, also when that fails', async () => {
  const { promise, reject } = Promise.withResolvers<void>()
  const take = inTurn(() => promise)
  const failed = rejects(take('only'), /no/)
  let isIdle = false
  const idle = take.idle().then(() => {
    isIdle = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  equal(isIdle, false)
  reject(new Error('no'))
  await idle
  await failed
})
