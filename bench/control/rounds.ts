import { type Context, processesOf } from './context.ts';
import type { JobResult } from './job.ts';
import { type Row, rowOf, type Subject } from './rows.ts';

/** Something that is measured once a round. */
export type Case = Omit<Subject, 'section' | 'store'> & { readonly run: () => Promise<JobResult> };

/** Every case once a round, so that what drifts meets all alike. */
export async function measureRounds(
  context: Context,
  section: string,
  cases: readonly Case[],
): Promise<readonly Row[]> {
  const { bed, extent, say } = context;
  const results = cases.map((): JobResult[] => []);
  for (let round = 1; round <= extent.rounds; round += 1) {
    say(`${bed.store}: ${section}: round ${round} of ${extent.rounds}`);
    for (const [at, { run }] of cases.entries()) results[at]?.push(await run());
  }
  return cases.map(({ run: _run, ...subject }, at) =>
    rowOf({ ...subject, section, store: bed.store }, results[at] ?? [], processesOf(bed)),
  );
}
