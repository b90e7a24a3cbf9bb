/** What a child process says, waited for: it comes, or the child has ended, or it has been too long. */

import type { ChildProcess } from 'node:child_process'

/** The next message of that kind that comes from now on. */
export function nextOf<M extends { readonly kind: string }, K extends M['kind']>(
  child: ChildProcess,
  kind: K,
  patience_ms: number,
): Promise<Extract<M, { readonly kind: K }>> {
  const { promise, resolve, reject } = Promise.withResolvers<Extract<M, { readonly kind: K }>>()
  const take = (message: M): void => {
    if (message.kind === kind) resolve(message as Extract<M, { readonly kind: K }>)
  }
  const ended = (): void => reject(new Error(`a process of the benchmark has ended without its ${kind}`))
  const late = setTimeout(() => reject(new Error(`no ${kind} within ${patience_ms / 1000} s`)), patience_ms)
  child.on('message', take)
  child.on('exit', ended)
  return promise.finally(() => {
    clearTimeout(late)
    child.off('message', take)
    child.off('exit', ended)
  })
}
