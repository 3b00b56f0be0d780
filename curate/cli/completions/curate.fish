# Completion of `curate` and `python -m curate` for fish: python -m curate completion fish | source

function __curate_words
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -l program $typed[1]
    set -l words $typed[2..]
    if string match -qr '(^|/)python[0-9.]*$' -- $program
        set program $typed[1] -m curate
        set words $typed[4..]
    end
    set -l replies (command $program completion words $words "$current" 2>/dev/null)
    if test (count $replies) -gt 0
        printf '%s\n' $replies
    else
        # Where nothing fits, names of files do.
        set -l value (string replace -r '^[^=]*=' '' -- $current)
        set -l name (string replace -r '[^=]*$' '' -- $current)
        for path in (__fish_complete_path $value)
            printf '%s%s\n' "$name" $path
        end
    end
end

function __curate_of_python
    set -l typed (commandline -opc)
    test (count $typed) -ge 3; and test "$typed[2]" = -m; and test "$typed[3]" = curate
end

complete -c curate -f -a '(__curate_words)'
complete -c python -n __curate_of_python -f -a '(__curate_words)'
complete -c python3 -n __curate_of_python -f -a '(__curate_words)'
