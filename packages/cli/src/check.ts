import type { CliContext } from './context.ts';
import { CliError } from './errors.ts';
import { type Row, renderJson, renderTable } from './render.ts';

/** `cable check`: what of the store's content breaks a rule. Throws `CliError` (exit status 1) when something does. */
export async function showCheck(context: CliContext): Promise<void> {
  const answer = (await context.client().request('GET', '/cable/v1/check')) as {
    readonly revision?: unknown;
    readonly violations?: readonly Row[];
  };
  const violations = answer.violations ?? [];
  if (context.json) context.print(renderJson(answer));
  else if (violations.length === 0) context.print(`Every rule holds at revision ${String(answer.revision)}.\n`);
  else context.print(renderTable(['rule', 'object', 'detail'], violations));
  if (violations.length === 0) return;
  throw new CliError(
    1,
    `${violations.length} rules are broken at revision ${String(answer.revision)}`,
    'This is a defect: report it with the table above. Deleting the objects that it names, and making them anew, mends them.',
  );
}
