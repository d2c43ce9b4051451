# SPDX-License-Identifier: Apache-2.0
#
# Completion of ottla(1) for bash.  ottla itself knows its verbs and options, and with --bootstrap-server what topics and groups there are: nothing
# here has to follow them.
_ottla()
{
	local line=${COMP_LINE:0:COMP_POINT} list word=
	local -a before
	read -ra before <<<"$line"		# as blanks part them: COMP_WORDS cuts at the colon of HOST:PORT, too
	if [[ $line != *[[:space:]] ]]; then
		word=${before[-1]}
		unset 'before[-1]'
	fi
	list=$(ottla complete "${before[@]:1}" 2>/dev/null) || return
	if [[ ${#before[@]} -gt 2 && $word != -* ]]; then
		list=$(sed '/^-/d' <<<"$list")		# none: files, -o default
	fi
	mapfile -t COMPREPLY < <(compgen -W "$list" -- "$word")
}
complete -o default -F _ottla ottla
