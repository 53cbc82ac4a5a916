/** Names as policies mean them: `DomainName` of `policy.networking.k8s.io/v1alpha2`. */
import { parseDnsName } from './dns-name.ts';

/**
 * The one text of a name, or with `*.` before it of all names below it: in small letters, without a dot at its end. Two labels or more, of letters, digits, and inner `-` and `_`. Undefined: it
 * is none.
 */
export function parseDomainPattern(text: string): string | undefined {
  const isBelow = text.startsWith('*.');
  const labels = parseDnsName(isBelow ? text.slice(2) : text);
  if (labels === undefined || labels.length < 2 || !labels.every((label) => LABEL.test(label))) return undefined;
  return `${isBelow ? '*.' : ''}${labels.join('.')}`.toLowerCase();
}

const LABEL = /^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$/i;

/**
 * Whether a pattern (`parseDomainPattern`) means a name as `dnsNameKey` gives it. A name with bytes that are no letters, digits, `-` or `_` is never meant: what looks like a dot there is none.
 */
export function meansDomain(pattern: string, name: string): boolean {
  if (name.includes('\\')) return false;
  if (!pattern.startsWith('*.')) return name === `${pattern}.`;
  const end = `${pattern.slice(1)}.`;
  return name.length > end.length && name.endsWith(end);
}
