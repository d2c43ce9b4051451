# SPDX-License-Identifier: Apache-2.0
#
# Completion of ottla(1) for bash.  ottla itself knows its verbs and options: nothing here has to follow them.
_ottla()
{
	local word=${COMP_WORDS[COMP_CWORD]} list
	list=$(ottla complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null) || return
	if [[ $COMP_CWORD -gt 2 && $word != -* ]]; then
		COMPREPLY=()		# files: -o default
	else
		mapfile -t COMPREPLY < <(compgen -W "$list" -- "$word")
	fi
}
complete -o default -F _ottla ottla
