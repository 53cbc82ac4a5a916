/** What a server has that lets hosts join: the key of the hosts' authority, and its own certificate. */
import { X509Certificate } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { Logger } from '@cable/kit';
import { type Authority, certificatesIn, fingerprintOf, pkiPaths, readAuthority, watchFiles } from '@cable/pki';
import type { ServerTls } from '../tls/server-tls.ts';

export type Joining = {
  /** Signs hosts. */
  readonly signer: Authority;
  /** Its fingerprint. */
  readonly signerFingerprint: string;
  /** Authorities of servers, which hosts trust; PEM. */
  readonly authorities: readonly string[];
  /** Fingerprint of the authority that has signed this server's certificate. */
  readonly serverAuthority: string;
  onChange(listener: () => void): void;
};

/**
 * Reads the hosts' authority in a directory of `cable pki`, and anew when it changes until the signal aborts; what cannot be used leaves what was there. Undefined: its key is not
 * there. Throws `ExpectedError` for one that does not fit.
 */
export async function openJoining(
  directory: string,
  tls: ServerTls,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<Joining | undefined> {
  const { hosts } = pkiPaths(directory);
  if ((await stat(hosts.key).catch(() => undefined)) === undefined) {
    log.info({ missing: hosts.key }, 'hosts do not join by this server: the key of their authority is elsewhere');
    return undefined;
  }
  const listeners: (() => void)[] = [];
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  let { signer } = await readAuthority(directory, 'hosts');
  const readAnew = async (): Promise<void> => {
    try {
      const next = (await readAuthority(directory, 'hosts')).signer;
      if (next.certificate === signer.certificate || signal.aborted) return;
      signer = next;
      log.info({ authority: fingerprintOf(signer.certificate) }, 'another authority signs hosts');
      changed();
    } catch (err) {
      log.error({ err }, 'the authority of hosts was not read anew: that of before stays');
    }
  };
  watchFiles([hosts.certificates, hosts.key], () => void readAnew(), signal);
  tls.onChange(changed);
  return {
    get signer() {
      return signer;
    },
    get signerFingerprint() {
      return fingerprintOf(signer.certificate);
    },
    get authorities() {
      return tls.userAuthorities.map((one) => `${one.toString().trimEnd()}\n`);
    },
    get serverAuthority() {
      return fingerprintOf(issuerOf(tls).raw);
    },
    onChange: (listener) => void listeners.push(listener),
  };
}

/** Throws when the certificate is of none of the authorities beside it: agents would refuse it. */
function issuerOf({ current, userAuthorities }: ServerTls): X509Certificate {
  const [leaf = ''] = certificatesIn(String(current.cert));
  const own = new X509Certificate(leaf);
  const issuer = userAuthorities.find((one) => own.checkIssued(one));
  if (issuer === undefined)
    throw new Error('the certificate of this server is of none of the authorities that it trusts');
  return issuer;
}
