/**
 * Authorities and certificates of a cloud in Kubernetes. The authorities are in a Secret, put there by whoever is first; certificates are made of them where they lack, are soon over, or are
 * of something else. One round does all that is to be done, and may be repeated at any time.
 */
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { ExpectedError, type Logger } from '@cable/kit';
import { getIfThere, isConflict, type KubeApi, type KubeKind, type KubeObject } from '@cable/kube';
import {
  type Authority,
  certificatesIn,
  createAuthority,
  createKey,
  type Identity,
  identityOf,
  isKeyOf,
  isSignedBy,
  issueWithKey,
  LIFE_MS,
  LOCAL_PLACES,
  nameOfIdentity,
  pkiPaths,
  placesOf,
  replaceFile,
  validityFrom,
  writeServer,
} from '@cable/pki';
import { AUTHORITIES_SECRET, AUTHORITY_CONFIG, CONFIG_MAPS, CONTROLLER_SECRET, SECRETS } from './names.ts';

export type AuthoritiesOptions = {
  readonly namespace: string;
  readonly cluster: string;
  /** Name of this server. */
  readonly name: string;
  /** DNS names and addresses under which it is reached. */
  readonly places: readonly string[];
  /** Where the server finds its certificate and the authorities; the key of `authority.pem` is not written there. */
  readonly directory: string;
};

export type AuthoritiesDeps = {
  readonly kube: Pick<KubeApi, 'get' | 'update'>;
  readonly now: () => Date;
  readonly log: Logger;
};

/** Text by the name of its file, as the Secret has it. */
type Files = Readonly<Record<string, string>>;

/** Both authorities. `trusted`: the signing one first. */
type Authorities = { readonly signer: Authority; readonly trusted: readonly string[]; readonly files: Files };

type DataObject = KubeObject & { readonly data?: Files; readonly type?: string };

const REQUIRED = ['authority.pem', 'authority.key', 'hosts.pem', 'hosts.key'] as const;

/** Keeps them; remembers the authorities, so that a Secret that somebody has deleted comes back as it was. */
export class AuthoritiesKeeper {
  readonly #options: AuthoritiesOptions;
  readonly #deps: AuthoritiesDeps;
  #known: Files | undefined;

  constructor(options: AuthoritiesOptions, deps: AuthoritiesDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** One round. Throws `KubeError`, `TransportError`, and `ExpectedError` for a Secret that is not what was written. */
  async run(): Promise<void> {
    const authorities = authoritiesOf(await this.#files());
    this.#known = authorities.files;
    await this.#writeServerFiles(authorities);
    await this.#put(CONFIG_MAPS, AUTHORITY_CONFIG, { 'authority.pem': authorities.trusted.join('') });
    await this.#issueController(authorities);
  }

  async #files(): Promise<Files> {
    const { kube, log } = this.#deps;
    const there = await this.#object(SECRETS, AUTHORITIES_SECRET);
    if (!isEmpty(there)) return decoded(there);
    const made = this.#known ?? (await createAuthorities(this.#deps.now()));
    try {
      await kube.update<DataObject>(SECRETS, { ...typed('Secret'), ...there, data: encoded(made) });
      log.info({ secret: AUTHORITIES_SECRET, isNew: this.#known === undefined }, 'authorities are in the secret');
      return made;
    } catch (err) {
      // Another was first: those are the cloud's.
      if (isConflict(err)) return decoded(await this.#object(SECRETS, AUTHORITIES_SECRET));
      throw err;
    }
  }

  /** It is made, empty, by what is applied: this process may make none. Throws `ExpectedError` where it is not there. */
  async #object(kind: KubeKind, name: string): Promise<DataObject> {
    const { namespace } = this.#options;
    const there = await getIfThere<DataObject>(this.#deps.kube, kind, { namespace, name });
    if (there !== undefined) return there;
    throw new ExpectedError(
      `there is no ${kind === SECRETS ? 'secret' : 'configmap'} ${name} in ${namespace}: apply again what cable kube manifests prints`,
    );
  }

  /** The server's certificate first: an authority that is not its own is not taken by a server. */
  async #writeServerFiles({ signer, trusted, files }: Authorities): Promise<void> {
    const { directory, name } = this.#options;
    const places = [...new Set([...this.#options.places, ...LOCAL_PLACES])];
    const paths = pkiPaths(directory);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const current = certificatesIn(await textAt(paths.cert))[0];
    const identity: Identity = { kind: 'server', name };
    if (!this.#isGood(current, { identity, places, signer }) || !isKeyIn(await textAt(paths.key), current)) {
      const made = await this.#issue(signer, identity, places);
      await writeServer(directory, made, trusted, true);
      this.#deps.log.info({ name, places }, 'a certificate of this server was made');
    }
    const wanted = {
      'authority.pem': trusted.join(''),
      'hosts.pem': files['hosts.pem'],
      'hosts.key': files['hosts.key'],
    };
    for (const [file, text = ''] of Object.entries(wanted)) {
      const path = `${directory}/${file}`;
      if ((await textAt(path)) !== text) await replaceFile(path, text);
    }
  }

  async #issueController({ signer, trusted }: Authorities): Promise<void> {
    const { cluster } = this.#options;
    const data = decoded(await this.#object(SECRETS, CONTROLLER_SECRET));
    const current = certificatesIn(data['tls.crt'] ?? '')[0];
    const identity: Identity = { kind: 'cluster', name: cluster };
    const isGood = this.#isGood(current, { identity, places: [], signer }) && isKeyIn(data['tls.key'] ?? '', current);
    const own = isGood
      ? { certificate: data['tls.crt'] ?? '', key: data['tls.key'] ?? '' }
      : await this.#issue(signer, identity, []);
    if (!isGood) this.#deps.log.info({ cluster }, 'a certificate of the controller was made');
    const wanted = { 'ca.crt': trusted.join(''), 'tls.crt': own.certificate, 'tls.key': own.key };
    await this.#put(SECRETS, CONTROLLER_SECRET, wanted);
  }

  #issue(signer: Authority, identity: Identity, places: readonly string[]): ReturnType<typeof issueWithKey> {
    const end = new Date(new X509Certificate(signer.certificate).validTo);
    return issueWithKey(signer, {
      identity,
      places,
      validity: validityFrom(this.#deps.now(), LIFE_MS[identity.kind], end),
    });
  }

  /** Good for a third of its life at least, and for this. */
  #isGood(
    certificate: string | undefined,
    wanted: { readonly identity: Identity; readonly places: readonly string[]; readonly signer: Authority },
  ): boolean {
    if (certificate === undefined || !isSignedBy(certificate, wanted.signer.certificate)) return false;
    const { validFrom, validTo, subjectAltName } = new X509Certificate(certificate);
    const identity = identityOf(subjectAltName);
    if (identity === undefined || nameOfIdentity(identity) !== nameOfIdentity(wanted.identity)) return false;
    const has = new Set(placesOf(certificate));
    if (!wanted.places.every((place) => has.has(place))) return false;
    const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
    return to - this.#deps.now().getTime() > (to - from) / 3;
  }

  /** An object with those data: changed if it has others. */
  async #put(kind: KubeKind, name: string, files: Files): Promise<void> {
    const isSecret = kind === SECRETS;
    const data = isSecret ? encoded(files) : files;
    const there = await this.#object(kind, name);
    if (isSame(there.data ?? {}, data)) return;
    await this.#deps.kube.update<DataObject>(kind, { ...typed(isSecret ? 'Secret' : 'ConfigMap'), ...there, data });
  }
}

function isEmpty({ data = {} }: DataObject): boolean {
  return Object.keys(data).length === 0;
}

async function createAuthorities(now: Date): Promise<Files> {
  const files: Record<string, string> = {};
  for (const kind of ['authority', 'hosts'] as const) {
    const { certificate, key } = await createAuthority(await createKey(), validityFrom(now, LIFE_MS.authority));
    files[`${kind}.pem`] = certificate;
    files[`${kind}.key`] = key;
  }
  return files;
}

/** Throws `ExpectedError` when something lacks, or two do not fit together. */
function authoritiesOf(files: Files): Authorities {
  for (const name of REQUIRED) {
    if ((files[name] ?? '') === '')
      throw new ExpectedError(
        `secret ${AUTHORITIES_SECRET} has no ${name}: put it back, or delete the secret so that other authorities are made`,
      );
  }
  const signerOf = (kind: 'authority' | 'hosts'): Authority => {
    const key = files[`${kind}.key`] ?? '';
    const certificate = certificatesIn(files[`${kind}.pem`] ?? '').find((one) => isKeyOf(key, one));
    if (certificate !== undefined) return { certificate, key };
    throw new ExpectedError(
      `in secret ${AUTHORITIES_SECRET}, ${kind}.key is the key of no authority in ${kind}.pem: bring both from one place`,
    );
  };
  signerOf('hosts');
  const signer = signerOf('authority');
  const others = certificatesIn(files['authority.pem'] ?? '').filter((one) => one !== signer.certificate);
  return { signer, trusted: [signer.certificate, ...others], files };
}

function typed(kind: string): { readonly apiVersion: string; readonly kind: string } {
  return { apiVersion: 'v1', kind };
}

function encoded(files: Files): Files {
  return mapValues(files, (text) => Buffer.from(text).toString('base64'));
}

function decoded({ data = {} }: DataObject): Files {
  return mapValues(data, (text) => Buffer.from(text, 'base64').toString('utf8'));
}

function mapValues(files: Files, change: (text: string) => string): Files {
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [name, change(text)]));
}

function isSame(a: Files, b: Files): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

function isKeyIn(key: string, certificate: string | undefined): boolean {
  return certificate !== undefined && key !== '' && isKeyOf(key, certificate);
}

/** Empty when there is none. */
async function textAt(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(() => '');
}
