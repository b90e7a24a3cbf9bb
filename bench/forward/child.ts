/**
 * A process of the benchmark that does what its parent asks, over the process channel. Orders and answers are structured
 * clones; an error is passed on and the child stays.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Lab } from '../../lab/namespaces.ts'

interface Question<Order> {
  readonly id: number
  readonly order: Order
}

type Answer = { readonly id: number } & ({ readonly answer: unknown } | { readonly error: string })

export class Child<Order> {
  readonly #name: string
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #ended: Error | undefined
  #asked = 0

  /** `program` is a module that calls `answerParent`; in `namespace`, or where we are. */
  constructor(lab: Lab, namespace: string | undefined, program: string) {
    this.#name = program.slice(program.lastIndexOf('/') + 1)
    this.#process = lab.spawn(namespace, process.execPath, ['--disable-warning=ExperimentalWarning', program], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    })
    this.#process.on('message', (answer: Answer) => this.#hear(answer))
    this.#process.once('exit', (code, signal) => this.#end(signal ?? `code ${code}`))
    this.#process.once('error', (error) => this.#end(error.message))
  }

  async ask<T>(order: Order): Promise<T> {
    if (this.#ended) throw this.#ended
    const id = ++this.#asked
    const answered = Promise.withResolvers<unknown>()
    this.#waiting.set(id, answered)
    this.#process.send({ id, order } satisfies Question<Order>)
    return (await answered.promise) as T
  }

  async stop(): Promise<void> {
    if (this.#ended) return
    const exit = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exit
  }

  #hear(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if ('error' in answer) waiting?.reject(new Error(`${this.#name}: ${answer.error}`))
    else waiting?.resolve(answer.answer)
  }

  #end(how: string): void {
    this.#ended = new Error(`${this.#name} ended with ${how}`)
    for (const { reject } of this.#waiting.values()) reject(this.#ended)
    this.#waiting.clear()
  }
}

/** The child's side. It ends with its parent. */
export function answerParent<Order>(obey: (order: Order) => unknown): void {
  const answer = (message: Answer): void => void process.send!(message, undefined, undefined, () => {})
  process.on('disconnect', () => process.exit())
  process.on('message', async ({ id, order }: Question<Order>) => {
    try {
      answer({ id, answer: await obey(order) })
    } catch (error) {
      answer({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  })
}
