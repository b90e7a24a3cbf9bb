import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../base/clock.ts'
import { Openings } from './openings.ts'

class Opened {
  readonly name: string
  isClosed = false

  constructor(name: string) {
    this.name = name
  }

  close(): void {
    this.isClosed = true
  }
}

test('what cannot be opened is tried again, each reason is said once, and nothing is opened after the end', () => {
  const clock = new ManualClock()
  const openings = new Openings<Opened>(clock)
  const failed: string[] = []
  const openAfter = (name: string, ...errors: string[]): void => {
    const opening = (): Opened => {
      const error = errors.shift()
      if (error !== undefined) throw new Error(error)
      return new Opened(name)
    }
    openings.add(opening, (error) => failed.push(`${name}: ${error}`))
  }
  const names = (): string[] => openings.open.map(({ name }) => name)
  openAfter('late', 'no address', 'no address', 'no address', 'no right', 'no right')
  openAfter('good')
  deepEqual(names(), ['good'])
  for (let second = 0; second < 60; second++) clock.advance(1000)
  deepEqual(names(), ['good', 'late'])
  deepEqual(failed, ['late: no address', 'late: no right'])
  openAfter('later', 'no address')
  openings.close()
  for (let second = 0; second < 60; second++) clock.advance(1000)
  deepEqual(
    openings.open.map(({ name, isClosed }) => [name, isClosed]),
    [
      ['good', true],
      ['late', true],
    ],
  )
})
