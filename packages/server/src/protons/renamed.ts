/** Under which names what is unique is claimed. */
import { versionsOf } from './compose.ts';
import type { ProtonRow } from './proton-row.ts';

/**
 * Claims of an attribute keep the name that they have in the store when the attribute gets another one. By object and attribute of the version that is stored
 * after the change: the name, where it is another.
 */
export function renamedSince(before: ProtonRow, after: ProtonRow): Readonly<Record<string, string>> {
  const [was, is] = [versionsOf(before).stored, versionsOf(after).stored];
  if (was.version === is.version) return before.born;
  const forth = is.conversions.find(({ from }) => from === was.version);
  const back = was.conversions.find(({ from }) => from === is.version);
  const born: Record<string, string> = {};
  for (const { name, attributes } of is.objects) {
    const forward = forth?.objects.find((one) => one.object === name);
    const backward = back?.objects.find((one) => (one.was ?? one.object) === name);
    const oldObject = forward?.was ?? backward?.object ?? name;
    for (const { name: attribute } of attributes) {
      const renames = [
        ...(forward?.steps ?? []).flatMap((step) => ('rename' in step ? [[step.rename.to, step.rename.from]] : [])),
        ...(backward?.steps ?? []).flatMap((step) => ('rename' in step ? [[step.rename.from, step.rename.to]] : [])),
      ];
      const old = renames.find(([to]) => to === attribute)?.[1] ?? attribute;
      const claimed = before.born[`${oldObject}.${old}`] ?? old;
      if (claimed !== attribute) born[`${name}.${attribute}`] = claimed;
    }
  }
  return born;
}
