import type { Client } from '@cable/api';
import type { ResourceModel } from '@cable/model';
import type { Command } from 'commander';
import type { Connect } from './site.ts';

/** What the process gives the command. */
export type CliDeps = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What there is at the server, or may be when it does not answer. Never throws. */
  readonly loadModels: (server: string, connect: Connect) => Promise<readonly ResourceModel[]>;
  /** Connects to `http://HOST:PORT` or `unix:PATH`. */
  readonly connect: Connect;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
  readonly version: string;
};

/** What every command's body gets. */
export type CliContext = Omit<CliDeps, 'loadModels'> & {
  /** Each with the words of its commands, which no other has. */
  readonly resources: readonly ResourceModel[];
  readonly server: string;
  readonly json: boolean;
  /** The project that is chosen to act in; undefined: none is. */
  readonly project: string | undefined;
  /** A project or a role is chosen to act in. */
  readonly isSomebody: boolean;
  /** Connected when first used. */
  readonly client: () => Client;
};

/** Makes the body of a command: it gets the context, its options with the global ones, and its arguments. */
export type Bind = (
  body: (context: CliContext, options: Readonly<Record<string, unknown>>, args: readonly unknown[]) => Promise<void>,
) => (this: Command, ...args: unknown[]) => Promise<void>;
