import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { eventsOf } from '../agent/events.ts'
import { getSite } from '../agent/site-store.ts'
import { documentText, untilParted } from '../orchestrator/two-sites.ts'
import { openApiDocument } from './main.ts'
import { apiScene, TOKENS, writeTokens } from './scene.ts'

const PUT = { body: documentText('acme', 20) }

const messagesOf = (body: unknown): string[] =>
  (body as { errors: { path: string; message: string; site?: string }[] }).errors.map(
    ({ path, message, site }) => `${site === undefined ? '' : `${site} `}${path}: ${message}`,
  )

test('a tenant is made, read, replaced and deleted, each version under a tag of its own', async (t) => {
  const { ask, clients } = await apiScene(t)
  const made = await ask('PUT', '/v1/tenants/acme', PUT)
  deepEqual([made.status, made.body['version'], made.body['author'], made.body['pending']], [201, 1, 'olaf', []])
  const got = await ask('GET', '/v1/tenants/acme', { as: 'vera' })
  equal(got.headers['etag'], made.headers['etag'])
  deepEqual([got.body['owner'], got.body['sites']], ['orchestrator', ['east', 'west']])
  const document = got.body['document'] as { vni: number }
  equal((await ask('PUT', '/v1/tenants/acme', PUT)).status, 428)
  const again = { body: { ...document, steer: 'cost' }, headers: { 'if-match': String(got.headers['etag']) } }
  const replaced = await ask('PUT', '/v1/tenants/acme', again)
  deepEqual([replaced.status, replaced.body['version']], [200, 2])
  equal((await ask('PUT', '/v1/tenants/acme', again)).status, 412)
  equal((await ask('PUT', '/v1/tenants/acme', { ...PUT, headers: { 'if-none-match': '*' } })).status, 412)
  equal((await ask('DELETE', '/v1/tenants/acme')).status, 428)
  equal((await ask('DELETE', '/v1/tenants/acme', { headers: { 'if-match': '"1-x"' } })).status, 412)
  const gone = await ask('DELETE', '/v1/tenants/acme', { headers: { 'if-match': String(replaced.headers['etag']) } })
  equal(gone.status, 204)
  equal((await ask('GET', '/v1/tenants/acme')).status, 404)
  deepEqual(
    (await getSite(clients.west))!.tenants.map(({ name }) => name),
    ['own'],
  )
  deepEqual(
    (await eventsOf(clients.west)).map(({ what, about, author, detail }) => [what, about, author, detail]),
    [
      ['tenant-changed', 'acme', 'olaf', 'version 1: new'],
      ['tenant-changed', 'acme', 'olaf', 'version 2'],
      ['tenant-deleted', 'acme', 'olaf', 'version 3'],
    ],
  )
})

test('parts of a tenant come and go one by one', async (t) => {
  const { ask, clients } = await apiScene(t)
  await ask('PUT', '/v1/tenants/acme', PUT)
  const machine = { address: '172.16.0.6', host: 'h1' }
  equal((await ask('PUT', '/v1/tenants/acme/vpcs/prod/machines/db', { body: machine })).status, 201)
  equal((await ask('PUT', '/v1/tenants/acme/vpcs/prod/machines/db', { body: machine })).status, 200)
  equal((await ask('PUT', '/v1/tenants/acme/vpcs/none/machines/db', { body: machine })).status, 404)
  const route = { via: ['192.168.0.9'], sites: ['east'] }
  equal((await ask('PUT', '/v1/tenants/acme/routes/10.9.0.0%2F16', { body: route })).status, 201)
  equal((await ask('PUT', '/v1/tenants/acme/vpcs/test', { body: { key: 77 } })).status, 201)
  equal((await ask('PUT', '/v1/tenants/acme/vpcs/test', { body: { key: 78 } })).status, 428)
  const [east, west] = [await getSite(clients.east), await getSite(clients.west)]
  const [inEast, inWest] = [east, west].map((site) => site!.tenants.find(({ name }) => name === 'acme')!)
  deepEqual([inEast!.routes.length, inWest!.routes.length], [1, 0])
  deepEqual(
    inWest!.vpcs.map((vpc) => vpc.machines.map(({ name }) => name)),
    [['web', 'db'], []],
  )
  const listed = await ask('GET', '/v1/tenants/acme/vpcs/prod/machines?limit=1')
  deepEqual([(listed.body['items'] as object[]).length, listed.body['next']], [1, 'web'])
  const rest = await ask('GET', '/v1/tenants/acme/vpcs/prod/machines?after=web')
  deepEqual([(rest.body['items'] as { name: string }[])[0]!.name, rest.body['next']], ['db', undefined])
  equal((await ask('GET', '/v1/tenants/acme/routes/10.9.0.0%2F16')).body['prefix'], '10.9.0.0/16')
  equal((await ask('DELETE', '/v1/tenants/acme/routes/10.9.0.0%2F16')).status, 204)
  equal((await ask('DELETE', '/v1/tenants/acme/routes/10.9.0.0%2F16')).status, 404)
  equal((await ask('DELETE', '/v1/tenants/acme/connections/dc-west')).status, 204)
  equal((await ask('GET', '/v1/tenants/acme/connections/dc-west')).status, 404)
  const details = (await eventsOf(clients.east)).map(({ detail }) => detail)
  ok(details.includes('version 2: machine db of VPC prod'))
  ok(details.includes('version 5: without route 10.9.0.0/16'))
})

test('what is sent is told to be wrong where it is', async (t) => {
  const { ask } = await apiScene(t)
  const put = (body: unknown) => ask('PUT', '/v1/tenants/acme', { body })
  const malformed = await put({
    ...documentText('acme', 20),
    vnni: 1,
    vpcs: [{ name: 'prod', machines: [{ name: 'web' }] }],
  })
  equal(malformed.status, 400)
  deepEqual(messagesOf(malformed.body), [
    'vpcs[0].machines[0].address: is missing',
    'vpcs[0].machines[0].host: is missing',
    'vnni: unknown key "vnni"; did you mean "vni"?',
  ])
  equal((await put('{ "name":')).status, 400)
  equal((await put('')).status, 400)
  equal((await put('{ "__proto__": { "vni": 1 } }')).status, 400)
  equal((await put([])).status, 400)
  deepEqual(messagesOf((await put(documentText('beta', 20))).body), [
    'name: beta is not the name that is asked for, acme',
  ])
  const wrong = await put({ ...documentText('acme', 20), vip: 'v9' })
  equal(wrong.status, 422)
  deepEqual(messagesOf(wrong.body), ['east vip: there is no VIP "v9"', 'west vip: there is no VIP "v9"'])
  equal((await ask('PUT', '/v1/tenants/own', { body: documentText('own', 1) })).status, 409)
  equal(
    (await ask('PUT', '/v1/tenants/acme', { body: 'vni: 1', headers: { 'content-type': 'text/yaml' } })).status,
    415,
  )
  equal((await ask('GET', '/v1/tenants?limit=0')).status, 400)
  equal((await ask('GET', '/v1/tenants/-')).status, 400)
  equal((await ask('GET', '/v2/tenants')).status, 404)
  const other = await ask('PATCH', '/v1/tenants/acme')
  deepEqual([other.status, other.headers['allow']], [405, 'GET, PUT, DELETE'])
})

test('a body above the limit is refused, and so is a document that the bus does not take', async (t) => {
  const { ask } = await apiScene(t, { limits: '{ body_kb: 2 }' })
  const large = { ...documentText('acme', 20), routes: Array.from({ length: 100 }, () => ({ prefix: '10.0.0.0/8' })) }
  equal((await ask('PUT', '/v1/tenants/acme', { body: large })).status, 413)
})

test('each role does what it may, and nobody without a token does anything', async (t) => {
  const { ask } = await apiScene(t)
  for (const path of ['/v1/tenants', '/v1/sites', '/v1/events', '/v1/tenants/acme']) {
    const { status, headers } = await ask('GET', path, { as: 'nobody' })
    deepEqual([status, headers['www-authenticate']], [401, 'Bearer'])
  }
  const wrong = { headers: { authorization: 'Bearer gatehouse_wrong' }, as: 'nobody' }
  equal((await ask('GET', '/v1/tenants', wrong)).status, 401)
  equal((await ask('PUT', '/v1/tenants/acme', { ...PUT, as: 'vera' })).status, 403)
  equal((await ask('GET', '/v1/tokens', { as: 'olaf' })).status, 403)
  const tokens = await ask('GET', '/v1/tokens', { as: 'anna' })
  deepEqual(
    (tokens.body['items'] as { name: string }[]).map(({ name }) => name),
    TOKENS.map(({ name }) => name),
  )
  ok(!JSON.stringify(tokens.body).includes('sha256'))
  equal((await ask('GET', '/healthz', { as: 'nobody' })).status, 200)
  equal((await ask('GET', '/openapi.json', { as: 'nobody' })).status, 200)
})

test("a tenant's own token sees and changes what is the tenant's", async (t) => {
  const { ask } = await apiScene(t)
  const as = 'acme-portal'
  equal((await ask('PUT', '/v1/tenants/acme', { ...PUT, as })).status, 403)
  await ask('PUT', '/v1/tenants/acme', PUT)
  await ask('PUT', '/v1/tenants/beta', { body: documentText('beta', 21) })
  deepEqual((await ask('GET', '/v1/tenants', { as })).body['items'], [
    { ...((await ask('GET', '/v1/tenants')).body['items'] as object[])[0] },
  ])
  for (const path of [
    '/v1/tenants/beta',
    '/v1/tenants/own',
    '/v1/tenants/nobody',
    '/v1/sites/east/tenants/beta/routes',
  ])
    equal((await ask('GET', path, { as })).status, 404)
  equal(
    (await ask('PUT', '/v1/tenants/beta/vpcs/prod/machines/x', { body: { address: '172.16.0.7', host: 'h1' }, as }))
      .status,
    404,
  )
  equal(
    (await ask('PUT', '/v1/tenants/acme/vpcs/prod/machines/x', { body: { address: '172.16.0.7', host: 'h1' }, as }))
      .status,
    201,
  )
  equal((await ask('PUT', '/v1/tenants/acme/routes/10.0.0.0%2F8', { body: { via: ['172.16.0.7'] }, as })).status, 201)
  const connection = { site: 'east', switch: 'edge', port: 'p', vlan: 99, vni: 99, gateway: ['192.168.9.1/24'] }
  const refused = await ask('PUT', '/v1/tenants/acme/connections/more', { body: connection, as })
  equal(refused.status, 403)
  match(String(refused.body['detail']), /what the provider decides: connections/)
  equal((await ask('DELETE', '/v1/tenants/acme', { as, headers: { 'if-match': '*' } })).status, 403)
  const events = (await ask('GET', '/v1/events', { as })).body['items'] as { about: string }[]
  deepEqual([...new Set(events.map(({ about }) => about))], ['acme'])
})

test('whoever asks too often is told so, others are not', async (t) => {
  const { ask } = await apiScene(t, { limits: '{ requests_per_s: 1, burst: 3 }' })
  const statuses = []
  for (let i = 0; i < 4; i++) statuses.push((await ask('GET', '/v1/sites')).status)
  deepEqual(statuses, [200, 200, 200, 429])
  equal((await ask('GET', '/v1/sites', { as: 'vera' })).status, 200)
  for (let i = 0; i < 3; i++) equal((await ask('GET', '/v1/sites', { as: 'nobody' })).status, 401)
  equal((await ask('GET', '/v1/sites', { as: 'nobody' })).status, 429)
})

test('without tokens it is asked from this host, by its own name, and by no page of another', async (t) => {
  const { ask } = await apiScene(t, { tokens: null })
  const made = await ask('PUT', '/v1/tenants/acme', PUT)
  deepEqual([made.status, made.body['author']], [201, 'local'])
  equal((await ask('GET', '/v1/sites', { headers: { host: 'evil.example' } })).status, 421)
  equal((await ask('GET', '/v1/sites', { headers: { host: '127.0.0.1:8470' } })).status, 200)
  equal((await ask('GET', '/v1/sites', { headers: { origin: 'http://evil.example' } })).status, 421)
})

test('tokens are read again, unless the file has errors', async (t) => {
  const { ask, api, tokensPath, secrets } = await apiScene(t)
  writeTokens(tokensPath, [{ name: 'olaf', role: 'viewer' }])
  api.readTokens()
  equal((await ask('GET', '/v1/sites')).status, 401)
  const now = writeTokens(tokensPath, [{ name: 'nora', role: 'viewer' }])
  api.readTokens()
  writeTokens(tokensPath, [{ name: 'nora', role: 'king' as 'viewer' }])
  let message = ''
  try {
    api.readTokens()
  } catch (error) {
    message = (error as Error).message
  }
  match(message, /tokens.yaml:1:\d+ tokens\[0\].role: "king" is none of viewer, operator, admin/)
  const as = { headers: { authorization: `Bearer ${now.get('nora')}` }, as: 'none' }
  equal((await ask('GET', '/v1/sites', as)).status, 200)
  ok(!secrets.has('nora'))
})

test('while a site is away the answer says what is pending, and reads of it say why not', async (t) => {
  const { ask, buses, sites } = await apiScene(t)
  await ask('PUT', '/v1/tenants/acme', PUT)
  await buses.west.stop()
  await untilParted(sites, 'west')
  const changed = await ask('PUT', '/v1/tenants/acme/vpcs/prod/machines/db', {
    body: { address: '172.16.0.6', host: 'h1' },
  })
  deepEqual([changed.status, changed.body['pending']], [202, [{ site: 'west', why: 'its bus cannot be reached' }]])
  const [east, west] = (await ask('GET', '/v1/sites')).body['items'] as { connected: boolean; failure?: string }[]
  deepEqual([east!.connected, west!.connected, west!.failure], [true, false, 'its bus cannot be reached'])
  equal((await ask('GET', '/v1/sites/west/tenants/acme/routes')).status, 503)
  equal((await ask('GET', '/v1/sites/north')).status, 404)
})

test('writers at the same time lose nothing', async (t) => {
  const { ask } = await apiScene(t)
  await ask('PUT', '/v1/tenants/acme', PUT)
  const put = (i: number) =>
    ask('PUT', `/v1/tenants/acme/vpcs/prod/machines/m${i}`, { body: { address: `172.16.1.${i + 1}`, host: 'h1' } })
  const made = await Promise.all(Array.from({ length: 20 }, (_, i) => put(i)))
  deepEqual(new Set(made.map(({ status }) => status)), new Set([201]))
  equal(((await ask('GET', '/v1/tenants/acme/vpcs/prod/machines')).body['items'] as object[]).length, 21)
})

test('the OpenAPI document names every parameter of a path, and leads nowhere that is not there', () => {
  const document = openApiDocument() as { paths: Record<string, Record<string, Record<string, unknown>>> }
  const ids: unknown[] = []
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const { operationId, parameters, responses } of Object.values(methods)) {
      ids.push(operationId)
      const named = (parameters as { name: string; in: string }[])
        .filter((one) => one.in === 'path')
        .map(({ name }) => name)
      deepEqual(named.sort(), Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => name!).sort())
      ok(Object.keys(responses as object).length > 1)
    }
  }
  equal(new Set(ids).size, ids.length)
  const text = JSON.stringify(document)
  for (const [, name] of text.matchAll(/"\$ref":"([^"]+)"/g)) equal(name, '#/components/schemas/Problem')
  ok(text.includes('"Machine') || text.includes('172') || text.includes('machines'))
})
