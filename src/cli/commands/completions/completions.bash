# Completes words as the option or command before them wants it. Files are left to readline, which
# knows quotes, blanks and ~, wherever nothing else can stand.
_kdumpconv() {
    local IFS=$' \t\n' current=$2 command='' option='' is_escaped='' options kind words i word letter
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -n $option ]]; then
            # Readline splits --option=value into three words.
            [[ $word == = ]] || option=''
            continue
        fi
        case $word in
        --)
            is_escaped=1
            command=${command:-convert}
            break
            ;;
        --*)
            _kdumpconv_value "$word"
            [[ -z $kind ]] || option=$word
            ;;
        -?*)
            # The value of a letter is the rest of the word, or else the next word.
            while [[ -n ${word#-} ]]; do
                letter=${word:1:1} word=-${word:2}
                _kdumpconv_value "-$letter"
                [[ -z $kind ]] || break
            done
            [[ -z $kind || $word != - ]] || option=-$letter
            ;;
        *)
            if [[ -z $command ]]; then
                command=convert
                ! _kdumpconv_options "$word" || command=$word
            fi
            ;;
        esac
    done

    COMPREPLY=()
    if [[ -z $option && -z $is_escaped && $current == -?* || -z $option && $current == - ]]; then
        _kdumpconv_options "$command"
        kind=words words=$options
    else
        _kdumpconv_value "$command ${option:-word}"
        [[ -n $kind || -z $option ]] || _kdumpconv_value "$option"
    fi
    case $kind in
    file) return ;;
    words_or_file) _kdumpconv_words_and_files ;;
    folder) compopt +o default -o dirnames 2>/dev/null ;;
    *)
        compopt +o default 2>/dev/null
        [[ $kind != list ]] || _kdumpconv_rest_of_list
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
        ;;
    esac
}

# Words or files. If no word matches, readline completes the files.
_kdumpconv_words_and_files() {
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    if [[ ${#COMPREPLY[@]} -gt 0 ]]; then
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames 2>/dev/null
    fi
}

# Puts the names that the list has in front of each of the others.
_kdumpconv_rest_of_list() {
    local given='' rest='' word
    [[ $current != *,* ]] || given=${current%,*},
    for word in $words; do
        [[ ,$given == *,"$word",* ]] || rest+=" $given$word"
    done
    words=$rest
    compopt -o nospace 2>/dev/null
}

complete -o default -F _kdumpconv kdumpconv
