/** Label selectors, in the text form that Kubernetes has for them (`app=web,tier in (a,b),!old`; API reference, "Labels and selectors"). */

/** One requirement; all of a selector's must hold. */
export type LabelRequirement =
  | { readonly key: string; readonly operator: 'In'; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: 'NotIn'; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: 'Exists' }
  | { readonly key: string; readonly operator: 'DoesNotExist' };

/** None: it selects everything. */
export type LabelSelector = readonly LabelRequirement[];

/** What a selector asks of. */
export type Labels = ReadonlyMap<string, string>;

/** Longest text of a selector, in characters. */
export const SELECTOR_MAX_LENGTH = 16_384;

const NAME = '[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?';
const PREFIX = '[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?';
const KEY = new RegExp(`^(?:${PREFIX}/)?${NAME}$`);
const VALUE = new RegExp(`^(?:${NAME})?$`);
const SET = /^(\S+) (in|notin) \(([^()]*)\)$/;

/** True for what a label may be called: a name of 63 characters, maybe with a domain and a slash before it. */
export function isLabelKey(text: string): boolean {
  return KEY.test(text);
}

/** True for what a label may say: 63 characters or none. */
export function isLabelValue(text: string): boolean {
  return VALUE.test(text);
}

/** Undefined: it is no selector. `''` is the one that selects everything. */
export function parseLabelSelector(text: string): LabelSelector | undefined {
  if (text === '') return [];
  const requirements = splitOutside(text).map(parseRequirement);
  return requirements.some((one) => one === undefined) ? undefined : (requirements as LabelRequirement[]);
}

/** The one text of all selectors that say the same in other words: sorted, nothing twice. */
export function formatLabelSelector(selector: LabelSelector): string {
  return [...new Set(selector.map(formatRequirement))].sort().join(',');
}

/** A label that is not there is neither in a set nor exists; it is not in any. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  return selector.every((one) => holds(one, labels.get(one.key)));
}

/** Of texts `key=value`; of two of one key the last. */
export function parseLabels(texts: readonly string[]): Labels {
  return new Map(
    texts.map((text) => {
      const at = text.indexOf('=');
      return at < 0 ? ([text, ''] as const) : ([text.slice(0, at), text.slice(at + 1)] as const);
    }),
  );
}

function holds(one: LabelRequirement, value: string | undefined): boolean {
  if (one.operator === 'Exists') return value !== undefined;
  if (one.operator === 'DoesNotExist') return value === undefined;
  return (value !== undefined && one.values.includes(value)) === (one.operator === 'In');
}

function formatRequirement(one: LabelRequirement): string {
  if (one.operator === 'Exists') return one.key;
  if (one.operator === 'DoesNotExist') return `!${one.key}`;
  const values = [...new Set(one.values)].sort();
  const isIn = one.operator === 'In';
  if (values.length === 1) return `${one.key}${isIn ? '=' : '!='}${values[0]}`;
  return `${one.key} ${isIn ? 'in' : 'notin'} (${values.join(',')})`;
}

/** At commas that are in no parentheses. */
function splitOutside(text: string): readonly string[] {
  const parts: string[] = [];
  let [from, depth] = [0, 0];
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '(') depth += 1;
    else if (text[at] === ')') depth -= 1;
    else if (text[at] === ',' && depth === 0) {
      parts.push(text.slice(from, at));
      from = at + 1;
    }
  }
  return [...parts, text.slice(from)].map((part) => part.trim());
}

function parseRequirement(text: string): LabelRequirement | undefined {
  const set = SET.exec(text);
  if (set !== null) {
    const [, key = '', operator, list = ''] = set;
    const values = list.split(',').map((one) => one.trim());
    if (!isLabelKey(key) || !values.every(isLabelValue)) return undefined;
    return { key, operator: operator === 'in' ? 'In' : 'NotIn', values };
  }
  if (text.startsWith('!')) {
    const key = text.slice(1);
    return isLabelKey(key) ? { key, operator: 'DoesNotExist' } : undefined;
  }
  const equals = /^([^=!]+?)(!=|==|=)(.*)$/.exec(text);
  if (equals === null) return isLabelKey(text) ? { key: text, operator: 'Exists' } : undefined;
  const [, key = '', sign, value = ''] = equals;
  if (!isLabelKey(key) || !isLabelValue(value)) return undefined;
  return { key, operator: sign === '!=' ? 'NotIn' : 'In', values: [value] };
}
