# Finds the command, and lets _arguments complete what is after it. Without a command, as in
# `kdumpconv INPUT OUTPUT`, that is a conversion.
_kdumpconv() {
    local command= word
    local -a specs valued
    integer i
    _kdumpconv_valued
    for ((i = 2; i < CURRENT; i++)); do
        word=$words[i]
        case $word in
        (--)
            command=convert
            break
            ;;
        (--*)
            (( $valued[(Ie)$word] )) && (( i++ ))
            ;;
        (-?*)
            # The value of a letter is the rest of the word, or else the next word.
            while [[ -n ${word#-} ]]; do
                if (( $valued[(Ie)$word[1,2]] )); then
                    [[ $#word -gt 2 ]] || (( i++ ))
                    break
                fi
                word=-$word[3,-1]
            done
            ;;
        (*)
            command=convert
            if _kdumpconv_specs $word; then
                command=$word
                words[i]=()
                (( CURRENT-- ))
            fi
            break
            ;;
        esac
    done
    _kdumpconv_specs $command
    _arguments -s -S : $specs
}

# Completes the words that are given as `word:help`, and files.
_kdumpconv_word_or_file() {
    local -a given=("$@")
    local -i failed=1
    _describe -t commands command given && failed=0
    _files && failed=0
    return failed
}

# Autoloaded, this file is the function; sourced, it says what the function is for.
if [[ $funcstack[1] == _kdumpconv ]]; then
    _kdumpconv "$@"
else
    compdef _kdumpconv kdumpconv
fi
