/** `gatehouse run orchestrator` as a process, and somebody who asks it over HTTP. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const ARGUMENTS = ['--disable-warning=ExperimentalWarning', MAIN]

export interface Told {
  readonly status: number
  readonly etag: string
  readonly body: Readonly<Record<string, unknown>>
}

export interface Orchestrator {
  readonly url: string
  readonly secret: string
  ask(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Told>
  /** From behind the event with that id on, or from now on. */
  listen(lastId?: string): Promise<Listener>
  kill(signal?: NodeJS.Signals): Promise<void>
}

interface Heard {
  readonly id: string
  readonly data: Readonly<Record<string, unknown>>
}

export interface Listener {
  /** The next event of that name. */
  next(what: string): Promise<Heard>
  close(): void
}

/** A token of that role: the secret, and its line of the tokens file. */
function makeToken(name: string, ...options: string[]): { secret: string; line: string } {
  const made = spawnSync(process.execPath, [...ARGUMENTS, 'token', name, ...options], { encoding: 'utf8' })
  const [, line] = / {2}- (\{.*\})/.exec(made.stderr) ?? []
  if (line === undefined) throw new Error(made.stderr)
  return { secret: made.stdout.trim(), line }
}

/** Resolves once it listens and has read its sites. It ends with the test. */
export async function startOrchestrator(
  t: TestContext,
  directory: string,
  sites: Readonly<Record<string, string>>,
  listen = '{ port: 0 }',
): Promise<Orchestrator> {
  const { secret, line } = makeToken('olaf', '--role', 'operator')
  writeFileSync(join(directory, 'tokens.yaml'), `tokens:\n  - ${line}\n`)
  const path = join(directory, 'orchestrator.yaml')
  const places = Object.entries(sites).map(([name, run]) => `  - { name: ${name}, directory: ${run} }\n`)
  writeFileSync(
    path,
    `orchestrator: main\nlisten: ${listen}\ntokens_file: ${directory}/tokens.yaml\nsites:\n${places.join('')}`,
  )
  const child = spawn(process.execPath, [...ARGUMENTS, 'run', 'orchestrator', path], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.after(() => end(child, 'SIGKILL'))
  const url = await readyAt(child, Object.keys(sites).length)
  return {
    url,
    secret,
    ask: asker(url, secret),
    listen: listener(url, secret),
    kill: (signal = 'SIGKILL') => end(child, signal),
  }
}

async function readyAt(child: ChildProcess, sites: number): Promise<string> {
  const seen: string[] = []
  let read = 0
  let url = ''
  for await (const line of createInterface(child.stderr!)) {
    seen.push(line)
    if (line.includes('"a site is read"')) read++
    if (line.includes('"listening"')) url = (JSON.parse(line) as { url: string }).url
    if (url !== '' && read === sites) return url
  }
  throw new Error(`it ended before it listened: ${seen.join('\n')}`)
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill(signal)
  await exit
}

function asker(url: string, secret: string): Orchestrator['ask'] {
  return async (method, path, body, headers = {}) => {
    const authorization = `Bearer ${secret}`
    const content = body === undefined ? {} : { 'content-type': 'application/json' }
    const options = body === undefined ? {} : { body: JSON.stringify(body) }
    const reply = await fetch(`${url}${path}`, {
      method,
      headers: { authorization, ...content, ...headers },
      ...options,
    })
    const text = await reply.text()
    return { status: reply.status, etag: reply.headers.get('etag') ?? '', body: text === '' ? {} : JSON.parse(text) }
  }
}

/** Resolves once the server has said from where on it tells events. */
function listener(url: string, secret: string): Orchestrator['listen'] {
  return async (lastId) => {
    const end = new AbortController()
    const last = lastId === undefined ? {} : { 'last-event-id': lastId }
    const headers = { authorization: `Bearer ${secret}`, accept: 'text/event-stream', ...last }
    const reply = await fetch(`${url}/v1/events`, { headers, signal: end.signal })
    const blocks = blocksOf(reply.body!.pipeThrough(new TextDecoderStream()))
    await blocks.next()
    return {
      async next(what) {
        for (;;) {
          const { value: block = '', done } = await blocks.next()
          if (done) throw new Error(`the stream ended before ${what}`)
          const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
          if (field('event') === what) return { id: field('id'), data: JSON.parse(field('data')) }
        }
      },
      close: () => end.abort(),
    }
  }
}

async function* blocksOf(stream: ReadableStream<string>): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of stream) {
    const blocks = `${rest}${chunk}`.split('\n\n')
    rest = blocks.pop()!
    yield* blocks
  }
}
