/** As much of Helm's templates as the chart uses, for tests: `{{ .a.b }}`, `{{- if .a.b }}`, `{{ .a.b | toJson }}`, `{{- else }}`, `{{- end }}`, `{{- $_ := required "text" .a.b }}`. Anything else is an error. */

type Part = { readonly text: string } | { readonly action: string };

/** Throws what `required` says. */
export function render(template: string, root: object): string {
  const parts = partsOf(template);
  const [text, end] = renderFrom(parts, 0, root, true);
  if (end !== parts.length) throw new Error(`else or end without if, at part ${end}`);
  return text;
}

/** `{{-` takes the blanks before it away. */
function partsOf(template: string): readonly Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const found of template.matchAll(/\{\{(-?) (.*?) \}\}/g)) {
    const before = template.slice(at, found.index);
    parts.push({ text: found[1] === '-' ? before.trimEnd() : before }, { action: found[2] ?? '' });
    at = found.index + found[0].length;
  }
  return [...parts, { text: template.slice(at) }];
}

/** Up to the `else` or `end` that belongs to nobody inside. */
function renderFrom(parts: readonly Part[], from: number, root: object, isShown: boolean): readonly [string, number] {
  let text = '';
  let at = from;
  while (at < parts.length) {
    const part = parts[at] as Part;
    at += 1;
    if ('text' in part) {
      text += part.text;
      continue;
    }
    const { action } = part;
    if (action === 'else' || action === 'end') return [text, at - 1];
    const condition = /^if (\S+)$/.exec(action)?.[1];
    if (condition !== undefined) {
      const holds = isShown && isTrue(valueAt(root, condition));
      const [yes, middle] = renderFrom(parts, at, root, holds);
      const hasElse = isAction(parts[middle], 'else');
      const [no, end] = hasElse ? renderFrom(parts, middle + 1, root, isShown && !holds) : ['', middle];
      if (!isAction(parts[end], 'end')) throw new Error(`no end for {{ ${action} }}`);
      text += holds ? yes : no;
      at = end + 1;
    } else if (isShown) text += outputOf(action, root);
  }
  return [text, at];
}

function outputOf(action: string, root: object): string {
  const [, problem, needed] = /^\$_ := required "(.*)" (\S+)$/.exec(action) ?? [];
  if (needed !== undefined) {
    if (!isTrue(valueAt(root, needed))) throw new Error(problem);
    return '';
  }
  const [, json] = /^((?:\.\w+)+) \| toJson$/.exec(action) ?? [];
  if (json !== undefined) return JSON.stringify(valueAt(root, json));
  if (!/^(\.\w+)+$/.test(action)) throw new Error(`{{ ${action} }} is not understood`);
  const value = valueAt(root, action);
  if (value === undefined) throw new Error(`there is no ${action}`);
  return String(value);
}

function isAction(part: Part | undefined, action: string): boolean {
  return part !== undefined && 'action' in part && part.action === action;
}

function isTrue(value: unknown): boolean {
  return value !== undefined && value !== '' && value !== false && value !== 0;
}

function valueAt(root: object, path: string): unknown {
  return path
    .slice(1)
    .split('.')
    .reduce<unknown>((value, name) => (value as Readonly<Record<string, unknown>> | undefined)?.[name], root);
}
