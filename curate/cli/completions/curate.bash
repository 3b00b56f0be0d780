# Completion of `curate` and `python -m curate` for bash: eval "$(python -m curate completion bash)"

_curate_found=$(complete -p python 2>/dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
[[ $_curate_found == _curate ]] || _curate_before=$_curate_found

_curate() {
    local first=1 program=("${COMP_WORDS[0]/#\~/$HOME}")
    if [[ ${program[0]##*/} == python* ]]; then
        if [[ ${COMP_WORDS[1]} != -m || ${COMP_WORDS[2]} != curate || $COMP_CWORD -lt 3 ]]; then
            [[ -n $_curate_before ]] && "$_curate_before" "$@"
            return
        fi
        program+=(-m curate)
        first=3
    fi
    local IFS=$'\n'
    COMPREPLY=($("${program[@]}" completion words "${COMP_WORDS[@]:first:COMP_CWORD-first+1}" 2>/dev/null))
    # What ends in = or . goes on; where nothing fits, bash completes names of files.
    [[ ${COMPREPLY[0]} == *[=.] ]] && compopt -o nospace 2>/dev/null
}

complete -o default -F _curate curate python python3
