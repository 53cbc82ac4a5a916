/** The plug-in and its configuration on a node, each put in its place as a whole: a runtime may look at any time. */
import { chmod, copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ExpectedError } from '@cable/kit';

export type CniPlaces = {
  /** Directory of the runtime's plug-ins. */
  readonly bin: string;
  /** Directory of its configurations. */
  readonly conf: string;
};

export type CniOptions = CniPlaces & {
  /** The executable. */
  readonly plugin: string;
  readonly cluster: string;
  /** The agent's, on the node. */
  readonly socket: string;
  readonly cniVersion: string;
};

export const CNI_VERSIONS = ['0.4.0', '1.0.0', '1.1.0'] as const;

const PLUGIN = 'cable-cni';
/** The first by name is the cluster's. */
const CONFLIST = '05-cable.conflist';

/** The plug-in first: a configuration without it would fail each pod. */
export async function installCni(options: CniOptions): Promise<void> {
  const { bin, conf, plugin, cniVersion, cluster, socket } = options;
  await put(join(bin, PLUGIN), async (path) => {
    await copyFile(plugin, path);
    await chmod(path, 0o755);
  });
  const capabilities = { portMappings: true };
  const list = { cniVersion, name: 'cable', plugins: [{ type: PLUGIN, cluster, socket, capabilities }] };
  await put(join(conf, CONFLIST), (path) => writeFile(path, `${JSON.stringify(list, null, 2)}\n`, { mode: 0o644 }));
}

/** The configuration first. What is not there is no failure. */
export async function removeCni({ bin, conf }: CniPlaces): Promise<void> {
  await rm(join(conf, CONFLIST), { force: true });
  await rm(join(bin, PLUGIN), { force: true });
}

/** Throws `ExpectedError`, which names the file. */
async function put(path: string, write: (path: string) => Promise<void>): Promise<void> {
  const directory = join(path, '..');
  // Runtimes read what ends as they like it; this does not.
  const temporary = join(directory, `.${basename(path)}.new`);
  try {
    await mkdir(directory, { recursive: true });
    await rm(temporary, { force: true });
    await write(temporary);
    await rename(temporary, path);
  } catch (cause) {
    throw new ExpectedError(`cannot write ${path}: the node’s directory has to be mounted there, writable`, { cause });
  }
}
