/** What this server shows to etcd, and which members it trusts: files that are read anew when they change. */
import type { Logger } from '@cable/kit';
import { followTlsFiles, type TlsFiles, type TlsMaterial } from '@cable/pki';
import type { EtcdCertificates, EtcdTls } from '@cable/store';

/** `ca`: authorities of the members. `own`: null: nothing is shown. */
export type EtcdTlsFiles = { readonly ca: string; readonly own: TlsFiles['own'] };

/** Connections that are open stay when the files change. Throws `ExpectedError` that names the file and what to do. */
export async function openEtcdTls(
  files: EtcdTlsFiles,
  deps: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<EtcdTls> {
  const listeners = new Set<() => void>();
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  const followed = await followTlsFiles(files, tell, deps);
  return {
    get current() {
      return certificatesOf(followed.current);
    },
    follow: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function certificatesOf({ ca, own }: TlsMaterial): EtcdCertificates {
  return { ca: ca ?? [], own };
}
