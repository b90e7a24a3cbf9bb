/** The bus of one host as a process of its own. It says when it is up. */

import { silent } from '../../src/base/log.ts'
import { runBus } from '../../src/bus/embedded/main.ts'

const [directory, stateDirectory] = process.argv.slice(2) as [string, string]
await runBus({ directory, stateDirectory, log: silent })
process.stdout.write('up\n')
