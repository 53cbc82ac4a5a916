/**
 * What a host that has joined keeps in `--state`, each file readable for its owner alone and replaced as a whole:
 *
 *   host.pem          its certificate and the key of it, in one file: they are of one another whenever the agent is killed
 *   authorities.pem   authorities of servers that it trusts
 *   next.key          the key for which a certificate is asked; what is asked again is asked with the same one
 */
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ExpectedError } from '@cable/kit';
import { certificatesIn, createKey, identityOf, isKeyOf, replaceFile } from '@cable/pki';

/** PEM. `token`: id of the one by which the host has joined. */
export type HostMaterial = {
  readonly token: string;
  readonly certificate: string;
  readonly key: string;
  readonly authorities: readonly string[];
};

/** What is in the state directory of an agent beside its state. */
export const JOINED_DIRECTORY = 'joined';
export const JOINED_FILES = ['host.pem', 'authorities.pem', 'next.key'] as const;

const KEY = /-----BEGIN ([A-Z]+) KEY-----[^-]+-----END \1 KEY-----\n/;
const TOKEN = /^Joined by token ([0-9a-f]{12})\.$/m;

export class HostFiles {
  readonly #directory: string;
  readonly #host: string;

  constructor(stateDir: string, host: string) {
    this.#directory = join(stateDir, JOINED_DIRECTORY);
    this.#host = host;
  }

  /** Undefined: the host has not joined. Throws `ExpectedError` for files that are not what was written. */
  async read(): Promise<HostMaterial | undefined> {
    const [own, trusted] = [await this.#text('host.pem'), await this.#text('authorities.pem')];
    if (own === undefined || trusted === undefined) return undefined;
    const [certificate] = certificatesIn(own);
    const [key] = KEY.exec(own) ?? [];
    const [, token] = TOKEN.exec(own) ?? [];
    const authorities = certificatesIn(trusted);
    if (certificate === undefined || key === undefined || token === undefined || authorities.length === 0)
      throw this.#odd('are not what an agent has written');
    if (!isKeyOf(key, certificate)) throw this.#odd('are of two certificates');
    const identity = identityOf(new X509Certificate(certificate).subjectAltName);
    if (identity?.kind !== 'host' || identity.name !== this.#host)
      throw this.#odd(`are of host ${identity?.name ?? '?'}, not of ${this.#host}`);
    return { token, certificate, key, authorities };
  }

  /** The key for which a certificate is asked next: the one of before, while no certificate of it has come. */
  async nextKey(current: HostMaterial | undefined): Promise<string> {
    const kept = await this.#text('next.key');
    const isWhole = kept !== undefined && KEY.test(kept);
    if (isWhole && (current === undefined || !isKeyOf(kept, current.certificate))) return kept;
    const key = await createKey();
    await this.#write('next.key', key);
    return key;
  }

  /** Authorities first: the host trusts no fewer than it needs, whenever it is killed. */
  async write({ token, certificate, key, authorities }: HostMaterial): Promise<void> {
    await this.#write('authorities.pem', authorities.join(''));
    await this.#write('host.pem', `Joined by token ${token}.\n${certificate}${key}`);
    await rm(join(this.#directory, 'next.key'), { force: true });
  }

  async #write(name: (typeof JOINED_FILES)[number], text: string): Promise<void> {
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await replaceFile(join(this.#directory, name), text);
    } catch (cause) {
      throw new ExpectedError(`cannot write ${join(this.#directory, name)}: name another directory with --state`, {
        cause,
      });
    }
  }

  async #text(name: (typeof JOINED_FILES)[number]): Promise<string | undefined> {
    try {
      return await readFile(join(this.#directory, name), 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new ExpectedError(`cannot read ${join(this.#directory, name)}: run as the user that owns it`, { cause });
    }
  }

  #odd(why: string): ExpectedError {
    return new ExpectedError(
      `the files in ${this.#directory} ${why}: remove them, and join anew with a token of cable join-token create --host ${this.#host} --replace true`,
    );
  }
}
