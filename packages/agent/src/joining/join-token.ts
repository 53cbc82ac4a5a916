/** Where an agent has its token from. */
import { readFileSync } from 'node:fs';
import { ExpectedError } from '@cable/kit';
import { type JoinTokenText, parseJoinToken } from '@cable/pki';

/** `text`: from the command line or the environment; `path`: a file, `-` for standard input. */
export type TokenSource = { readonly text: string } | { readonly path: string };

/** Longest file that is read. */
const MAX_CHARS = 4096;

/** The token; undefined: the file is not there any more. Throws `ExpectedError` for what is none; the text is in no message. */
export function readJoinToken(source: TokenSource): JoinTokenText | undefined {
  const text = 'text' in source ? source.text : readText(source.path);
  if (text === undefined) return undefined;
  const token = text.length > MAX_CHARS ? undefined : parseJoinToken(text);
  if (token !== undefined) return token;
  const where = 'text' in source ? 'what was given' : source.path === '-' ? 'standard input' : source.path;
  throw new ExpectedError(
    `${where} is no join token: give the whole token as cable join-token create has shown it, or make another`,
  );
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ExpectedError(`cannot read the join token in ${path}: give a file that this user may read`, { cause });
  }
}
