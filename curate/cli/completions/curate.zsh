# Completion of `curate` and `python -m curate` for zsh: eval "$(python -m curate completion zsh)"

_curate() {
    local first=2
    local -a program replies open closed
    program=(${~words[1]})
    if [[ ${program[1]:t} == python* ]]; then
        if [[ $words[2] != -m || $words[3] != curate || $CURRENT -lt 4 ]]; then
            if (( $+functions[_python] )); then _python "$@"; else _default; fi
            return
        fi
        program+=(-m curate)
        first=4
    fi
    replies=(${(f)"$($program completion words "${(@)words[first,CURRENT]}" 2>/dev/null)"})
    open=(${(M)replies:#*[=.]})
    closed=(${replies:#*[=.]})
    # What ends in = or . goes on; where nothing fits, names of files do.
    if (( $#replies )); then
        compadd -S '' -a open
        compadd -a closed
    else
        compset -P '*='
        _files
    fi
}

(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _curate curate python python3
