/** Stands before the socket of a bus and can stop passing bytes on, both ways, while connections stay open: a partition. */

import { connect, createServer, type Server, type Socket } from 'node:net'

export class StallingProxy {
  readonly socketPath: string
  readonly #target: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #isStalled = false

  /** Resolves once it can be connected to. */
  static async before(target: string, socketPath: string): Promise<StallingProxy> {
    const proxy = new StallingProxy(target, socketPath)
    await new Promise<void>((resolve) => void proxy.#server.listen(socketPath, resolve))
    return proxy
  }

  private constructor(target: string, socketPath: string) {
    this.#target = target
    this.socketPath = socketPath
    this.#server = createServer((inner) => this.#pass(inner))
  }

  stall(): void {
    this.#isStalled = true
    for (const socket of this.#sockets) socket.pause()
  }

  pass(): void {
    this.#isStalled = false
    for (const socket of this.#sockets) socket.resume()
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #pass(inner: Socket): void {
    const outer = connect(this.#target)
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      this.#sockets.add(from)
      from.on('data', (bytes) => void to.write(bytes))
      from.on('error', () => from.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.end()
      })
      if (this.#isStalled) from.pause()
    }
  }
}
