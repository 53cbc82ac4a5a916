/**
 * A process for tests that keeps a state on disk until it is killed. Revision n is a function of n (`stateAt`): small updates, and now and then one that
 * takes many transactions. It prints each revision once it would be handed out.
 */
import { silentLogger } from '@cable/kit';
import { openHostState } from '../open-state.ts';
import { linesAt } from './state-at.ts';

const [stateDir = ''] = process.argv.slice(2);
const { state } = await openHostState(
  { host: 'h1', stateDir },
  { log: silentLogger(), signal: new AbortController().signal },
);
for (let revision = state.position.revision + 1; ; revision += 1) {
  for (const line of linesAt(revision)) state.take(line);
  await state.complete({ revision, history: { cluster: 'c', mark: String(revision) } });
  process.stdout.write(`${revision}\n`);
}
