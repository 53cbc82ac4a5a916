/** Reads a state directory to its end, as a process of its own: a broken file of LMDB ends the process that reads it. Argument: the directory. */
import { StateFiles } from './state-files.ts';

const files = new StateFiles(process.argv[2] ?? '', { readOnly: true });
await files.load(() => undefined, false);
await files.close();
