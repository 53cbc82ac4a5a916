import type { Command } from 'commander';

/** Shells that a completion script can be made for. */
export const SHELLS = ['bash', 'zsh'] as const;

export type Shell = (typeof SHELLS)[number];

/** A script for `source <(cable completion bash)`: completes sub-commands and options, without starting Node. */
export function completionScript(root: Command, shell: Shell): string {
  const lines = wordsByPath(root).map(([path, words]) => `    ${quote(path)}) words=${quote(words.join(' '))} ;;`);
  const zsh = shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : '';
  return `${zsh}_cable_words() {
  local words=''
  case "$1" in
${lines.join('\n')}
  esac
  printf '%s' "$words"
}
_cable() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" path='' next word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    next="\${path:+$path }$word"
    if [ -n "$(_cable_words "$next")" ]; then path="$next"; fi
  done
  COMPREPLY=($(compgen -W "$(_cable_words "$path")" -- "$cur"))
}
complete -o default -F _cable cable
`;
}

/** For each command, by its words joined by spaces, what may follow. */
function wordsByPath(command: Command, path = ''): readonly (readonly [string, readonly string[]])[] {
  const help = command.createHelp();
  const children = help.visibleCommands(command).filter((one) => one.name() !== 'help');
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
  const words = [
    ...children.map((child) => child.name()),
    ...(path === '' ? ['server', 'agent', 'kube', 'lab'] : []),
    ...options.flatMap((option) => (option.long === undefined ? [] : [option.long])),
  ];
  const inner = children.flatMap((child) => wordsByPath(child, path === '' ? child.name() : `${path} ${child.name()}`));
  return [[path, words], ...inner];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
