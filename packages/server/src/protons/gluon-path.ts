/** Paths as Gluon's server took them. */

const ROOT = '/proton';

/** Path of what Gluon answered at the root of its own port. No proton can have the name. */
export const GLUON_ROOT: string = `${ROOT}/-`;

/** The path that is meant: one that does not begin with `/proton` is below it, and the root is a document of its own. */
export function gluonPath(url: string | undefined): string {
  const text = url ?? '/';
  if (/^\/*(?:[?#]|$)/.test(text)) return text.replace(/^\/*/, GLUON_ROOT);
  return /^\/proton(?:[/?#]|$)/.test(text) ? text : `${ROOT}${text}`;
}
