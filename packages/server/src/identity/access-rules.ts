/** What a restricted application credential may ask for. Keystone does not look at it: each service does. */
import type { AccessRule } from '@cable/keystone';

/** The type by which the rules of Keystone mean this service. */
const SERVICE = 'network';

/** A place of a pattern: one character, a part of the path (one or more of it, no slash), or whatever there is. */
type Step = { readonly kind: 'character'; readonly character: string } | { readonly kind: 'part' | 'rest' };

/** True: one of the rules has the request in it. `path`: without its query. */
export function allowsAccess(rules: readonly AccessRule[], method: string, path: string): boolean {
  return rules.some((rule) => rule.service === SERVICE && rule.method === method && matchesPath(rule.path, path));
}

/**
 * A `*` and a `{name}` are one part of a path, `**` is any number of them. Takes steps times characters: a pattern is a tenant's, so nothing is tried twice. Source:
 * the Identity API reference, "Create application credential".
 */
export function matchesPath(pattern: string, path: string): boolean {
  const steps = stepsOf(pattern);
  let places = closed(steps, [true]);
  for (const character of path) {
    const next: boolean[] = [];
    for (const [place, step] of steps.entries()) {
      if (places[place] !== true) continue;
      if (step.kind === 'rest') next[place] = true;
      else if (step.kind === 'part' && character !== '/') next[place] = next[place + 1] = true;
      else if (step.kind === 'character' && step.character === character) next[place + 1] = true;
    }
    places = closed(steps, next);
    if (places.length === 0) return false;
  }
  return places[steps.length] === true;
}

/** Who stands before "whatever there is" stands behind it, too. */
function closed(steps: readonly Step[], places: boolean[]): boolean[] {
  for (const [place, step] of steps.entries())
    if (step.kind === 'rest' && places[place] === true) places[place + 1] = true;
  return places;
}

function stepsOf(pattern: string): readonly Step[] {
  const tokens = pattern.match(/\{[^}]*\}|\*\*|\*|./gsu) ?? [];
  return tokens.map((token): Step => {
    if (token === '**') return { kind: 'rest' };
    return token === '*' || token.length > 1 ? { kind: 'part' } : { kind: 'character', character: token };
  });
}
