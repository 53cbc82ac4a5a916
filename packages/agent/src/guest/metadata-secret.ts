import { readFileSync } from 'node:fs';

export type MetadataSecret =
  | { readonly ok: true; readonly secret: Uint8Array }
  | { readonly ok: false; readonly reason: string };

/** The secret in the file, without line ends at its end. `reason`: why there is none, and the remedy. */
export function readMetadataSecret(path: string): MetadataSecret {
  const refused = (what: string): MetadataSecret => ({
    ok: false,
    reason: `--metadata-secret-file ${path}: ${what}: give a file with the secret that Nova has as metadata_proxy_shared_secret`,
  });
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (err) {
    return refused(`cannot be read (${(err as NodeJS.ErrnoException).code ?? String(err)})`);
  }
  const secret = text.replace(/[\r\n]+$/, '');
  return secret === '' ? refused('is empty') : { ok: true, secret: Buffer.from(secret) };
}
