# SPDX-License-Identifier: Apache-2.0
#
# zsh complete.zsh DIRECTORY FILE LINE - types the line and a tab into an interactive zsh that takes its completions from the directory.  The matches are in
# the file, one a line; none when it took file names.
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' completer _complete; out=${(q)2}"
zpty -w shell 'compadd() { local -a hits; builtin compadd -O hits "$@"; print -rl -- $hits . >$out; builtin compadd "$@" }; _files() { print . >$out }; print >$out'
until [[ -s $2 ]]; do sleep 0.02; done
: >$2
zpty -w -n shell "$3"$'\t'
until [[ -s $2 && $(tail -n 1 $2) == . ]]; do sleep 0.02; done
zpty -d shell
