/** What a process shows of itself in TLS, and whom it trusts: in files, which others replace while it runs. */

import { X509Certificate } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { createSecureContext } from 'node:tls';
import { ExpectedError, type Logger } from '@cable/kit';
import { certificatesIn } from './keys.ts';

/** Paths. `cert`: the own certificate, and those between it and the authority; null: none is shown. `ca`: authorities that are trusted; null: those of the system. */
export type TlsFiles = {
  readonly own: { readonly cert: string; readonly key: string } | null;
  readonly ca: string | null;
};

/** What is in them, PEM. */
export type TlsMaterial = {
  readonly own: { readonly cert: string; readonly key: string; readonly expiresAt: Date } | null;
  readonly ca: readonly string[] | null;
};

/** Throws `ExpectedError`, which names the file and what to do, when one cannot be read, two do not fit together, or the certificate has expired. */
export async function readTlsFiles(files: TlsFiles, now: Date): Promise<TlsMaterial> {
  const material = await readAnyAge(files);
  const expired = expiryText(files, material, now);
  if (expired !== undefined) throw new ExpectedError(expired);
  return material;
}

/** The same, of a certificate that has expired, too. */
async function readAnyAge({ own, ca }: TlsFiles): Promise<TlsMaterial> {
  const authorities = ca === null ? null : certificatesIn(await read(ca));
  if (authorities?.length === 0)
    throw new ExpectedError(`${ca} has no certificate in PEM: give the authorities that are trusted`);
  const material = { own: own === null ? null : await readOwn(own), ca: authorities };
  try {
    createSecureContext({ ...material.own, ...(authorities === null ? {} : { ca: [...authorities] }) });
  } catch (cause) {
    throw new ExpectedError(`${ca ?? own?.cert} is not understood: give certificates in PEM`, { cause });
  }
  return material;
}

/** Undefined: it has not expired, or there is none. */
function expiryText({ own: files }: TlsFiles, { own }: TlsMaterial, now: Date): string | undefined {
  if (files === null || own === null || own.expiresAt > now) return undefined;
  return `${files.cert} has expired at ${own.expiresAt.toISOString()}: put another there, with its key in ${files.key}`;
}

async function readOwn({
  cert,
  key,
}: {
  readonly cert: string;
  readonly key: string;
}): Promise<NonNullable<TlsMaterial['own']>> {
  const [certText, keyText] = [await read(cert), await read(key)];
  const [leaf] = certificatesIn(certText);
  if (leaf === undefined)
    throw new ExpectedError(`${cert} has no certificate in PEM: give one, and those between it and its authority`);
  try {
    createSecureContext({ cert: certText, key: keyText });
  } catch (cause) {
    throw new ExpectedError(`${key} is not the key of ${cert}: give the two that were made together`, { cause });
  }
  return { cert: certText, key: keyText, expiresAt: new Date(new X509Certificate(leaf).validTo) };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : 'cannot be read';
    throw new ExpectedError(`${path} ${why}: give the path of a file that this user may read`, { cause });
  }
}

/** Files that change one after the other are read when nothing has changed for so long. */
const SETTLE_MS = 300;

/**
 * Calls `onChange` some moments after a file of these has changed or another has taken its place, until the signal aborts. Not all changes are told apart: read what is there.
 * A directory that goes is not followed further.
 */
export function watchFiles(paths: readonly string[], onChange: () => void, signal: AbortSignal): void {
  let timer: NodeJS.Timeout | undefined;
  const soon = (): void => {
    clearTimeout(timer);
    timer = setTimeout(onChange, SETTLE_MS);
  };
  const watchers = [...new Set(paths.map((path) => dirname(path)))].map((directory): FSWatcher => {
    const names = new Set(paths.filter((path) => dirname(path) === directory).map((path) => basename(path)));
    // What mounts secrets (Kubernetes) swaps a link beside the files: their own names are not told.
    const watcher = watch(directory, (_event, name) => {
      if (name === null || names.has(name) || name.startsWith('..')) soon();
    });
    watcher.on('error', () => watcher.close());
    return watcher;
  });
  signal.addEventListener(
    'abort',
    () => {
      clearTimeout(timer);
      for (const watcher of watchers) watcher.close();
    },
    { once: true },
  );
}

/** What is followed of `TlsFiles`. */
export type FollowedTls = { readonly current: TlsMaterial };

export type FollowDeps = {
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly now?: () => Date;
  /** True: a certificate that has expired when it is read first is said in the log, and waits for another in its place. Default: it is refused. */
  readonly beginsExpired?: boolean;
  /** Says why what was read is not taken, and what to do; undefined: it is. */
  readonly refuse?: (material: TlsMaterial) => string | undefined;
};

/**
 * Reads the files now, and anew when they change; what cannot be used leaves what was there, and the log says why. Throws as `readTlsFiles` at the start. `onChange` is told of what is new.
 */
export async function followTlsFiles(
  files: TlsFiles,
  onChange: (material: TlsMaterial) => void,
  { log, signal, now = () => new Date(), beginsExpired = false, refuse = () => undefined }: FollowDeps,
): Promise<FollowedTls> {
  const check = (material: TlsMaterial): TlsMaterial => {
    const refusal = refuse(material);
    if (refusal === undefined) return material;
    throw new ExpectedError(refusal);
  };
  const first = check(await (beginsExpired ? readAnyAge(files) : readTlsFiles(files, now())));
  const reason = expiryText(files, first, now());
  if (reason !== undefined)
    log.error({ reason }, 'the certificate has expired: it will be read anew when another is there');
  const followed: { current: TlsMaterial } = { current: first };
  const paths = [files.own?.cert, files.own?.key, files.ca].filter((path) => typeof path === 'string');
  let reading = Promise.resolve();
  const readAnew = async (): Promise<void> => {
    try {
      const material = check(await readTlsFiles(files, now()));
      if (isSame(material, followed.current) || signal.aborted) return;
      followed.current = material;
      onChange(material);
      log.info({ files: paths, expiresAt: material.own?.expiresAt.toISOString() }, 'certificates were read anew');
    } catch (err) {
      log.error({ err }, 'certificates were not read anew: those of before stay');
    }
  };
  const onFiles = (): void => {
    reading = reading.then(readAnew);
  };
  watchFiles(paths, onFiles, signal);
  return followed;
}

function isSame(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.own?.cert === b.own?.cert && a.own?.key === b.own?.key && a.ca?.join() === b.ca?.join();
}
