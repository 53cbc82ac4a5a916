/** What an object says besides its attributes: rules, sets that are unique, indexes, columns, examples. */
import { asList, asMap, asTexts, asWord, checkKeys, textAt } from './fields.ts';
import type { LinkedObject } from './links.ts';
import type { ProtonObject, ProtonRule } from './model.ts';
import type { Place, Problems } from './problems.ts';
import { type Entry, plainValue, type Tree } from './tree.ts';

/** Members of each list of an object, inherited ones too. */
const MEMBERS_MAX = 64;

/** Attributes that are unique together, or in one index. */
const GROUP_MAX = 16;

/** Rules of all objects, those of each heir counted. */
const RULES_MAX = 1000;

export function finishObjects(linked: readonly LinkedObject[], problems: Problems): readonly ProtonObject[] {
  const objects = linked.map((object) => finishObject(object, problems));
  const count = objects.reduce((sum, { rules }) => sum + rules.length, 0);
  const [first] = linked;
  if (count <= RULES_MAX || first === undefined) return objects;
  problems.error(first.merged.at, `all objects have ${count} rules together`, `Write at most ${RULES_MAX}`);
  return objects.map((object) => ({ ...object, rules: [] }));
}

function finishObject({ merged, ...object }: LinkedObject, problems: Problems): ProtonObject {
  const { bodies, api, at } = merged;
  const name = (key: string): string => `${key} of ${object.name}`;
  const description = bodies.flatMap((body) => body.entries.get('description') ?? [])[0];
  const members = (entries: readonly Entry[], key: string): readonly Tree[] => {
    const items = entries.flatMap(({ value }) => asList(value, name(key), problems)?.items ?? []);
    return bounded(items, { at: entries[0]?.at ?? at, what: name(key), max: MEMBERS_MAX }, problems);
  };
  const inherited = (key: string): readonly Tree[] =>
    members(
      bodies.toReversed().flatMap((body) => body.entries.get(key) ?? []),
      key,
    );
  const groups = (key: string): readonly (readonly string[])[] =>
    inherited(key).map((item) => {
      const names = asTexts(item, name(key), problems);
      return bounded(names, { at: item.at, what: `a member of ${name(key)}`, max: GROUP_MAX }, problems);
    });
  const columns = api.entries.get('print_columns');
  return {
    ...object,
    description: description === undefined ? '' : (asWord(description, name('description'), problems) ?? ''),
    rules: inherited('rules').flatMap((item) => readRule(item, name('rules'), problems) ?? []),
    unique: groups('unique'),
    indexes: groups('indexes'),
    printColumns:
      columns === undefined ? [] : asTexts(columns.value, name('print_columns'), problems).slice(0, MEMBERS_MAX),
    examples: members([bodies[0]?.entries.get('examples') ?? []].flat(), 'examples').map(plainValue),
  };
}

/** Nothing, and told, where there are too many. */
function bounded<T>(
  items: readonly T[],
  { at, what, max }: { readonly at: Place; readonly what: string; readonly max: number },
  problems: Problems,
): readonly T[] {
  if (items.length <= max) return items;
  problems.error(at, `${what} has ${items.length} members`, `Write at most ${max}`);
  return [];
}

function readRule(tree: Tree, what: string, problems: Problems): ProtonRule | undefined {
  const map = asMap(tree, `a member of ${what}`, problems);
  if (map === undefined) return undefined;
  checkKeys(map, ['rule', 'message'], `a member of ${what}`, problems);
  const rule = textAt(map, 'rule', `rule of ${what}`, problems);
  const message = textAt(map, 'message', `message of ${what}`, problems);
  if (rule === undefined) problems.error(map.at, `a member of ${what} has no rule`, 'Write rule: "..."');
  if (message === undefined) {
    problems.error(map.at, `a member of ${what} has no message`, 'Write what is to be said where it does not hold');
  }
  return rule === undefined || message === undefined ? undefined : { rule, message };
}
