/** `gatehouse run orchestrator`: the orchestrator of several sites and its HTTP API, in this process. */

import { pino } from 'pino'
import { Api } from '../api/main.ts'
import { systemClock } from '../base/clock.ts'
import { freshSeed, Random } from '../base/random.ts'
import { loadOrchestrator } from '../config/orchestrator.ts'
import { formatError } from '../config/position.ts'
import { runOrchestrator } from '../orchestrator/main.ts'
import { EXIT, Failure } from './failure.ts'

export async function runOrchestratorFile(path: string): Promise<void> {
  const { value: file, errors } = loadOrchestrator(path)
  if (errors) throw new Failure(errors.map((error) => formatError(path, error)).join('\n'), EXIT.site)
  const log = pino({ base: { module: `orchestrator.${file.orchestrator}` } }, pino.destination({ dest: 2, sync: true }))
  const ended = Promise.withResolvers<string>()
  process.on('SIGTERM', () => ended.resolve('SIGTERM'))
  process.on('SIGINT', () => ended.resolve('SIGINT'))
  const options = { clock: systemClock, random: new Random(freshSeed()), log }
  try {
    const orchestrator = await runOrchestrator(file, options)
    const api = new Api({ file, orchestrator, ...options })
    const url = await api.listen()
    process.on('SIGHUP', () => {
      try {
        api.readTokens()
        log.info({}, 'the tokens file was read again')
      } catch (error) {
        log.error({ errors: (error as Error).message.split('\n') }, 'the tokens file is not taken')
      }
    })
    log.info({ url, sites: file.sites.map(({ name }) => name) }, 'listening')
    log.info({ signal: await ended.promise }, 'ending')
    await api.close()
    await orchestrator.close()
  } catch (error) {
    throw new Failure((error as Error).message)
  }
}
