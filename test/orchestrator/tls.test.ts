/** The API over TLS: nobody gets at it without, and a token goes over it. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get, type RequestOptions } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { lacks } from '../../lab/needs.ts'
import { busHere } from '../../src/agent/bus-here.ts'
import { putSite } from '../../src/agent/site-store.ts'
import { siteOf } from '../../src/orchestrator/two-sites.ts'
import { startOrchestrator } from './orchestrator-process.ts'

test('a token goes over TLS, and nothing is told without', { skip: lacks('openssl') }, async (t) => {
  const here = await busHere(t)
  await putSite(await here.join('up'), siteOf('east'))
  const [cert, key] = ['api.pem', 'api.key'].map((name) => join(here.directory, name)) as [string, string]
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=api', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
  ])
  equal(made.status, 0, String(made.stderr))
  const listen = `{ port: 0, tls: { cert_file: ${cert}, key_file: ${key} } }`
  const { url, secret } = await startOrchestrator(t, here.directory, { east: here.directory }, listen)
  ok(url.startsWith('https://127.0.0.1:'), url)
  const ca = readFileSync(cert)
  const authorization = `Bearer ${secret}`
  const [status, body] = await ask(`${url}/v1/sites`, { ca, headers: { authorization } })
  deepEqual([status, JSON.parse(body).items[0].site], [200, 'east'])
  equal((await ask(`${url}/v1/sites`, { ca }))[0], 401)
  const plain = await fetch(`${url.replace('https', 'http')}/v1/sites`, { headers: { authorization } }).catch(
    () => undefined,
  )
  ok(plain === undefined || plain.status >= 400)
})

async function ask(url: string, options: RequestOptions): Promise<[number | undefined, string]> {
  const request = get(url, { ...options, agent: false })
  const [reply] = await once(request, 'response')
  return [reply.statusCode, await text(reply)]
}
